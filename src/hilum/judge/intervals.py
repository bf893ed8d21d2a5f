"""95 % intervals of a mean over films that are not independent: one value a film, whole groups drawn with replacement.

Source: Field, Welsh 2007, Bootstrapping clustered data.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError
from hilum.judge.metrics import wilson_interval

__all__ = ["grouped_mean"]

Interval = dict[str, float | None]


def grouped_mean(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    num_resamples: int = 1000,
) -> Interval:
    """Return the mean of one value a film with its 95 % interval; None throughout where there is no film.

    Paired comparisons are means too: of the difference on each film. Where no resample differs from another (every
    film gave the same value) the bootstrap would claim certainty; Wilson's limit for none of that many groups
    stands in: so many may lie at either end of what is possible.

    Args:
        values: (n,) float, one a film; NaN where a film has none, which leaves it out.
        groups: (n,) int; films of equal number are not independent.
        limits: The least and the largest value there can be.
        seed: Of the bootstrap.
        num_resamples: Of the bootstrap.

    Returns:
        {"value", "low", "high"}.

    Raises:
        InputError: There is not one group a film.
    """
    numbers, group_of = np.asarray(values, np.float64), np.asarray(groups)
    if numbers.ndim != 1 or numbers.shape != group_of.shape:
        raise InputError(f"Expected one group a value, received shapes {numbers.shape} and {group_of.shape}.")
    known = np.isfinite(numbers)
    numbers, group_of = numbers[known], np.unique(group_of[known], return_inverse=True)[1]
    if not numbers.size:
        return {"value": None, "low": None, "high": None}
    sums, counts = np.bincount(group_of, weights=numbers), np.bincount(group_of)
    value = float(numbers.mean())
    picks = np.random.default_rng(seed).integers(len(sums), size=(num_resamples, len(sums)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = (float(limit) for limit in np.quantile(means, (0.025, 0.975)))
    if high - low < 1e-12:
        unseen = wilson_interval(0, len(sums))[1]  # the share of groups that may differ, though none was seen to
        low, high = value - unseen * (value - limits[0]), value + unseen * (limits[1] - value)
    return {"value": value, "low": min(low, value), "high": max(high, value)}
