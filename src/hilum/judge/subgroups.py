"""The same score, group by group: where films came from, how they were taken, how large they are, what file they are.

A model that is right on one hospital's films and wrong on another's has learnt the hospital. A group that holds one
finding alone is a warning of its own: whatever tells the group, tells the finding.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.data.folder import FilmRecord
from hilum.data.manifest import further_columns
from hilum.film.radiograph import Radiograph
from hilum.judge.metrics import performance

__all__ = ["SMALL", "film_key", "manifest_columns", "score_subgroups", "size_class", "traits_of"]

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


def manifest_columns(data: Path) -> dict[str, dict[str, str]]:
    """Return absolute path -> {column: value} for the further columns of a CSV manifest that make groups; else nothing.

    Columns with one value or with more than 12 are left out, and so is every patient's key.
    """
    if not data.is_file():
        return {}
    rows = further_columns(data)
    names = next(iter(rows.values()), {})
    kept = [name for name in names if 2 <= len({row[name] for row in rows.values()}) <= _MOST_VALUES]
    return {
        os.path.normcase(path): {("view position" if name == "view" else name): row[name] for name in kept if row[name]}
        for path, row in rows.items()
    }


def film_key(root: Path, path: str) -> str:
    """Return what `manifest_columns` calls a film: its path, made absolute without following links."""
    return os.path.normcase(os.path.abspath(root / path))  # noqa: PTH100


def score_subgroups(
    records: Sequence[FilmRecord],
    traits: Mapping[str, Mapping[str, str]],
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    groups: NDArray[np.int64],
    findings: Sequence[str],
) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of every subgroup.

    Args:
        records: n films.
        traits: Path to what is known of a film, by column.
        truth: (n,) index of the true finding.
        probabilities: (n, K).
        groups: (n,) films of equal number are not independent.
        findings: The K names.

    Returns:
        Column to its values, most films first: {"value", "n", "findings": {name: n}, "accuracy": I, "auroc_macro": I,
        "small"}. Films of which a column is not known stand under "not stated"; a column known of none is left out.
    """
    known = [dict(traits.get(record.path, {})) for record in records]
    for record, stated in zip(records, known, strict=True):
        if record.source:
            stated["source"] = record.source
    columns = sorted({column for stated in known for column in stated}, key=lambda one: (one != "source", one))
    tables: dict[str, list[dict[str, Any]]] = {}
    for column in columns:
        values = np.array([stated.get(column, "not stated") for stated in known])
        counted = Counter(values.tolist()).most_common(_MOST_VALUES)
        tables[column] = []
        for value, _ in counted:
            chosen = values == value
            row = _row(value, truth[chosen], probabilities[chosen], groups[chosen], findings)
            tables[column].append(row)
    return tables


def _row(
    value: str,
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: NDArray[np.int64],
    findings: Sequence[str],
) -> dict[str, Any]:
    figures = performance(
        truth,
        probabilities,
        findings,
        groups=groups,
        operating_thresholds=dict.fromkeys(findings, 0.5),
    )
    held = np.bincount(truth, minlength=len(findings))
    return {
        "value": value,
        "n": len(truth),
        "findings": {name: int(count) for name, count in zip(findings, held, strict=True) if count},
        "accuracy": figures["accuracy"],
        "auroc_macro": figures["auroc_macro"],
        "small": len(truth) < SMALL,
    }
