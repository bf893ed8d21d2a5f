"""By how much some settings beat others on the same films, and whether that may be noise.

What is compared is the mean negative logarithm of the probability that a film's true finding was given by a network
that had seen nothing of its group, at a temperature fitted on that network's own validation films. Every finding weighs
the same. On a few hundred films it says more than accuracy or macro-F1, which see only answers that change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from hilum.judge import metrics
from hilum.judge.intervals import Interval, grouped_mean
from hilum.judge.paired import macro_f1_difference
from hilum.report.search_page import Confirmed, SettingsFigures
from hilum.run.answer import softmax
from hilum.train.trial import Crossed

__all__ = ["Gain", "confirmed_of", "figures_of", "film_losses", "gain_of", "macro_f1", "mean_loss"]

_NOISE = 2.0  # standard errors: half a 95 % interval
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Gain:
    """A paired difference of losses.

    Attributes:
        value: By how much the mean loss is lower than the other's.
        error: Its standard error, widened where few groups or fits tell it: two of them hold as often as two of many.
    """

    value: float
    error: float

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the gain is larger than two standard errors."""
        return self.value > _NOISE * self.error


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


def figures_of(crossed: Crossed, *, seed: int) -> SettingsFigures:
    """Return the figures of some settings; the seed is for the interval's resamples."""
    right = (crossed.logits.argmax(axis=1) == crossed.truth).astype(float)
    return SettingsFigures(
        loss=mean_loss(crossed),
        macro_f1=macro_f1(crossed),
        accuracy=grouped_mean(right, crossed.groups, seed=seed),
        num_films=len(np.unique(crossed.positions)),
    )


def confirmed_of(number: int, start: Crossed, best: Crossed, fits: np.ndarray, *, seed: int) -> Confirmed:
    """Return the best trial against the starting settings.

    Args:
        number: The trial's.
        start: Answers with the starting settings.
        best: Answers with the trial's settings on the same films in the same order.
        fits: (m,) int, which network of the trial answered a film.
        seed: For the intervals' resamples.
    """
    gain = gain_of(best, start, fits)
    first, second = (one.logits.argmax(axis=1) for one in (start, best))
    return Confirmed(
        number=number,
        start=figures_of(start, seed=seed),
        best=figures_of(best, seed=seed),
        loss_change=Interval(-gain.value, -gain.value - _NOISE * gain.error, -gain.value + _NOISE * gain.error),
        is_better=gain.is_beyond_noise,
        f1_difference=macro_f1_difference(best.truth, first, second, best.groups),
    )


def gain_of(settings: Crossed, other: Crossed, fits: np.ndarray | None = None) -> Gain:
    """Return by how much some settings beat others on the films that both have answered.

    Chance enters twice: which films there are, and how each network turned out. The first shows in how the
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
    """Return the standard error of a weighted mean whose deviations go together within clusters, as `Gain` has it."""
    numbers = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(numbers, weights=deviations)
    if len(sums) < 2:
        return math.inf
    widened = t.ppf(norm.cdf(_NOISE), len(sums) - 1) / _NOISE
    return float(widened * math.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()))
