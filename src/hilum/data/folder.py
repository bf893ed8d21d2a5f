"""Data sets as they lie on disk: class folders, train/ and test/ of class folders, or a CSV manifest.

Nothing is opened here but the CSV: whether a file is a film, its bytes tell later.
"""

from __future__ import annotations

import csv
import difflib
import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from hilum.data.walk import film_paths, identity, is_inside, is_skipped, list_folder, walk
from hilum.errors import InconsistentDataset, InputError, nearest_name
from hilum.findings import LONGEST_NAME, name_fault, sorted_findings, standard_name
from hilum.text import plain_cell, printable

__all__ = ["Dataset", "FilmRecord", "film_paths", "read_dataset"]

COLUMNS = ("path", "finding", "split", "patient", "source", "group")
_AGE_COLUMN = "age"  # no name is taken for a misspelt one of three letters
_OLDEST_YEARS = 125
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
_LAYOUT = "Expected a folder with one sub-folder a finding (Normal/, Covid/), or train/ and test/ of such, or a CSV."


@dataclass(frozen=True)
class FilmRecord:
    """One film of a data set.

    Attributes:
        path: Where it lies, relative to the data set's root, with "/" between the parts.
        finding: Its reference standard, under the standard name where findings.py knows one.
        split: "train", "validation" or "test" where the data set says so, else None.
        patient: The manifest's key of the patient; kept out of every message and of repr.
        source: The hospital or public set that the film came from, where the manifest says so.
        group: Films of one group must stay on one side of a split, where the manifest says so.
        age_years: The patient's age, where the manifest says so.
    """

    path: str
    finding: str
    split: str | None
    patient: str | None = field(default=None, repr=False)
    source: str | None = None
    group: str | None = None
    age_years: float | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Dataset:
    """A data set: its films in a fixed order, and the names it gave to the findings.

    Attributes:
        root: The folder that every record's path is relative to.
        name: The folder's name, or the manifest's without its suffix.
        records: The films, sorted by path.
    """

    root: Path
    name: str
    records: tuple[FilmRecord, ...]
    _names: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # (finding, name as found)

    @property
    def findings(self) -> tuple[str, ...]:
        """Return the distinct findings in hilum's one order."""
        return sorted_findings(record.finding for record in self.records)

    @property
    def has_test(self) -> bool:
        """Return whether the data set names a test part of its own."""
        return any(record.split == "test" for record in self.records)

    @property
    def folder_names(self) -> dict[str, tuple[str, ...]]:
        """Return for each finding the names that folders or the manifest use for it."""
        return {
            finding: tuple(sorted({name for known, name in self._names if known == finding}))
            for finding in self.findings
        }


def read_dataset(data: Path, *, min_findings: int = 2) -> Dataset:
    """Return the data set that a folder or a CSV manifest describes.

    Folders that stand for the same finding (Covid/ and COVID-19/) are merged. Class folders are read with all that
    lies below them; a folder `masks` beside a folder `images` holds no films and is left out. A link to a folder
    outside is followed once, one to a folder inside never: a loop cannot hang the reading.

    Args:
        data: A folder of class folders, one with train/ and test/ (val/) of class folders, or a CSV with the columns
            path and finding and optionally split, patient, source, group, age; other columns are left alone. Its
            paths are relative to the CSV's folder, or all absolute.
        min_findings: The fewest findings that make sense for the caller; judging a model can do with one.

    Returns:
        The data set, with its records sorted by path.

    Raises:
        InconsistentDataset: The data set is missing, empty, of one finding only, or does not hold together.
        InputError: A folder in it may not be read.
    """
    data = Path(data)
    if not os.path.exists(data):  # noqa: PTH110 - unlike Path.exists it answers False to every OSError
        kind = "manifest" if data.suffix.lower() == ".csv" else "data folder"
        raise InconsistentDataset(
            f"Cannot read the {kind} `{data}`: it does not exist. {_LAYOUT}", fix="Check the path."
        )
    if data.is_dir():
        records, names = _read_folders(data)
        name, root = data.resolve().name, data
    elif data.suffix.lower() == ".csv":
        root, records, names = _read_manifest(data)
        name = data.stem
    else:
        raise InconsistentDataset(f"Cannot read `{data}` as a data set: it is a file. {_LAYOUT}", fix="Check the path.")
    dataset = Dataset(root, name, tuple(sorted(records, key=lambda record: record.path)), tuple(sorted(set(names))))
    _check(data, dataset, min_findings)
    return dataset


def _check(data: Path, dataset: Dataset, min_findings: int) -> None:
    if not dataset.records:
        raise InconsistentDataset(f"The data set `{data}` holds no films. {_LAYOUT}", fix="Check the path.")
    findings = dataset.findings
    for name in (part for finding in findings for part in finding.split("|")):
        if fault := name_fault(name):
            raise InconsistentDataset(
                f"The name of a finding in `{data}` {fault}: `{printable(name[:LONGEST_NAME])}`.", fix="Rename it."
            )
    if len(findings) < min_findings:
        fix = "Add a folder of films without the finding, such as Normal/."
        inner = data / dataset.folder_names[findings[0]][0]
        if data.is_dir() and inner.is_dir() and len(_folders_in(inner)) > 1:
            fix = f"Did you mean the folder inside it, `{inner}`?"
        raise InconsistentDataset(
            f"The data set `{data}` has {len(findings)} finding ({findings[0]}); expected at least {min_findings}.",
            fix=fix,
        )
    learnt = {record.finding for record in dataset.records if record.split in ("train", None)}
    if not learnt:
        return  # a test part alone: for judging a model, not for making one
    for part in ("test", "validation"):
        extra = sorted_findings({record.finding for record in dataset.records if record.split == part} - learnt)
        if extra:
            raise InconsistentDataset(
                f"The {part} part of `{data}` has the finding `{extra[0]}`, which its train part lacks. "
                f"{nearest_name(extra[0], sorted_findings(learnt))}",
                fix="Give it the same name in both parts, or leave it out.",
            )


# --- folders --------------------------------------------------------------------------------------------------------


def _read_folders(root: Path) -> tuple[list[FilmRecord], list[tuple[str, str]]]:
    folders = _folders_in(root, root)
    parts = {name: SPLIT_NAMES[name.lower()] for name in folders if name.lower() in SPLIT_NAMES}
    class_folders: list[tuple[str, str | None]]
    if parts:
        missing = [name for name in SPLIT_NAMES if SPLIT_NAMES[name] not in parts.values()]
        for name in folders:
            if name not in parts and _close(name, missing):
                raise InconsistentDataset(
                    f"The folder `{name}` in `{root}` stands beside {', '.join(sorted(parts))}, but is no part "
                    f"of a data set. {nearest_name(name, missing)}",
                    fix="Rename it or move it away.",
                )
        class_folders = [(f"{part}/{name}", parts[part]) for part in parts for name in _folders_in(root / part, root)]
    else:
        class_folders = [(name, None) for name in folders]
    inside, visited = os.path.realpath(root), {identity(str(root))}
    records: list[FilmRecord] = []
    names: list[tuple[str, str]] = []
    seen: set[tuple[str, str, str | None]] = set()
    for folder, split in class_folders:
        name = unicodedata.normalize("NFC", folder.rpartition("/")[2])
        finding = standard_name(name)
        found = 0
        for path, real in walk(str(root / folder), inside, visited, skip_masks=True):
            found += 1
            if (real, finding, split) not in seen:  # two links to one file count once
                seen.add((real, finding, split))
                records.append(FilmRecord(Path(os.path.relpath(path, root)).as_posix(), finding, split))
        if not found:
            raise InconsistentDataset(
                f"The class folder `{root / folder}` holds no films.", fix="Put films into it, or remove it."
            )
        names.append((finding, name))
    if not records and any(not is_skipped(path.name, is_folder=False) for path in root.iterdir() if path.is_file()):
        raise InconsistentDataset(
            f"The films in `{root}` lie in no class folder. {_LAYOUT}", fix="Move each film into its finding's folder."
        )
    return records, names


def _folders_in(folder: Path, root: Path | None = None) -> list[str]:
    """Return the sorted names of a folder's sub-folders; with a root, without loops and with no film counted twice."""
    names, folders, links = list_folder(str(folder))
    if root is None:
        return [name for name in names if name in folders]
    found, real_root = [], os.path.realpath(root)
    for name in (name for name in names if name in folders):
        target = os.path.realpath(folder / name) if name in links else ""
        if target and is_inside(real_root, target):
            continue  # a link to the data set itself or above it
        if target and is_inside(target, real_root):
            raise InconsistentDataset(
                f"The folder `{folder / name}` is a link into the same data set: its films would count twice.",
                fix="Remove the link.",
            )
        found.append(name)
    return found


# --- manifest -------------------------------------------------------------------------------------------------------


def _read_manifest(manifest: Path) -> tuple[Path, list[FilmRecord], list[tuple[str, str]]]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            _check_header(manifest, header)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise InputError(f"Cannot read the manifest `{manifest}`: {error.strerror}.", fix="Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InconsistentDataset(
            f"Cannot read the manifest `{manifest}`: {error}.", fix="Save it as CSV, separated by commas, in UTF-8."
        ) from error
    root = os.path.abspath(manifest.parent)  # noqa: PTH100 - lexical, as links may lead out of the folder
    named = [row[header.index("path")].strip() for _, row in rows if len(row) == len(header)]
    if named and all(os.path.isabs(path) for path in named):  # noqa: PTH117
        common = os.path.commonpath([os.path.dirname(os.path.normpath(path)) for path in named])  # noqa: PTH120
        root = root if is_inside(common, root) else common
    records: list[FilmRecord] = []
    names: list[tuple[str, str]] = []
    lines_of: dict[str, int] = {}
    for line, row in rows:
        where = f"Line {line} of `{manifest}`"
        if len(row) != len(header):
            raise InconsistentDataset(
                f"{where} has {len(row)} cells; expected {len(header)}, as in its first line.",
                fix="Put cells that hold a comma in quotes.",
            )
        cells = {name: plain_cell(cell.strip()) for name, cell in zip(header, row, strict=True)}
        path = _path_in(root, cells["path"], where)
        if path in lines_of:
            raise InconsistentDataset(
                f"{where} names the film `{path}`, which line {lines_of[path]} names already.",
                fix="Keep one of the two.",
            )
        lines_of[path] = line
        name = unicodedata.normalize("NFC", cells["finding"])
        if not name:
            raise InconsistentDataset(f"{where} gives no finding for `{path}`.", fix="Fill it in, or remove the line.")
        part = cells.get("split", "")
        if part and part.lower() not in SPLIT_NAMES:
            raise InconsistentDataset(
                f"{where} has the split `{part}`. {nearest_name(part, ('train', 'validation', 'test'))}",
                fix="Correct it, or leave it empty.",
            )
        finding = standard_name(name)
        names.append((finding, name))
        records.append(
            FilmRecord(
                path,
                finding,
                SPLIT_NAMES.get(part.lower()),
                cells.get("patient") or None,
                cells.get("source") or None,
                cells.get("group") or None,
                _age_in(cells.get(_AGE_COLUMN, "")),
            )
        )
    missing = [record.path for record in records if not os.path.lexists(os.path.join(root, record.path))]  # noqa: PTH118
    if missing:
        raise InconsistentDataset(
            f"{len(missing)} of the {len(records)} films that `{manifest}` names are not there, the first "
            f"`{missing[0]}`. Expected paths relative to `{root}`.",
            fix="Correct the paths, or move the manifest beside the films.",
        )
    return manifest.parent if root == os.path.abspath(manifest.parent) else Path(root), records, names  # noqa: PTH100


def _age_in(cell: str) -> float | None:
    """Return an age in years from "45", "45.5" or DICOM's "045Y", "018M"; None of anything else."""
    parts = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
    unit = cell[-1:].upper()
    try:
        years = float(cell[:-1]) / parts[unit] if unit in parts else float(cell)
    except ValueError:
        return None
    return years if 0 <= years <= _OLDEST_YEARS else None


def _check_header(manifest: Path, header: list[str]) -> None:
    for name in COLUMNS:
        if header.count(name) > 1:
            raise InconsistentDataset(f"The manifest `{manifest}` has two columns `{name}`.", fix="Keep one of them.")
    absent = [name for name in COLUMNS if name not in header]
    for name in header:
        if name not in COLUMNS and _close(name, absent):
            raise InconsistentDataset(
                f"The manifest `{manifest}` has the unknown column `{name}`. {nearest_name(name, COLUMNS)}",
                fix="Rename or remove the column.",
            )
    needed = [name for name in ("path", "finding") if name in absent]
    if needed:
        fix = "Name the columns in its first line."
        if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
            fix = "Save it separated by commas, not by semicolons or tabs."
        raise InconsistentDataset(
            f"The manifest `{manifest}` has no column `{needed[0]}`. Expected the columns path, finding and optionally "
            f"split, patient, source, group, age; received {', '.join(header) or 'none'}.",
            fix=fix,
        )


def _path_in(root: str, cell: str, where: str) -> str:
    if not cell or "\0" in cell:
        raise InconsistentDataset(f"{where} gives no path.", fix="Fill it in, or remove the line.")
    path = os.path.normpath(os.path.join(root, cell))  # noqa: PTH118
    if path == root or not is_inside(path, root):
        raise InconsistentDataset(
            f"{where} names the film `{cell}`, which lies outside the manifest's folder.",
            fix="Move the manifest to a folder that holds all films, or make every path absolute.",
        )
    return Path(os.path.relpath(path, root)).as_posix()


def _close(name: str, known: list[str]) -> bool:
    return bool(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75))
