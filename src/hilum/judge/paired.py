"""Two models on the same films: is the difference more than these films can produce by chance?

Three answers. McNemar's test looks at the films that only one of the two gets right. DeLong's test looks at the areas
under the two ROC curves. A bootstrap of whole groups gives an interval of any difference. Twins and a patient's films
are not independent: DeLong's variance and the bootstrap take groups into account, McNemar's test cannot. numpy only.

Sources:
    McNemar 1947, Note on the sampling error of the difference between correlated proportions.
    DeLong, DeLong, Clarke-Pearson 1988, Comparing the areas under two or more correlated ROC curves.
    Sun, Xu 2014, Fast implementation of DeLong's algorithm (midranks instead of pairs).
    Obuchowski 1997, Nonparametric analysis of clustered ROC curve data (sums over groups).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError
from hilum.judge.intervals import Interval, grouped_interval, grouped_mean
from hilum.judge.metrics import f1_columns, occurring
from hilum.judge.tally import mean_f1

__all__ = [
    "Difference",
    "DiscordantFilms",
    "accuracy_difference",
    "delong",
    "macro_f1_difference",
    "mcnemar",
    "midranks",
]

FloatArray = npt.NDArray[np.float64]

_MOST_EXACT = 1000  # discordant films up to which the exact test is computed
_NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class DiscordantFilms:
    """What McNemar's test looks at, and its answer.

    Attributes:
        only_first: Films that only the first model got right.
        only_second: Films that only the second got right.
        p_value: Two-sided; how often such an imbalance arises where both are equally good.
        exact: Whether the binomial distribution was used, or its approximation.
    """

    only_first: int
    only_second: int
    p_value: float
    exact: bool


@dataclass(frozen=True)
class Difference:
    """A figure of two models on the same films.

    Attributes:
        first: Of the first model, in [0, 1].
        second: Of the second.
        difference: Second minus first, with its 95 % interval.
        p_value: Two-sided; None where no test was made, or where its variance is zero, as where both are perfect.
    """

    first: float
    second: float
    difference: Interval
    p_value: float | None


def mcnemar(first_right: npt.ArrayLike, second_right: npt.ArrayLike) -> DiscordantFilms:
    """Return McNemar's test of two models on the same films.

    Exact (binomial) up to 1,000 discordant films, beyond that the chi-squared test with Edwards's correction, from
    which it then no longer differs.

    Args:
        first_right: (n,) bool, whether the first model's answer is right.
        second_right: (n,) bool, of the second's.
    """
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    _check_shapes(first, second)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    num_discordant = only_first + only_second
    if num_discordant <= _MOST_EXACT:
        fewer = min(only_first, only_second)
        tail = sum(math.comb(num_discordant, count) for count in range(fewer + 1))
        return DiscordantFilms(only_first, only_second, min(1.0, 2 * tail / 2**num_discordant), True)
    z = (abs(only_first - only_second) - 1) / math.sqrt(num_discordant)
    return DiscordantFilms(only_first, only_second, math.erfc(z / math.sqrt(2)), False)


def delong(
    positive: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> Difference | None:
    """Return the difference of two AUROCs, or of two macro AUROCs, with DeLong's interval and test.

    A macro AUROC is the mean over columns, one finding against the rest each. A film counts in every column, so the
    columns are not independent: what each film adds to the macro AUROC is summed before it is squared. With groups it
    is summed over each group; without, and with one column, the variance is DeLong's own.

    Args:
        positive: (n,) or (n, K) bool, whether the film has the finding.
        first: (n,) or (n, K) probabilities of the first model; only their order counts.
        second: The same of the second model.
        groups: (n,) int, films of equal number are not independent. None: every film stands for itself.

    Returns:
        The difference; None where a column lacks films with, or films without the finding.

    Raises:
        InputError: Shapes disagree.
    """
    has, scores = np.asarray(positive, dtype=bool), [np.asarray(one, dtype=np.float64) for one in (first, second)]
    _check_shapes(has, *scores)
    has, scores = _columns(has), [_columns(one) for one in scores]
    num_positive, num_negative = has.sum(axis=0), (~has).sum(axis=0)
    if has.shape[1] == 0 or min(num_positive.min(initial=1), num_negative.min(initial=1)) == 0:
        return None
    areas, shares = zip(*(_areas(has, one) for one in scores), strict=True)
    # A film's share of the variance; m (m - 1) rather than m^2 makes the sum of squares the unbiased one.
    spread = np.where(has, _unbiased(num_positive), _unbiased(num_negative))  # (n, K)
    influence = ((shares[1] - shares[0]) * spread).mean(axis=1)  # (n,)
    if groups is not None:
        group_of = np.unique(np.asarray(groups), return_inverse=True)[1]
        influence = np.bincount(group_of, weights=influence)
    error = math.sqrt(float(np.square(influence).sum()))
    values = [float(area.mean()) for area in areas]
    difference = values[1] - values[0]
    reach = NormalDist().inv_cdf(0.975) * error
    interval = Interval(difference)
    if error > 0:
        interval = Interval(difference, max(-1.0, difference - reach), min(1.0, difference + reach))
    p_value = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else None
    return Difference(values[0], values[1], interval, p_value)


def _areas(has: npt.NDArray[np.bool_], scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the AUROC of each column (K,), and each film's deviation from it (n, K): DeLong's V minus the area."""
    areas, deviations = np.empty(has.shape[1]), np.empty(has.shape)
    for column in range(has.shape[1]):
        with_finding, values = has[:, column], scores[:, column]
        num_with, num_without = int(with_finding.sum()), int((~with_finding).sum())
        overall = midranks(values)
        above = (overall[with_finding] - midranks(values[with_finding])) / num_without
        below = 1 - (overall[~with_finding] - midranks(values[~with_finding])) / num_with
        areas[column] = above.mean()
        deviations[with_finding, column] = above - areas[column]
        deviations[~with_finding, column] = below - areas[column]
    return areas, deviations


def midranks(values: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return (n,) the ranks from 1, the mean rank where values tie."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((2 * ends - counts + 1) / 2)[inverse]


def _unbiased(count: npt.NDArray[np.int64]) -> FloatArray:
    return 1 / np.sqrt(count * np.maximum(count - 1, 1.0))


def accuracy_difference(
    first_right: npt.ArrayLike, second_right: npt.ArrayLike, groups: npt.ArrayLike, *, seed: int = 0
) -> Interval:
    """Return by how much the second model's accuracy is higher, with the interval of a bootstrap of groups.

    Args:
        first_right: (n,) bool.
        second_right: (n,) bool.
        groups: (n,) int.
        seed: Decides the draws of the bootstrap.
    """
    first, second = np.asarray(first_right, dtype=np.float64), np.asarray(second_right, dtype=np.float64)
    _check_shapes(first, second, np.asarray(groups))
    return grouped_mean(second - first, groups, limits=(-1, 1), seed=seed, num_resamples=_NUM_RESAMPLES)


def macro_f1_difference(
    truth: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    seed: int = 0,
) -> Interval:
    """Return by how much the second model's macro F1 is higher, with the interval of a bootstrap of groups.

    The macro F1 is that of metrics.json: the mean over the findings that occur in the truth or in that model's answers.

    Args:
        truth: (n,) int, the true finding.
        first: (n,) int, the first model's answers, numbered alike.
        second: (n,) int, the second's.
        groups: (n,) int.
        seed: Decides the draws of the bootstrap.
    """
    actual, *answers = (np.asarray(one, dtype=np.int64) for one in (truth, first, second))
    _check_shapes(actual, *answers, np.asarray(groups))
    num = 1 + max(int(one.max(initial=-1)) for one in (actual, *answers))
    columns = np.concatenate([f1_columns(actual, one, num) for one in answers], axis=1)  # (n, 2 x 3 num)
    occurs = [occurring(one) for one in np.split(columns, 2, axis=1)]

    def difference(sums: FloatArray) -> FloatArray:
        before, after = (mean_f1(one, which) for one, which in zip(np.split(sums, 2, axis=1), occurs, strict=True))
        return after - before

    return grouped_interval(columns, groups, difference, limits=(-1, 1), seed=seed, num_resamples=_NUM_RESAMPLES)


def _columns(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values[:, np.newaxis] if values.ndim == 1 else values


def _check_shapes(*arrays: npt.NDArray[Any]) -> None:
    if any(len(one) != len(arrays[0]) for one in arrays) or len({one.shape for one in arrays if one.ndim > 1}) > 1:
        raise InputError(
            f"Expected the same films in all; received shapes {', '.join(str(one.shape) for one in arrays)}."
        )
