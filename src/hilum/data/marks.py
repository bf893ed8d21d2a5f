"""Columns of 0 and 1 that stand for one finding each, in lists that have no column of findings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hilum.data.columns import Columns, column_key, quoted
from hilum.errors import InconsistentDataset

__all__ = ["find_marks", "marked_finding", "refuse_single_mark"]

_ONES = {"1", "1.0", "true", "yes", "t", "y", "x"}
_ZEROS = {"0", "0.0", "false", "no", "f", "n", "", "nan", "na", "none", "null"}
_OPEN = {"-1", "-1.0"}
_NO_MARKS = re.compile(  # columns of 0 and 1 that are no findings
    r"sex|gender|(?:is)?(?:fe)?male|man|woman|(?:is)?(?:pa|ap|frontal|lateral|portable|view)|id|no|nr|number|index"
    r"|unnamed\d*|(?:current)?smok(?:er|ing)|icu|intubated|died|death|dead|deceased|survival|mortality|outcome|inpatient"
    r"|(?:is)?(?:train|test|val|valid|validation|training|testing|holdout)(?:set)?|fold|split|set|view|laterality"
)


def find_marks(columns: Columns, rows: Sequence[Sequence[str]]) -> Columns:
    """Return the columns with those of 0 and 1 that stand for one finding each; as they are where there are no two."""
    marks = _marks_in(columns, rows)
    return replace(columns, marks=marks) if len(marks) > 1 else columns


def refuse_single_mark(path: Path, columns: Columns, rows: Sequence[Sequence[str]]) -> None:
    """Refuse a list whose findings are one column of 0 and 1: what its 0 means would be a guess.

    Raises:
        InconsistentDataset: It is so.
    """
    marks = _marks_in(columns, rows)
    if len(marks) == 1:
        name = columns.header[marks[0]]
        raise InconsistentDataset(
            f"The manifest `{path}` has one column of 0 and 1, `{name}`, and none of findings: it does not say what "
            "the films with 0 show.",
            fix=f"For the classes 0 and 1 add --column finding={quoted(name)}, or name the second finding in a column "
            f"of its own: path,{name},Normal",
        )


def _marks_in(columns: Columns, rows: Sequence[Sequence[str]]) -> tuple[int, ...]:
    taken = set(columns.places.values())
    marks = []
    for place, name in enumerate(columns.header):
        cells = {row[place].lower() for row in rows}
        if (
            place not in taken
            and name
            and not _NO_MARKS.fullmatch(column_key(name))
            and cells & _ONES
            and cells <= _ONES | _ZEROS | _OPEN
        ):
            marks.append(place)
    return tuple(marks)


def marked_finding(columns: Columns, row: Sequence[str]) -> str:
    """Return the label of a row of 0 and 1: the name of its column, several with ``|`` between, nothing without a 1.

    A -1 (CheXpert's word for "uncertain") leaves its finding open.
    """
    cells = [(columns.header[place], row[place].lower()) for place in columns.marks]
    if not any(cell in _ONES for _, cell in cells):
        return ""
    return "|".join(name for name, cell in cells if cell in _ONES or cell in _OPEN)
