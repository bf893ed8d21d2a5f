"""Linear heads on features, in numpy: fitted by logistic regression, and moved where films were drawn unevenly.

Source of the shift: Alexandari, Kundaje, Shrikumar 2020, Maximum likelihood with bias-corrected calibration is hard to
beat at label shift adaptation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

__all__ = ["LinearHead", "finding_weights", "fit_head", "fit_linear", "levelled_losses", "prior_shift"]

_PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_ITERATIONS = 3000
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear layer.

    Attributes:
        kernel: (D, K) float32.
        intercepts: (K,) float32.
        penalty: The penalty on the weights in the fit.
    """

    kernel: np.ndarray
    intercepts: np.ndarray
    penalty: float

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
    heads = [fit_linear(features, labels, film_weights, penalty=penalty) for penalty in _PENALTIES]
    return min(heads, key=lambda head: loss(head.logits(held)))


def fit_linear(features: np.ndarray, labels: np.ndarray, film_weights: np.ndarray, *, penalty: float) -> LinearHead:
    """Return the head of one penalty.

    Args:
        features: (N, D) of the training films.
        labels: (N,) int, their findings, every one of them present.
        film_weights: (N,) float, how much each film weighs.
        penalty: The penalty on the weights.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation[deviation < _LEAST_DEVIATION] = np.inf  # a feature that never changes says nothing
    regression = LogisticRegression(C=1 / penalty, max_iter=_ITERATIONS)
    regression.fit((features - mean) / deviation, labels, sample_weight=film_weights)
    weights, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:  # one row for two findings: half of it for, half of it against
        weights, intercepts = np.concatenate([-weights, weights]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    kernel = (weights / deviation).T.astype(np.float32)  # (D, K)
    return LinearHead(kernel, (intercepts - mean @ kernel).astype(np.float32), penalty)


def finding_weights(labels: np.ndarray, num_findings: int, class_weights: str) -> np.ndarray:
    """Return each finding's weight (K,): the mean weight of a film whose finding is stated is 1.

    Args:
        labels: (N,) int, the training films' findings; -1 where a film shows one of several.
        num_findings: K.
        class_weights: ``balanced`` or ``none``.
    """
    labels = labels[labels >= 0]
    counts = np.bincount(labels, minlength=num_findings)
    if class_weights == "none":
        return np.ones(num_findings, np.float32)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)


def levelled_losses(logits: np.ndarray, labels: np.ndarray, film_weights: np.ndarray) -> np.ndarray:
    """Return each film's cross-entropy (n,), at the temperature and the constants that suit these logits best.

    So networks are compared by how they rank films. Calibration follows anyway, and augmentation moves the level of a
    network's logits more than their order.

    Args:
        logits: (n, K).
        labels: (n,) int, the films' findings.
        film_weights: (n,) float, how much each film weighs.
    """
    scale, constants = _level(logits, labels, film_weights)
    return _cross_entropies(logits * scale + constants, labels)


def prior_shift(logits: np.ndarray, labels: np.ndarray, film_weights: np.ndarray) -> np.ndarray:
    """Return what to add to a network's logits, whose training films were not drawn as often as they occur.

    Args:
        logits: (n, K) of the validation films.
        labels: (n,) int, their findings.
        film_weights: (n,) float, how much each film weighs.

    Returns:
        (K,) float32, of mean 0.
    """
    if not len(labels):
        return np.zeros(logits.shape[1], np.float32)
    scale, constants = _level(logits, labels, film_weights)
    shift = constants / scale
    return np.asarray(shift - shift.mean(), np.float32)


def _level(logits: np.ndarray, labels: np.ndarray, film_weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the scale and the constants (K,) that give logits (n, K) their lowest cross-entropy.

    Scale and constants are held back by a normal prior of deviation 1, so that few films move them little.
    """
    num_findings, weights = logits.shape[1], film_weights / film_weights.mean()

    def loss(values: np.ndarray) -> float:
        losses = _cross_entropies(logits * np.exp(values[0]) + values[1:], labels)
        return float(weights @ losses + 0.5 * np.square(values).sum())

    found = minimize(loss, np.zeros(1 + num_findings), method="BFGS").x
    return float(np.exp(found[0])), found[1:]


def _cross_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]
