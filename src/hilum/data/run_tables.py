"""Reads and writes the tables in a folder of `hilum train` or `hilum evaluate`: splits.csv and predictions.csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.data.labels import FilmRecord
from hilum.errors import InputError
from hilum.files import replace_file
from hilum.text import plain_cell, plain_path, write_csv

__all__ = ["PROBABILITY", "SavedPredictions", "SplitRow", "read_predictions", "read_splits", "write_splits"]

_SPLITS = ("train", "validation", "test")
_COLUMNS = ("path", "finding", "split", "group")  # of splits.csv
PROBABILITY = "probability_"  # prefix of the columns of predictions.csv that hold the probability of a finding
_WHOLE_PARTS = ("test", "validation", "cross_validation")  # in these, every film has a probability of every finding


@dataclass(frozen=True)
class SplitRow:
    """One line of splits.csv.

    Attributes:
        path: The film's path relative to the data set's root, with "/" as separator.
        finding: Its reference standard.
        split: "train", "validation" or "test".
        group: The number of its group.
    """

    path: str
    finding: str
    split: str
    group: int


def write_splits(
    path: Path, records: Sequence[FilmRecord | SplitRow], splits: Sequence[str], groups: np.ndarray
) -> None:
    """Write splits.csv with path, finding, split and group; it can be used as a manifest of the same split."""
    text = io.StringIO()
    rows = zip(records, splits, groups, strict=True)
    write_csv(text, _COLUMNS, [(record.path, record.finding, split, int(group)) for record, split, group in rows])
    replace_file(path, text.getvalue().encode("utf-8", "surrogateescape"))  # names that are not UTF-8 keep their bytes


def read_splits(path: Path) -> tuple[SplitRow, ...]:
    """Return the lines of a splits.csv, in its order.

    Raises:
        InputError: The file is missing or is not a file of write_splits.
    """
    fix = "Give the splits.csv of a finished `hilum train` run."
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                received = ", ".join(reader.fieldnames or ()) or "none"
                raise InputError(f"`{path}` has the columns {received}; expected {', '.join(_COLUMNS)}.", fix=fix)
            rows = tuple(
                SplitRow(plain_path(row["path"]), plain_cell(row["finding"]), row["split"], int(row["group"]))
                for row in reader
                if _is_whole(row)
            )
            num_lines = reader.line_num
    except OSError as error:
        raise InputError(f"Cannot read the splits `{path}`: {error.strerror}.", fix="Check the path.") from error
    except (csv.Error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot read the splits `{path}`: {error}.", fix=fix) from error
    if not rows:
        raise InputError(f"The splits `{path}` name no films in {num_lines} lines.", fix=fix)
    return rows


def _is_whole(row: dict[str, str]) -> bool:
    if None in row or None in row.values() or row["split"] not in _SPLITS:
        raise ValueError(f"a line is cut short, or its split is not one of {', '.join(_SPLITS)}")
    return True


@dataclass(frozen=True, eq=False)
class SavedPredictions:
    """The predictions of one model in a folder of `train` or `evaluate`.

    Attributes:
        name: The folder's name.
        findings: The model's findings.
        parts: {part: {path: line of predictions.csv}}; parts are "test", "validation" and "cross_validation".
        groups: {path: group} from splits.csv; empty where there is no such file.
        clean: Paths of the clean test films of this model; None where they are not known.
    """

    name: str
    findings: tuple[str, ...]
    parts: Mapping[str, Mapping[str, Mapping[str, str]]]
    groups: Mapping[str, int]
    clean: frozenset[str] | None


def read_predictions(folder: Path) -> SavedPredictions:
    """Return the predictions in a folder of `hilum train` or `hilum evaluate`.

    Raises:
        InputError: The folder does not exist or has no valid predictions.csv.
    """
    if not folder.is_dir():
        raise InputError(
            f"Cannot compare `{folder}`: it is not a folder. Expected a folder of `hilum train` or `hilum evaluate`.",
            fix="Check the path.",
        )
    path = folder / "predictions.csv"
    fix = "Give a folder of a finished `hilum train` or `hilum evaluate`."
    parts: dict[str, dict[str, dict[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            header = tuple(reader.fieldnames or ())
            if header[:4] != ("path", "part", "finding", "predicted"):
                raise InputError(f"`{path}` is not a predictions.csv of hilum.", fix=fix)
            findings = tuple(name.removeprefix(PROBABILITY) for name in header if name.startswith(PROBABILITY))
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"line {reader.line_num} is cut short")
                for name in findings if row["part"] in _WHOLE_PARTS else ():
                    float(row[PROBABILITY + name])
                row["path"] = plain_path(row["path"])
                row["finding"], row["predicted"] = plain_cell(row["finding"]), plain_cell(row["predicted"])
                parts.setdefault(row["part"], {})[row["path"]] = row
    except OSError as error:
        raise InputError(
            f"Cannot read the predictions in `{folder}`: {path.name}: {error.strerror}.", fix=fix
        ) from error
    except (csv.Error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot read `{path}`: {error}.", fix=fix) from error
    groups, clean = _clean_films(folder)
    return SavedPredictions(folder.resolve().name, findings, parts, groups, clean)


def _clean_films(folder: Path) -> tuple[dict[str, int], frozenset[str] | None]:
    """Return the groups of a folder's films, and which of its test films are clean."""
    if not (folder / "splits.csv").exists():
        return {}, None
    rows = read_splits(folder / "splits.csv")
    groups = {row.path: row.group for row in rows}
    trained = {row.group for row in rows if row.split != "test"}
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        trained |= {groups[path] for path in (metrics.get("trained_on") or {}).get("paths", ()) if path in groups}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"Cannot read the figures in `{folder}`: metrics.json: {error}.",
            fix="Run the command that wrote the folder again.",
        ) from error
    return groups, frozenset(row.path for row in rows if row.split == "test" and row.group not in trained)
