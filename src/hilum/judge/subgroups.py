"""The same score, group by group: where films came from, how they were taken, how large they are, what file they are.

A model that is right on one hospital's films and wrong on another's has learnt the hospital. A group that holds one
finding alone is a warning of its own: whatever tells the group, tells the finding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.data.folder import FilmRecord
from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import Interval, wilson_interval
from hilum.judge.metrics import Labels, performance

__all__ = [
    "LEAST_FILMS",
    "SMALL",
    "PatientGroups",
    "Subgroup",
    "age_band",
    "score_patient_groups",
    "score_subgroups",
    "size_class",
    "traits_of",
]

SMALL = 30  # films; below it, an interval spans some 30 points or more
LEAST_FILMS = 10  # of a band of age or a sex; with fewer no figure is given
_BANDS_YEARS = (18, 40, 60, 80)
_SEXES = {"F": "female", "M": "male"}
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
    return _band(max(size_px), _SIZES_PX, "px", "below", "more")


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


@dataclass(frozen=True)
class PatientGroups:
    """The figures by age band or by sex.

    Attributes:
        groups: Those that have films; one with fewer than `LEAST_FILMS` has no figures.
        worst: The value of the group with the lowest accuracy; None where fewer than two groups have figures.
        is_surely_worse: Whether it is worse than all other films by more than chance, as one of that many groups.
        n_unknown: Films of which it is not known.
    """

    groups: tuple[Subgroup, ...]
    worst: str | None
    is_surely_worse: bool
    n_unknown: int


def age_band(years: float) -> str:
    """Return the band of an age.

    Example:
        >>> age_band(17.9), age_band(18), age_band(80)
        ('under 18 years', '18-39 years', '80 years and over')
    """
    return _band(years, _BANDS_YEARS, "years", "under", "over")


def _band(value: float, limits: Sequence[int], unit: str, below: str, above: str) -> str:
    at = sum(value >= limit for limit in limits)
    if at == len(limits):
        return f"{limits[-1]} {unit} and {above}"
    return f"{limits[at - 1]}-{limits[at] - 1} {unit}" if at else f"{below} {limits[0]} {unit}"


def score_patient_groups(
    records: Sequence[FilmRecord], probabilities: NDArray[np.float64], labels: Labels
) -> dict[str, PatientGroups]:
    """Return the figures by age band and by sex: "age" and "sex"; what is known of no film is left out.

    Args:
        records: n films with age and sex where they are known.
        probabilities: (n, K).
        labels: Of these films.
    """
    bands = [age_band(limit) for limit in (0, *_BANDS_YEARS)]
    stated = {
        "age": (bands, ["" if one.age_years is None else age_band(one.age_years) for one in records]),
        "sex": (list(_SEXES.values()), [_SEXES.get(one.sex or "", "") for one in records]),
    }
    tables = {}
    for column, (order, told) in stated.items():
        values = np.array(told, dtype=object)
        rows = [
            _subgroup(value, probabilities[values == value], labels.of(values == value))
            for value in order
            if (values == value).any()
        ]
        if rows:
            shown = tuple(row if row.n >= LEAST_FILMS else _without_figures(row) for row in rows)
            judged = [row for row in shown if row.accuracy.value is not None]
            worst = min(judged, key=lambda row: row.accuracy.value or 0.0).value if len(judged) > 1 else None
            right = probabilities.argmax(axis=1) == labels.truth
            inside, others = right[values == worst], right[(values != worst) & (values != "")]
            is_worse = worst is not None and _is_surely_worse(inside, others, len(judged))
            tables[column] = PatientGroups(shown, worst, is_worse, int((values == "").sum()))
    return tables


def _is_surely_worse(inside: NDArray[np.bool_], others: NDArray[np.bool_], num_groups: int) -> bool:
    """Return whether a group is right less often than the others, though it was picked as the worst of several.

    Source: Newcombe 1998, Interval estimation for the difference between independent proportions (method 10), with
    Bonferroni's correction for the number of groups.
    """
    confidence = 1 - 0.05 / num_groups
    high = wilson_interval(float(inside.sum()), len(inside), confidence)[1]
    low = wilson_interval(float(others.sum()), len(others), confidence)[0]
    share, rest = float(inside.mean()), float(others.mean())
    return rest - share > math.hypot(high - share, rest - low)


def _without_figures(row: Subgroup) -> Subgroup:
    return replace(row, accuracy=Interval(), auroc_macro=Interval())


def score_subgroups(
    records: Sequence[FilmRecord],
    traits: Mapping[str, Mapping[str, str]],
    probabilities: NDArray[np.float64],
    labels: Labels,
) -> dict[str, tuple[Subgroup, ...]]:
    """Return the figures of every subgroup.

    Args:
        records: n films.
        traits: Path to what is known of a film, by column.
        probabilities: (n, K).
        labels: Of these films.

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
            _subgroup(value, probabilities[values == value], labels.of(values == value))
            for value, _ in Counter(values.tolist()).most_common(_MOST_VALUES)
        )
    return tables


def _subgroup(value: str, probabilities: NDArray[np.float64], labels: Labels) -> Subgroup:
    truth, findings = labels.truth, labels.findings
    figures = performance(truth, probabilities, findings, groups=labels.groups)
    held = np.bincount(truth, minlength=len(findings))
    return Subgroup(
        value=value,
        n=len(truth),
        findings={name: int(count) for name, count in zip(findings, held, strict=True) if count},
        accuracy=figures.accuracy,
        auroc_macro=figures.auroc_macro,
        small=len(truth) < SMALL,
    )
