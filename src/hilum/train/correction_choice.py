"""Which correction of a model local films carry, by grouped cross-validation.

The level with the lowest loss on films that it was not fitted on is taken. The rule of one standard error, which takes
a simpler level where the difference may be chance, was right one to three points less often with 50 films: the priors
of the fit already hold the corrections back (docs/log.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.data.split import grouped_folds
from hilum.train.correction import LEAST_FINDING_FILMS, Correction, LocalFilms, fit_levels, losses

__all__ = ["Choice", "CrossFitted", "choose_correction", "cross_fit"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Choice:
    """The correction that films carry, and what the others came to.

    Attributes:
        correction: Fitted to all of the films.
        levels: All corrections fitted to all films, the simplest first; the first is the model as shipped.
        losses: Of each level, the mean loss of films that it was not fitted on; NaN where the films are too few.
        errors: Of each level, the standard error of its difference to the best.
    """

    correction: Correction
    levels: tuple[Correction, ...]
    losses: tuple[float, ...]
    errors: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Films, each answered by a correction that was chosen and fitted without it and its group.

    Attributes:
        logits: (n, K) divided by their temperature already.
        folds: (n,) int, the fold that held the film out.
    """

    logits: FloatArray
    folds: npt.NDArray[np.int64]


def choose_correction(films: LocalFilms, temperature: float) -> Choice:
    """Return the correction that does best on films that it was not fitted on.

    Films of one finding alone cannot tell how the others should be answered. They then get one constant, by which at
    most `MOST_FALSE_ALARMS` of them are answered with another finding, and there is nothing to choose.

    Args:
        films: One at least.
        temperature: Of the model as shipped.
    """
    uses = films.counts >= LEAST_FINDING_FILMS
    if np.count_nonzero(films.counts) == 1:
        levels = fit_levels(films, temperature, uses)
        return Choice(levels[-1], levels, (math.nan,) * len(levels), (math.nan,) * len(levels))
    return _choose(films, temperature, uses)


def cross_fit(films: LocalFilms, temperature: float) -> CrossFitted | None:
    """Return the films' logits by corrections that have not seen them: chosen and fitted again in each fold.

    Args:
        films: One at least.
        temperature: Of the model as shipped.

    Returns:
        The logits; None where the films are too few groups for two folds.
    """
    uses, is_single = films.counts >= LEAST_FINDING_FILMS, np.count_nonzero(films.counts) == 1
    logits, folds = np.zeros_like(films.logits, dtype=np.float64), np.full(len(films.truth), -1)
    for number, held in enumerate(grouped_folds(films.truth, films.groups)):
        rest = films.part(~held)
        found = fit_levels(rest, temperature, uses)[-1] if is_single else _choose(rest, temperature, uses).correction
        logits[held] = found.logits(films.part(held)) / found.temperature
        folds[held] = number
    return None if (folds < 0).any() else CrossFitted(logits, folds)


def _choose(films: LocalFilms, temperature: float, uses: npt.NDArray[np.bool_]) -> Choice:
    """Return the choice by grouped cross-validation. ``uses`` (K,): findings that may have a linear correction."""
    levels = fit_levels(films, temperature, uses)
    held_out = np.full((len(levels), len(films.truth)), np.nan)
    for held in grouped_folds(films.truth, films.groups):
        tested = films.part(held)
        for row, one in enumerate(fit_levels(films.part(~held), temperature, uses, num_levels=len(levels))):
            held_out[row, held] = losses(one.logits(tested) / one.temperature, tested.truth)
    means = held_out.mean(axis=1)
    if not np.isfinite(means).all():
        return Choice(levels[0], levels, (math.nan,) * len(levels), (math.nan,) * len(levels))
    best = int(means.argmin())
    errors = np.array([_standard_error(row - held_out[best], films.groups) for row in held_out])
    return Choice(levels[best], levels, tuple(means.tolist()), tuple(errors.tolist()))


def _standard_error(values: FloatArray, groups: npt.NDArray[np.int64]) -> float:
    """Return the standard error of a mean over films (n,) of which those of a group are not independent."""
    _, group_of = np.unique(groups, return_inverse=True)
    sums = np.bincount(group_of, weights=values - values.mean())
    return float(np.sqrt(np.square(sums).sum()) / len(values))
