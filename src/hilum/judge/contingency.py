"""How far two things go together in a table of counts: Cramér's V, its interval and its p-value.

Sources:
    Cramér 1946, Mathematical methods of statistics, chapter 21.
    Bergsma 2013, A bias-correction for Cramér's V and Tschuprow's T.
"""

from __future__ import annotations

import math

import numpy as np

from hilum.judge.intervals import Interval

__all__ = ["chi_squared_tail", "cramers_v", "cramers_v_interval"]


def cramers_v(table: np.ndarray) -> tuple[float, float]:
    """Return the bias-corrected Cramér's V of a table of counts, and the p-value of its chi-squared test.

    Args:
        table: (r, c) int; rows and columns without a count are left out.

    Returns:
        V in [0, 1], and p in [0, 1]; (0, 1) where nothing varies.
    """
    value, squared, degrees = _association(table)
    return value, chi_squared_tail(squared, degrees) if degrees else 1.0


def cramers_v_interval(table: np.ndarray, num_resamples: int = 400) -> Interval:
    """Return Cramér's V of a table of counts (r, c) with its 95 % percentile interval over resampled tables."""
    rng, n, value = np.random.default_rng(0), int(table.sum()), _association(table)[0]
    drawn = rng.multinomial(n, (table / n).ravel(), num_resamples).reshape(num_resamples, *table.shape)
    low, high = np.percentile([_association(one)[0] for one in drawn], [2.5, 97.5])
    return Interval(value, min(float(low), value), max(float(high), value))


def chi_squared_tail(value: float, degrees: int) -> float:
    """Return how often chi squared with so many degrees of freedom is at least this large: its survival function.

    Source: Abramowitz, Stegun 1964, 26.4.4 and 26.4.5 (finite sums for whole degrees of freedom).
    """
    half, is_odd = value / 2, degrees % 2
    total = math.erfc(math.sqrt(half)) if is_odd else 0.0
    for number in range(degrees // 2):
        power = number + is_odd / 2
        total += math.exp(power * math.log(half) - half - math.lgamma(power + 1)) if half > 0 else float(power == 0)
    return min(1.0, total)


def _association(table: np.ndarray) -> tuple[float, float, int]:
    """Return the bias-corrected V, chi squared and its degrees of freedom; zeros where nothing varies."""
    kept = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows, columns = kept.shape
    if min(rows, columns) < 2:
        return 0.0, 0.0, 0
    n, degrees = float(kept.sum()), (rows - 1) * (columns - 1)
    expected = np.outer(kept.sum(axis=1), kept.sum(axis=0)) / n
    squared = float((np.square(kept - expected) / expected).sum())
    phi = max(0.0, squared / n - degrees / (n - 1))
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return min(1.0, math.sqrt(phi / least)) if least > 0 else 0.0, squared, degrees
