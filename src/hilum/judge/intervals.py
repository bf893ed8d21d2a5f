"""95 % intervals: Wilson's for a proportion, and a bootstrap of whole groups for everything else.

Films of one group (twins, one patient's films) are not independent, so resamples draw whole groups with replacement.
Where no resample differs from another (every film gave the same value), the bootstrap would claim certainty. Wilson's
limit for none of that many groups stands in: so many of them may lie at either end of what is possible.

Sources:
    Wilson 1927, Probable inference, the law of succession, and statistical inference.
    Field, Welsh 2007, Bootstrapping clustered data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError

__all__ = [
    "NO_WIDTH",
    "Bootstrap",
    "Interval",
    "films_for",
    "group_weights",
    "grouped_interval",
    "grouped_mean",
    "middle_95",
    "proportion",
    "wilson_interval",
]

FloatArray = npt.NDArray[np.float64]

NO_WIDTH = 1e-12  # resamples that differ by less do not differ
_BATCH_CELLS = 2_000_000  # cells x resamples held at once: 16 MB an array


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval.

    Attributes:
        value: The figure, mostly a fraction; None where the films cannot give it.
        low: Lower limit; None where there is no interval.
        high: Upper limit.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bootstrap:
    """How the groups of a bootstrap are drawn.

    Attributes:
        seed: Decides the draws; the same films and seed give the same interval.
        num_resamples: How many times the groups are drawn; 0 leaves the intervals out.
    """

    seed: int = 0
    num_resamples: int = 1000


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval for a proportion.

    Args:
        successes: From 0 to n; a fraction where n is an effective number.
        n: Trials; of none, nothing is known: (0, 1).
        confidence: Above 0 and below 1.

    Returns:
        Lower and upper limit, in [0, 1].

    Raises:
        InputError: The counts or the confidence are out of range.

    Example:
        >>> [round(limit, 3) for limit in wilson_interval(64, 66)]
        [0.896, 0.992]
    """
    if not (0 <= successes <= n and 0 < confidence < 1):
        raise InputError(
            f"Expected 0 <= successes <= n and 0 < confidence < 1, received {successes}, {n}, {confidence}."
        )
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    fraction = successes / n
    centre = fraction + z * z / (2 * n)
    spread = z * math.sqrt(fraction * (1 - fraction) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the limit is exactly 0 or 1; rounding must not put it beside them.
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes == n else min(1.0, (centre + spread) / scale)
    return low, high


def proportion(successes: float, n: int) -> Interval:
    """Return a proportion with Wilson's 95 % interval; None throughout where n is 0.

    Args:
        successes: From 0 to n; a fraction where it is a mean over repeats.
        n: Trials.
    """
    return Interval(float(successes / n), *wilson_interval(successes, n)) if n else Interval()


def films_for(value: float, margin: float = 0.05) -> int:
    """Return how many films it takes to know a share within a margin: half the width of Wilson's interval.

    Args:
        value: The share that is expected, in [0, 1].
        margin: On either side, above 0 and below one half.

    Example:
        >>> films_for(0.9), films_for(1.0)
        (141, 35)
    """
    few, enough = 0, 1
    while _half_width(value, enough) > margin:
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _half_width(value, middle) <= margin else (middle, enough)
    return enough


def _half_width(value: float, n: int) -> float:
    low, high = wilson_interval(value * n, n)
    return (high - low) / 2


def group_weights(num_groups: int, cells: int, *, seed: int = 0, num_resamples: int = 1000) -> Iterator[FloatArray]:
    """Yield resamples of groups, drawn with replacement: how often each group was drawn, (num_groups, resamples).

    All intervals of a bootstrap come from here: the same groups and seed give the same resamples, in any batches.

    Args:
        num_groups: How many groups there are; of none, nothing is drawn.
        cells: Numbers that the caller holds for each resample; batches are made accordingly.
        seed: Decides the draws.
        num_resamples: Of all batches together.
    """
    rng = np.random.default_rng(seed)
    batch = max(1, min(num_resamples, _BATCH_CELLS // max(cells, 1)))
    for start in range(0, num_resamples if num_groups else 0, batch):
        size = min(batch, num_resamples - start)
        picks = rng.integers(num_groups, size=(size, num_groups)) * size + np.arange(size)[:, None]
        yield np.bincount(picks.ravel(), minlength=num_groups * size).reshape(num_groups, size).astype(np.float64)


def middle_95(resamples: FloatArray) -> tuple[float, float] | None:
    """Return the limits that hold the middle 95 % of the resamples (R,) in which a figure is defined; None of none."""
    defined = resamples[np.isfinite(resamples)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, (0.025, 0.975))
    return float(low), float(high)


def grouped_interval(
    columns: npt.ArrayLike,
    groups: npt.ArrayLike,
    figure: Callable[[FloatArray], FloatArray],
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    num_resamples: int = 1000,
) -> Interval:
    """Return a figure that is a function of sums over films, with its 95 % interval; undefined where there is no film.

    Args:
        columns: (n, C) float, what each film adds to the C sums.
        groups: (n,) int; films of equal number are not independent.
        figure: From sums (R, C) to values (R,); NaN where undefined.
        limits: The least and the largest value there can be.
        seed: Decides the draws.
        num_resamples: How many times the groups are drawn.
    """
    added, group_of = np.asarray(columns, np.float64), np.unique(np.asarray(groups), return_inverse=True)[1]
    if not len(added):
        return Interval()
    per_group = np.zeros((int(group_of.max()) + 1, added.shape[1]))
    np.add.at(per_group, group_of, added)
    value = float(figure(added.sum(axis=0)[np.newaxis])[0])
    draws = group_weights(len(per_group), max(per_group.shape), seed=seed, num_resamples=num_resamples)
    low, high = middle_95(np.concatenate([figure(weights.T @ per_group) for weights in draws])) or (value, value)
    if high - low < NO_WIDTH:
        unseen = wilson_interval(0, len(per_group))[1]  # the share of groups that may differ, though none was seen to
        low, high = value - unseen * (value - limits[0]), value + unseen * (limits[1] - value)
    return Interval(value, min(low, value), max(high, value))


def grouped_mean(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    num_resamples: int = 1000,
) -> Interval:
    """Return the mean of one value a film with its 95 % interval; None throughout where there is no film.

    Paired comparisons are means too: of the difference on each film.

    Args:
        values: (n,) float, one a film; NaN where a film has none, which leaves it out.
        groups: (n,) int; films of equal number are not independent.
        limits: The least and the largest value there can be.
        seed: Decides the draws.
        num_resamples: How many times the groups are drawn.

    Raises:
        InputError: There is not one group a film.
    """
    numbers, group_of = np.asarray(values, np.float64), np.asarray(groups)
    if numbers.ndim != 1 or numbers.shape != group_of.shape:
        raise InputError(f"Expected one group a value, received shapes {numbers.shape} and {group_of.shape}.")
    known = np.isfinite(numbers)
    columns = np.stack((numbers[known], np.ones(int(known.sum()))), axis=1)
    return grouped_interval(
        columns,
        group_of[known],
        lambda sums: sums[:, 0] / sums[:, 1],
        limits=limits,
        seed=seed,
        num_resamples=num_resamples,
    )
