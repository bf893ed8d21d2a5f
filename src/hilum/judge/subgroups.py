"""The same score, group by group: where films came from, how they were taken, how large they are, what file they are.

A model that is right on one hospital's films and wrong on another's has learnt the hospital. A group that holds one
finding alone is a warning of its own: whatever tells the group, tells the finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.data.folder import FilmRecord
from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import Interval
from hilum.judge.metrics import performance

__all__ = ["SMALL", "Subgroup", "score_subgroups", "size_class", "traits_of"]

SMALL = 30  # films; below it, an interval spans some 30 points or more
_MOST_VALUES = 12  # of a column; more tell films apart, not groups
_SIZES_PX = (256, 512, 1024, 2048)


def traits_of(radiograph: Radiograph) -> dict[str, str]:
    """Return what a film's file says of its making: size class, file format and, where known, view position."""
    traits = {"size": size_class(radiograph.original_size_px), "file format": radiograph.file_format.upper()}
    if radiograph.view_position:
        traits["view position"] = radiograph.view_position
    return traits


def size_class(size_px: tuple[int, int]) -> str:
    """Return the class of a film's size by its longer side.

    Example:
        >>> size_class((1024, 800))
        '1024-2047 px'
    """
    side = max(size_px)
    above = next((limit for limit in _SIZES_PX if side < limit), None)
    if above is None:
        return f"{_SIZES_PX[-1]} px and more"
    at = _SIZES_PX.index(above)
    return f"{_SIZES_PX[at - 1]}-{above - 1} px" if at else f"below {above} px"


@dataclass(frozen=True)
class Subgroup:
    """The figures of the films that share one value of a column.

    Attributes:
        value: The value.
        n: How many films there are.
        findings: Finding to how many of them show it; findings without films are left out.
        accuracy: With Wilson's interval.
        auroc_macro: With a bootstrap's.
        small: Whether there are fewer than `SMALL` films.
    """

    value: str
    n: int
    findings: Mapping[str, int]
    accuracy: Interval
    auroc_macro: Interval
    small: bool


def score_subgroups(
    records: Sequence[FilmRecord],
    traits: Mapping[str, Mapping[str, str]],
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    groups: NDArray[np.int64],
    findings: Sequence[str],
) -> dict[str, tuple[Subgroup, ...]]:
    """Return the figures of every subgroup.

    Args:
        records: n films.
        traits: Path to what is known of a film, by column.
        truth: (n,) index of the true finding.
        probabilities: (n, K).
        groups: (n,) films of equal number are not independent.
        findings: The K names.

    Returns:
        Column to its values, most films first. Films of which a column is not known stand under "not stated"; a column
        known of none is left out.
    """
    known = [dict(traits.get(record.path, {})) for record in records]
    for record, stated in zip(records, known, strict=True):
        if record.source:
            stated["source"] = record.source
    columns = sorted({column for stated in known for column in stated}, key=lambda one: (one != "source", one))
    tables = {}
    for column in columns:
        values = np.array([stated.get(column, "not stated") for stated in known])
        tables[column] = tuple(
            _subgroup(value, truth[values == value], probabilities[values == value], groups[values == value], findings)
            for value, _ in Counter(values.tolist()).most_common(_MOST_VALUES)
        )
    return tables


def _subgroup(
    value: str,
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: NDArray[np.int64],
    findings: Sequence[str],
) -> Subgroup:
    thresholds = dict.fromkeys(findings, 0.5)
    figures = performance(truth, probabilities, findings, groups=groups, operating_thresholds=thresholds)
    held = np.bincount(truth, minlength=len(findings))
    return Subgroup(
        value=value,
        n=len(truth),
        findings={name: int(count) for name, count in zip(findings, held, strict=True) if count},
        accuracy=figures.accuracy,
        auroc_macro=figures.auroc_macro,
        small=len(truth) < SMALL,
    )
