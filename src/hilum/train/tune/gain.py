"""By how much some settings beat others on the same films, and what of it may be noise.

What is compared is the mean negative logarithm of the probability that a film's true finding was given by a network
that had seen nothing of its group, at a temperature fitted on that network's own validation films. Every finding weighs
the same. On a few hundred films it says more than accuracy or macro-F1, which see only answers that change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hilum.judge import metrics
from hilum.run.answer import softmax
from hilum.train.trial import Crossed

__all__ = ["Gain", "film_losses", "gain_of", "macro_f1", "mean_loss"]

_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Gain:
    """A paired difference of losses.

    Attributes:
        value: By how much the mean loss is lower than the other's.
        error: Its standard error.
    """

    value: float
    error: float

    def beyond(self, num_errors: float) -> bool:
        """Return whether the gain is larger than so many standard errors."""
        return self.value > num_errors * self.error


def film_losses(crossed: Crossed) -> np.ndarray:
    """Return each film's loss (m,)."""
    given = softmax(crossed.logits)[np.arange(len(crossed.truth)), crossed.truth]
    return -np.log(np.maximum(given, _LEAST_PROBABILITY))


def mean_loss(crossed: Crossed) -> float:
    """Return the mean of the findings' mean losses."""
    return float(film_losses(crossed) @ _weights(crossed.truth))


def macro_f1(crossed: Crossed) -> float:
    """Return the plain mean of the findings' F1."""
    return metrics.macro_f1(crossed.truth, crossed.logits.argmax(axis=1))


def gain_of(settings: Crossed, other: Crossed, fits: np.ndarray | None = None) -> Gain:
    """Return by how much some settings beat others on the films that both have answered.

    Chance enters twice: in which films there are, and in what each network came to be. The first shows in how the
    films' differences scatter over groups, the second in how they scatter over fits; the larger of the two standard
    errors counts.

    Args:
        settings: Answers.
        other: Answers on the same films in the same order; either may have more of them at the end.
        fits: (m,) int, which network of the settings answered a film; None where only films are to count.

    Raises:
        ValueError: The films differ.
    """
    num_films = min(len(settings.positions), len(other.positions))
    if not np.array_equal(settings.positions[:num_films], other.positions[:num_films]):
        raise ValueError("Expected answers on the same films in the same order.")
    weights = _weights(settings.truth[:num_films])
    differences = film_losses(other)[:num_films] - film_losses(settings)[:num_films]
    value = float(differences @ weights)
    deviations = weights * (differences - value)
    errors = [_clustered(deviations, one[:num_films]) for one in (settings.groups, fits) if one is not None]
    return Gain(value, max(errors))


def _weights(truth: np.ndarray) -> np.ndarray:
    """Return each film's weight (m,), of sum 1: every finding weighs the same."""
    counts = np.bincount(truth)
    return 1 / (counts[truth] * np.count_nonzero(counts))


def _clustered(deviations: np.ndarray, clusters: np.ndarray) -> float:
    """Return the standard error of a weighted mean whose deviations go together within clusters."""
    numbers = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(numbers, weights=deviations)
    if len(sums) < 2:
        return math.inf
    return float(math.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()))
