"""The last layer of a network in training: fitted on frozen features at its beginning, settled for others at its end.

Where films are drawn by source, other hospitals are what the training is for. So at the end the last layer becomes the
mean of itself and of a strongly shrunk linear head on the trained features, which ranks films of hospitals left out
better. Drawing also made some findings of some sources likelier than they are: the layer's constants are moved halfway
to what suits the validation films (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hilum.judge.calibration import fit_temperature
from hilum.train.batches import Films
from hilum.train.features import HeadFeatures, pooled_features
from hilum.train.feed import FilmWeights
from hilum.train.head import fit_head, fit_linear, prior_shift
from hilum.train.networks import Network, compute_logits

__all__ = ["fit_last_layer", "settle_last_layer", "stated_films"]

_SHRUNK_PENALTY = 10_000.0  # of the head that the last layer is averaged with
_SHIFT_SHARE = 0.5  # of the shift that suits validation films; all of it costs films of other hospitals


def stated_films(train: Films, weights: FilmWeights) -> tuple[Films, np.ndarray]:
    """Return the films to learn from that state one finding, and how much each weighs; the mean weight is 1."""
    stated, each = np.flatnonzero(train.labels >= 0), weights.in_head()
    if len(stated) == len(train):
        return train, each
    return train.subset(stated), each[stated] / each[stated].mean()


def fit_last_layer(
    network: Network,
    features: HeadFeatures,
    labels: np.ndarray,
    film_weights: np.ndarray,
    loss: Callable[[np.ndarray], float],
) -> float:
    """Fit the last layer by logistic regression on pooled features; return its penalty.

    Of a few penalties the one with the smallest validation loss is taken. Every film is learned from in each view.

    Args:
        network: Its last layer is changed.
        features: Of V views of N films, and of the validation films.
        labels: (N,) int.
        film_weights: (N,) float, how much each film weighs.
        loss: From the validation films' logits (n, K) to their loss.
    """
    views = features.train  # (V, N, D)
    x, y = views.reshape(-1, views.shape[-1]), np.tile(labels, len(views))  # (VN, D), (VN,)
    head = fit_head(x, y, np.tile(film_weights, len(views)) / len(views), features.validation, loss)
    network.head.get_layer("logits").set_weights([head.kernel, head.intercepts])
    return head.penalty


def settle_last_layer(network: Network, train: Films, film_weights: np.ndarray, validation: Films) -> None:
    """Average the last layer with a shrunk head; undo half of what drawing films by source did to its constants.

    Args:
        network: Its last layer is changed; of a network that began with random weights only the constants.
        train: N films of one stated finding each.
        film_weights: (N,) float, how much each film weighs.
        validation: The validation films.
    """
    last = network.head.get_layer("logits")
    kernel, intercepts = last.get_weights()
    logits = compute_logits(network.model, validation)
    if network.pretrained:
        features, held = (pooled_features(network, films.pixels)[0] for films in (train, validation))
        shrunk = fit_linear(features, train.labels, film_weights, penalty=_SHRUNK_PENALTY)
        others = shrunk.logits(held)
        scale, scale_other = (0.5 / fit_temperature(one, validation.labels) for one in (logits, others))
        kernel = scale * kernel + scale_other * shrunk.kernel
        intercepts = scale * intercepts + scale_other * shrunk.intercepts
        logits = scale * logits + scale_other * others
    shift = prior_shift(logits, validation.labels, np.ones(len(validation)))
    last.set_weights([kernel, intercepts + _SHIFT_SHARE * shift])
