"""The last layer of a network fitted by logistic regression on features that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from hilum.judge.calibrate import fit_temperature

__all__ = ["LinearHead", "fit_head", "tempered_losses"]

_PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_ITERATIONS = 3000
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear layer.

    Attributes:
        kernel: (D, K) float32.
        intercepts: (K,) float32.
    """

    kernel: np.ndarray
    intercepts: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return the logits (N, K) of features (N, D)."""
        return features @ self.kernel + self.intercepts


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    film_weights: np.ndarray,
    held: np.ndarray,
    loss: Callable[[np.ndarray], float],
) -> LinearHead:
    """Return the head with the penalty, of a few, that has the smallest loss on validation films.

    The features are standardised for the fit; their means and deviations are then folded into the layer.

    Args:
        features: (N, D) of the training films.
        labels: (N,) int, their findings, every one of them present.
        film_weights: (N,) float, how much each film weighs.
        held: (n, D) features of the validation films.
        loss: From the validation films' logits (n, K) to their loss.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation[deviation < _LEAST_DEVIATION] = np.inf  # a feature that never changes says nothing
    x, held = (features - mean) / deviation, (held - mean) / deviation
    found: list[tuple[float, np.ndarray, np.ndarray]] = []
    for penalty in _PENALTIES:
        regression = LogisticRegression(C=1 / penalty, max_iter=_ITERATIONS)
        regression.fit(x, labels, sample_weight=film_weights)
        weights, intercepts = regression.coef_, regression.intercept_
        if len(regression.classes_) == 2:  # one row for two findings: half of it for, half of it against
            weights, intercepts = (
                np.concatenate([-weights, weights]) / 2,
                np.concatenate([-intercepts, intercepts]) / 2,
            )
        found.append((loss(held @ weights.T + intercepts), weights, intercepts))
    _, weights, intercepts = min(found, key=lambda fit: fit[0])
    kernel = (weights / deviation).T.astype(np.float32)  # (D, K)
    return LinearHead(kernel, (intercepts - mean @ kernel).astype(np.float32))


def tempered_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return each film's cross-entropy (n,), at the temperature that suits these logits (n, K) best."""
    scaled = logits / fit_temperature(logits, labels)
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
