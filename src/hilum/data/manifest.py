"""CSV manifests, whose lines name films and findings: those that are read, and the columns of hilum's own."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hilum.data.columns import (
    Columns,
    Listing,
    check_columns,
    column_key,
    find_columns,
    is_column,
    looks_like_film,
    names_patients,
    quoted,
)
from hilum.data.known_sets import find_known_set, read_known_set
from hilum.data.labels import FilmRecord, Remark, age_in_years, and_list, sex_named, states_nothing
from hilum.data.names import PARTS, part_named
from hilum.data.places import place_films
from hilum.data.table import TABLE_SUFFIXES, cell_text, open_table
from hilum.errors import InconsistentDataset, nearest_name
from hilum.text import plain_cell

__all__ = [
    "film_cells",
    "film_key",
    "find_marks",
    "group_columns",
    "is_manifest",
    "marked_finding",
    "read_manifest",
    "refuse_single_mark",
]

_MOST_VALUES = 12  # values in a column that defines groups
_REVIEW = ("decision", "who", "when")  # columns of `hilum review`
_ONES = {"1", "1.0", "true", "yes", "t", "y", "x"}
_ZEROS = {"0", "0.0", "false", "no", "f", "n", "", "nan", "na", "none", "null"}
_OPEN = {"-1", "-1.0"}
_NO_MARKS = re.compile(  # columns of 0 and 1 that are not findings
    r"sex|gender|(?:is)?(?:fe)?male|man|woman|(?:is)?(?:pa|ap|frontal|lateral|portable|view)|id|no|nr|number|index"
    r"|unnamed\d*|(?:current)?smok(?:er|ing)|icu|intubated|died|death|dead|deceased|survival|mortality|outcome|inpatient"
    r"|(?:is)?(?:train|test|val|valid|validation|training|testing|holdout)(?:set)?|fold|split|set|view|laterality"
)


def find_marks(columns: Columns, rows: Sequence[Sequence[str]]) -> Columns:
    """Return the columns with ``marks`` set, if the list has two or more columns of 0 and 1."""
    marks = _marks_in(columns, rows)
    return replace(columns, marks=marks) if len(marks) > 1 else columns


def refuse_single_mark(path: Path, columns: Columns, rows: Sequence[Sequence[str]]) -> None:
    """Raise InconsistentDataset if the findings are a single column of 0 and 1, since the meaning of 0 is unknown."""
    marks = _marks_in(columns, rows)
    if len(marks) == 1:
        name = columns.header[marks[0]]
        raise InconsistentDataset(
            f"The manifest `{path}` has one column of 0 and 1, `{name}`, and no column of findings. It does not say "
            "what the films with 0 show.",
            fix=f"To use 0 and 1 as the findings, add --column finding={quoted(name)}. Or add a column for the second "
            f"finding: path,{name},Normal",
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
            and not states_nothing(name)
            and cells & _ONES
            and cells <= _ONES | _ZEROS | _OPEN
        ):
            marks.append(place)
    return tuple(marks)


def marked_finding(columns: Columns, row: Sequence[str]) -> str:
    """Return the label of a row of 0 and 1: the names of the columns with a 1, separated by ``|``.

    The label is empty without a 1. Beside a 1, a -1 ("uncertain" in CheXpert) adds its finding to the label.
    """
    cells = [(columns.header[place], row[place].lower()) for place in columns.marks]
    if not any(cell in _ONES for _, cell in cells):
        return ""
    return "|".join(name for name, cell in cells if cell in _ONES or cell in _OPEN)


_PART_COLUMN = re.compile(r"(?:is)?(?:train|training|test|testing|val|valid|validation|holdout)(?:set)?")
_NO_PATIENT = frozenset(
    ("", "NA", "N/A", "NAN", "NONE", "NULL", "UNKNOWN", "ANON", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "-", "?")
)
_NEEDED = ("path", "finding")


@dataclass(frozen=True)
class _Rows:
    """The lines of a list, and the places of its films below ``root``."""

    columns: Columns
    lines: list[int]
    rows: list[list[str]]
    root: str
    places: list[str]
    remarks: list[Remark]


def is_manifest(path: Path) -> bool:
    """Return whether a path names a list by its suffix."""
    return path.suffix.lower() in TABLE_SUFFIXES


def read_manifest(manifest: Path) -> tuple[Path, list[FilmRecord], list[Remark]]:
    """Return the folder that films are relative to, the films with their labels as found, and remarks.

    Args:
        manifest: The list; a `Listing` names its columns.

    Raises:
        InconsistentDataset: Lines or columns are missing or contradict each other.
        InputError: The list cannot be read, or lacks a column that the user named.
    """
    found = _read(manifest)
    columns = found.columns
    records: list[FilmRecord] = []
    without: list[str] = []
    lines_of: dict[str, int] = {}
    for line, row, place in zip(found.lines, found.rows, found.places, strict=True):
        where = f"Line {line} of `{manifest}`"
        if place in lines_of:
            raise InconsistentDataset(
                f"{where} names the film `{place}`, which line {lines_of[place]} names already.",
                fix="Keep one of the two lines.",
            )
        lines_of[place] = line
        label = unicodedata.normalize("NFC", _label(columns, row))
        if not label and columns.marks:
            without.append(place)
            continue
        if not label:
            said = columns.cell(row, "finding")
            raise InconsistentDataset(
                f"{where} gives no finding for `{place}`{f', but `{said}`' if said else ''}.",
                fix="Fill in the finding, or remove the line.",
            )
        part = columns.cell(row, "split")
        if part and part_named(part) is None:
            raise InconsistentDataset(
                f"{where} has the split `{part}`. {nearest_name(part, PARTS)}",
                fix="Correct the split, or leave it empty.",
            )
        patient = columns.cell(row, "patient")
        records.append(
            FilmRecord(
                place,
                label,
                part_named(part),
                patient if patient.upper() not in _NO_PATIENT else None,
                columns.cell(row, "source") or None,
                columns.cell(row, "group") or None,
                age_in_years(columns.cell(row, "age")),
                sex_named(columns.cell(row, "sex")),
            )
        )
    remarks = found.remarks
    if without:
        marks = ", ".join(columns.header[place] for place in columns.marks[:6])
        number = f"{len(without):,} films have" if len(without) > 1 else "1 film has"
        message = f"{number} no 1 in the columns of findings ({marks}). Without a finding, films are left out."
        remarks.append(Remark("left-out", message, tuple(sorted(without)), "warning"))
    own = os.path.abspath(manifest.parent)  # noqa: PTH100
    return manifest.parent if found.root == own else Path(found.root), records, remarks


def group_columns(data: Path) -> dict[str, dict[str, str]]:
    """Return {absolute path: {column: value}} of the columns of a CSV manifest that define groups, if any.

    Only columns with 2 to 12 values are returned, and never columns of patients or those of `hilum review`. Of a
    known public set, view position and sex are returned.
    """
    if known := find_known_set(data):
        return {
            film_key(known.root, film.record.path): {
                name: value for name, value in (("view position", film.view), ("sex", film.record.sex)) if value
            }
            for film in read_known_set(known)[0]
        }
    if not data.is_file():
        return {}
    found = _read(data)
    taken = set(found.columns.marks)
    taken |= {found.columns.places.get(role, -1) for role in ("path", "finding", "split", "patient", "source")}
    places = {name.lower(): at for at, name in enumerate(found.columns.header) if name and at not in taken}
    kept = {
        "view position" if name == "view" else name: at
        for name, at in places.items()
        if name not in _REVIEW
        and not names_patients(name)
        and 2 <= len({row[at] for row in found.rows}) <= _MOST_VALUES
    }
    return {
        film_key(Path(found.root), film): {name: row[at] for name, at in kept.items() if row[at]}
        for row, film in zip(found.rows, found.places, strict=True)
    }


def film_key(root: Path, path: str) -> str:
    """Return what `group_columns` calls a film: its path, made absolute without following links."""
    return os.path.normcase(os.path.abspath(root / path))  # noqa: PTH100


def _read(manifest: Path) -> _Rows:
    given: Mapping[str, str] = manifest.columns if isinstance(manifest, Listing) else {}
    with open_table(manifest, is_known=lambda name: is_column(name) or name.strip() in given.values()) as table:
        columns = find_columns(manifest, table.header, given, needed=_NEEDED)
        if "path" not in columns.places:
            _refuse_bare_list(manifest, table.header)
            check_columns(manifest, columns, _NEEDED)
        numbered = list(table.rows)
    lines, rows = [line for line, _ in numbered], [row for _, row in numbered]
    if "split" not in given:
        columns = _without_other_split(columns, rows)
    if "finding" not in columns.places:
        columns = find_marks(columns, rows)
        if not columns.marks:
            check_columns(manifest, columns, ("path",))  # first report a misspelt column name
            refuse_single_mark(manifest, columns, rows)
    check_columns(manifest, columns, ("path",) if columns.marks else _NEEDED)
    root, places, remarks = place_films(manifest, [columns.cell(row, "path") for row in rows], lines)
    if summary := columns.summary():
        remarks.insert(0, Remark("columns", summary))
    remarks += _column_remarks(columns, lines, rows)
    return _Rows(columns, lines, [[plain_cell(cell_text(cell)) for cell in row] for row in rows], root, places, remarks)


def _column_remarks(columns: Columns, lines: Sequence[int], rows: Sequence[Sequence[str]]) -> list[Remark]:
    """Return remarks on an encoding that had to be guessed, and on columns that look like parts and are not read."""
    remarks = []
    guessed = [line for line, row in zip(lines, rows, strict=True) if any(cell_text(cell) != cell for cell in row)]
    if guessed:  # only findings are shown: other cells may hold names of patients
        findings = ((line, columns.cell(row, "finding")) for line, row in zip(lines, rows, strict=True))
        shown = (f"line {line} holds `{cell_text(cell)}`" for line, cell in findings if cell_text(cell) != cell)
        text = f"The list is not in UTF-8. It is read as Windows-1252; {next(shown, f'see line {guessed[0]}')}."
        remarks.append(Remark("columns", f"{text} If that is wrong, save the list in UTF-8."))
    used = set(columns.places.values())
    parts = [
        name for at, name in enumerate(columns.header) if at not in used and _PART_COLUMN.fullmatch(column_key(name))
    ]
    if parts and "split" not in columns.places:
        are = "is" if len(parts) == 1 else "are"
        text = f"{and_list(parts)} {are} not read. To say which films are the test part, add a column `split`."
        remarks.append(Remark("columns", text))
    return remarks


def _without_other_split(columns: Columns, rows: Sequence[Sequence[str]]) -> Columns:
    """Return the columns without a split column of another name, such as `set`, whose cells are not parts."""
    if "split" not in columns.places or columns.header[columns.places["split"]].lower() == "split":
        return columns
    cells = {columns.cell(row, "split") for row in rows} - {""}
    if cells and all(map(part_named, cells)):
        return columns
    return replace(columns, places={role: place for role, place in columns.places.items() if role != "split"})


def _refuse_bare_list(manifest: Path, header: Sequence[str]) -> None:
    if len(header) == 1 and (looks_like_film(header) or manifest.suffix.lower() == ".txt"):
        raise InconsistentDataset(
            f"`{manifest}` is a list of paths without findings. `hilum predict` takes such a list; here a CSV with the "
            "columns path and finding is expected.",
            fix=f"Write path,finding as the first line, then one line per film, such as {header[0]},Normal",
        )


def _label(columns: Columns, row: Sequence[str]) -> str:
    if columns.marks:
        return marked_finding(columns, row)
    cell = columns.cell(row, "finding")
    return "" if states_nothing(cell) else cell


def film_cells(record: FilmRecord, place: Callable[[str], str]) -> tuple[str, ...]:
    """Return a film's cells for `ROLES`, in this order; ``place`` is from `path_writer`."""
    age = "" if record.age_years is None else f"{record.age_years:g}"
    named = (record.finding, record.split or "", record.patient or "", record.source or "", record.group or "")
    return (place(record.path), *named, age, record.sex or "")
