"""Data sets as they lie on disk: class folders, train/ and test/ of class folders, sources of such, or a CSV manifest.

Nothing is opened here but the CSV: whether a file is a film, its bytes tell later.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from hilum.data.labels import Remark, settle_labels
from hilum.data.layout import find_class_folders
from hilum.data.layout_folders import folders_in
from hilum.data.manifest import is_manifest, read_manifest
from hilum.data.record import FilmRecord
from hilum.data.walk import PassedOver, film_paths, identity, walk
from hilum.errors import InconsistentDataset, nearest_name
from hilum.findings import LONGEST_NAME, name_fault, open_kinds, sorted_findings
from hilum.text import printable

__all__ = ["Dataset", "FilmRecord", "film_paths", "read_dataset"]

_LAYOUT = "Expected a folder with one sub-folder a finding (Normal/, Covid/), or train/ and test/ of such, or a CSV."


@dataclass(frozen=True)
class Dataset:
    """A data set: its films in a fixed order, and the names it gave to the findings.

    Attributes:
        root: The folder that every record's path is relative to.
        name: The folder's name, or the manifest's without its suffix.
        records: The films, sorted by path.
        remarks: What to tell of how it was read: what was passed over, which names were read as one, and the like.
    """

    root: Path
    name: str
    records: tuple[FilmRecord, ...]
    remarks: tuple[Remark, ...] = field(default=(), repr=False)
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

    Names that stand for the same finding (Covid/ and COVID-19/, Effusion/ and effusion/) are one. Folders that hold the
    same class folders are parts or sources by their names, or refused. Class folders are read with all that
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
    data = data if isinstance(data, Path) else Path(data)
    if not os.path.exists(data):  # noqa: PTH110 - unlike Path.exists it answers False to every OSError
        kind = "manifest" if is_manifest(data) else "data folder"
        raise InconsistentDataset(
            f"Cannot read the {kind} `{data}`: it does not exist. {_LAYOUT}", fix="Check the path."
        )
    if data.is_dir():
        records, remarks = _read_folders(data)
        name, root = data.resolve().name, data
    elif is_manifest(data):
        root, records, remarks = read_manifest(data)
        name = data.stem
    else:
        raise InconsistentDataset(f"Cannot read `{data}` as a data set: it is a file. {_LAYOUT}", fix="Check the path.")
    dataset = _settled(Dataset(root, name, tuple(sorted(records, key=lambda record: record.path)), tuple(remarks)))
    _check(data, dataset, min_findings)
    return dataset


def _settled(dataset: Dataset) -> Dataset:
    """Return a data set whose labels, so far as they were found, are findings; films of no use are left out."""
    labels: defaultdict[str, list[str]] = defaultdict(list)
    for record in dataset.records:
        labels[record.finding].append(record.path)
    findings, remarks = settle_labels(labels)
    return replace(
        dataset,
        records=tuple(
            replace(record, finding=findings[record.finding])
            for record in dataset.records
            if record.finding in findings
        ),
        remarks=(*dataset.remarks, *remarks),
        _names=tuple(sorted((finding, label) for label, finding in findings.items())),
    )


def _check(data: Path, dataset: Dataset, min_findings: int) -> None:
    told = " ".join(remark.message for remark in dataset.remarks if remark.severity == "warning")
    if not dataset.records:
        raise InconsistentDataset(
            f"The data set `{data}` holds no films. {_LAYOUT}{f' {told}' if told else ''}", fix="Check the path."
        )
    for name in (part for finding in dataset.findings for part in finding.split("|")):
        if fault := name_fault(name):
            raise InconsistentDataset(
                f"The name of a finding in `{data}` {fault}: `{printable(name[:LONGEST_NAME])}`.", fix="Rename it."
            )
    findings = tuple(name for name in dataset.findings if not open_kinds(name, ()))
    if len(findings) < min_findings:
        fix = "Add a folder of films without the finding, such as Normal/."
        inner = data / dataset.folder_names[findings[0]][0] if findings else data
        while data.is_dir() and inner.is_dir() and len(inside := folders_in(inner)) == 1:
            inner /= inside[0]
        if data.is_dir() and inner.is_dir() and len(folders_in(inner)) > 1:
            fix = f"Did you mean the folder inside it, `{inner}`?"
        named = f"{len(findings)} finding ({', '.join(findings)})" if findings else "no finding"
        raise InconsistentDataset(
            f"The data set `{data}` has {named}; expected at least {min_findings}.{f' {told}' if told else ''}", fix=fix
        )
    learnt = {record.finding for record in dataset.records if record.split in ("train", None)}
    if not learnt:
        return  # a test part alone: for judging a model, not for making one
    for part in ("test", "validation"):
        extra = sorted_findings({record.finding for record in dataset.records if record.split == part} - learnt)
        extra = tuple(name for name in extra if name in findings)
        if extra:
            raise InconsistentDataset(
                f"The {part} part of `{data}` has the finding `{extra[0]}`, which its train part lacks. "
                f"{nearest_name(extra[0], sorted_findings(learnt))}",
                fix="Give it the same name in both parts, or leave it out.",
            )


# --- folders --------------------------------------------------------------------------------------------------------


def _read_folders(root: Path) -> tuple[list[FilmRecord], list[Remark]]:
    layout = find_class_folders(root)
    inside, visited = os.path.realpath(root), {identity(str(root))}
    records: list[FilmRecord] = []
    seen: set[tuple[str, str, str | None]] = set()
    for one in layout.classes:
        folder, num_found, passed = str(root / one.folder), 0, PassedOver()
        for path, real in walk(folder, inside, visited, skip_masks=True, passed=passed):
            num_found += 1
            if (real, one.label, one.split) not in seen:  # two links to one file count once
                seen.add((real, one.label, one.split))
                place = Path(os.path.relpath(path, root)).as_posix()
                records.append(FilmRecord(place, one.label, one.split, source=one.source))
        if not num_found:
            raise InconsistentDataset(
                f"The class folder `{folder}` holds no films.{f' {passed.sentence(str(root))}' if passed else ''}",
                fix="Put films into it, or remove it.",
            )
        layout.passed.join(passed)
    if layout.passed:
        severity = "warning" if layout.passed.may_hold_films else "note"
        layout.remarks.append(Remark("passed-over", layout.passed.sentence(str(root)), severity=severity))
    if not records and layout.passed.num_outside:
        raise InconsistentDataset(
            f"The films in `{root}` lie in no class folder. {_LAYOUT}", fix="Move each film into its finding's folder."
        )
    return records, layout.remarks
