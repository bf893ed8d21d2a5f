"""Conformal thresholds that refuse few films: none of the films a finding is known by should fit no finding at all.

A threshold for a coverage of 90 % leaves out a tenth of a finding's films, and where findings are told apart well those
fit no finding: they would be refused though nothing is odd about them. As long as a threshold stays below one half,
raising it takes no second finding into any set, since a finding within it is likelier than all others together and so
the likeliest, which every set holds. So thresholds are raised, up to one half, until they leave out few films.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from hilum.judge.calibrate import conformal_thresholds

__all__ = ["REFUSED_FRACTION", "sparing_thresholds"]

REFUSED_FRACTION = 0.025  # of a finding's films that may fit no finding
_HIGHEST = 0.5


def sparing_thresholds(
    limits: Mapping[str, Mapping[str, Any]],
    probabilities: npt.ArrayLike,
    truth: npt.ArrayLike,
    findings: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return conformal thresholds of the same sets, by which fewer films fit no finding.

    Args:
        limits: As `conformal_thresholds` or `cross_conformal_thresholds` returns them for these films.
        probabilities: (n, K) calibrated.
        truth: (n,) int, index of the true finding.
        findings: The K names, in the order of the columns.

    Returns:
        The limits, each threshold raised to one half at most, where it leaves out more than `REFUSED_FRACTION` of the
        films that it was made from; all else in them stays.
    """
    wide = conformal_thresholds(probabilities, truth, findings, 1 - REFUSED_FRACTION)
    return {
        name: {**limit, "threshold": max(limit["threshold"], min(wide[name]["threshold"], _HIGHEST))}
        for name, limit in limits.items()
    }
