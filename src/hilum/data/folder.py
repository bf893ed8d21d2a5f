"""Reads a data set: class folders, train/ and test/ with class folders, sources with class folders, or a CSV manifest.

Films are not opened here.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hilum.data.columns import Listing
from hilum.data.known_sets import find_known_set, read_known_set, split_pneumonias
from hilum.data.labels import FilmRecord, Remark, settle_labels, spelling_key, states_nothing
from hilum.data.layout import Layout, find_class_folders
from hilum.data.manifest import is_manifest, read_manifest
from hilum.data.names import folders_in
from hilum.data.walk import PassedOver, film_paths, identity, walk
from hilum.errors import InconsistentDataset, InputError, nearest_name
from hilum.findings import LONGEST_NAME, finding_named, name_fault, open_kinds, sorted_findings, standard_name
from hilum.text import printable

__all__ = ["Dataset", "FilmRecord", "film_paths", "name_hints", "read_dataset", "rename_findings"]

_LAYOUT = (
    "Expected a folder with one sub-folder per finding (Normal/, Covid/), train/ and test/ with such sub-folders, or a "
    "CSV file."
)


@dataclass(frozen=True)
class Dataset:
    """A data set: its films in a fixed order, and the names it gave to the findings.

    Attributes:
        root: The folder that every record's path is relative to.
        name: The folder's name, or the manifest's without its suffix.
        records: The films, sorted by path.
        remarks: Remarks on how it was read, such as the files that were passed over.
    """

    root: Path
    name: str
    records: tuple[FilmRecord, ...]
    remarks: tuple[Remark, ...] = field(default=(), repr=False)
    _names: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # (finding, name as found)

    @functools.cached_property
    def findings(self) -> tuple[str, ...]:
        """The distinct findings, in hilum's order."""
        return sorted_findings(record.finding for record in self.records)

    @property
    def has_test(self) -> bool:
        """Whether the data set has a test part of its own."""
        return any(record.split == "test" for record in self.records)

    @property
    def folder_names(self) -> dict[str, tuple[str, ...]]:
        """For each finding the names that folders or the manifest use for it."""
        return {
            finding: tuple(sorted({name for known, name in self._names if known == finding}))
            for finding in self.findings
        }


def read_dataset(data: Path, *, min_findings: int = 2) -> Dataset:
    """Return the data set that a folder or a CSV manifest describes.

    Names of the same finding (Covid/ and COVID-19/, Effusion/ and effusion/) are read as one. Folders that hold the
    same class folders are parts or sources, depending on their names; other names are an error. Class folders are read
    recursively, except for folders such as `masks` next to a folder `images`. Links to folders outside the data set are
    followed once; links to folders inside it are not followed.

    Args:
        data: A folder, a public data set as it comes (`hilum.data.known_layouts`), or a CSV with the columns path and
            finding and optionally split, patient, source, group, age and sex. Its paths are relative to the CSV's
            folder, or all absolute.
        min_findings: The smallest number of findings that the caller accepts.

    Returns:
        The data set, with its records sorted by path.

    Raises:
        InconsistentDataset: The data set is missing, empty or contradictory, or has too few findings.
        InputError: A folder in it cannot be read.
    """
    data = data if isinstance(data, Path) else Path(data)
    if not os.path.exists(data):  # noqa: PTH110 - unlike Path.exists it answers False to every OSError
        kind = "manifest" if is_manifest(data) else "data folder"
        raise InconsistentDataset(
            f"Cannot read the {kind} `{data}`: it does not exist. {_LAYOUT}", fix="Check the path."
        )
    known = None if isinstance(data, Listing) and data.columns else find_known_set(data)
    if known:
        films, remarks = read_known_set(known)
        records = [film.record for film in films if not film.reason]
        name, root = known.root.resolve().name, known.root
    elif data.is_dir():
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
    """Return the data set with labels turned into findings, without films whose label cannot be used."""
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
    warnings = "".join(f" {remark.message}" for remark in dataset.remarks if remark.severity == "warning")
    if not dataset.records:
        raise InconsistentDataset(f"The data set `{data}` holds no films. {_LAYOUT}{warnings}", fix="Check the path.")
    for name in (part for finding in dataset.findings for part in finding.split("|")):
        if fault := name_fault(name):
            raise InconsistentDataset(
                f"The name of a finding in `{data}` {fault}: `{printable(name[:LONGEST_NAME])}`.",
                fix="Rename it." if data.is_dir() else "Rename it, and save the list in UTF-8.",
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
            f"The data set `{data}` has {named}; expected at least {min_findings}.{warnings}", fix=fix
        )
    learnt = {record.finding for record in dataset.records if record.split in ("train", None)}
    if not learnt:
        return  # the data set is a test part alone, for evaluating a model
    for part in ("test", "validation"):
        extra = sorted_findings({record.finding for record in dataset.records if record.split == part} - learnt)
        extra = tuple(name for name in extra if name in findings)
        if extra:
            raise InconsistentDataset(
                f"The {part} part of `{data}` has the finding `{extra[0]}`, but its train part has not. "
                f"{nearest_name(extra[0], sorted_findings(learnt))}",
                fix="Use the same name in both parts, or remove the finding.",
            )


def rename_findings(dataset: Dataset, mapping: Sequence[str], known: Sequence[str]) -> Dataset:
    """Return a data set in which findings have the model's names.

    Args:
        dataset: The films.
        mapping: Texts "Their name=Our finding". Their name is a folder's or the manifest's; names that stand for the
            same finding (Covid, COVID-19) go together. Names that differ in spelling alone need none.
        known: The model's findings.

    Raises:
        InputError: A text has another form, or names what is not there.
    """
    names = dataset.folder_names
    theirs = {name: finding for finding, found in names.items() for name in (finding, *found)}
    chosen: dict[str, str] = {}
    for text in mapping:
        their, equals, our = (part.strip() for part in text.partition("="))
        if not (their and equals and our):
            raise InputError(
                f"Cannot read the mapping `{text}`. Expected `Their name=Our finding`.",
                fix='For one: --map "Corona=Covid-19"',
            )
        finding = theirs.get(their, standard_name(their))
        if finding not in names:
            raise InputError(f"No film of the data set shows `{their}`.", fix=nearest_name(their, sorted(theirs)))
        target = our if our in known else standard_name(our)
        if target not in known:
            raise InputError(f"The model does not know the finding `{our}`.", fix=nearest_name(our, known))
        if chosen.setdefault(finding, target) != target:
            raise InputError(
                f"`{finding}` is mapped to `{chosen[finding]}` and to `{target}`.", fix="Keep one of the two."
            )
    spellings = {spelling_key(name): name for name in known}
    for finding in names:
        if finding not in known and spelling_key(finding) in spellings:
            chosen.setdefault(finding, spellings[spelling_key(finding)])
    records = tuple(replace(record, finding=chosen.get(record.finding, record.finding)) for record in dataset.records)
    renamed = tuple((chosen.get(finding, finding), name) for finding, found in names.items() for name in found)
    return replace(dataset, records=records, _names=tuple(sorted(set(renamed))))


def name_hints(strange: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return a sentence for each finding that looks like a misspelt one of the model's.

    A name with a meaning of its own is none: Bacterial Pneumonia is near Viral Pneumonia only in its letters.
    """
    hints = []
    for name in strange:
        if finding_named(name):
            continue
        close = difflib.get_close_matches(name.lower(), [one.lower() for one in known], n=1, cutoff=0.7)
        if close:
            match = next(one for one in known if one.lower() == close[0])
            hints.append(f'If `{name}` means `{match}`, add --map "{name}={match}".')
    return hints


# --- folders --------------------------------------------------------------------------------------------------------


def _read_folders(root: Path) -> tuple[list[FilmRecord], list[Remark]]:
    layout = find_class_folders(root)
    inside, visited = os.path.realpath(root), {identity(str(root))}
    records: list[FilmRecord] = []
    seen: set[tuple[str, str, str | None]] = set()
    for one in layout.classes:
        folder, num_found, passed = str(root / one.folder), 0, PassedOver()
        if states_nothing(one.label):
            raise InconsistentDataset(
                f"The name of the class folder `{folder}` states no finding.", fix="Rename it, or move it away."
            )
        for path, real in walk(folder, inside, visited, skip_masks=True, passed=passed):
            num_found += 1
            if (real, one.label, one.split) not in seen:  # two links to one file count once
                seen.add((real, one.label, one.split))
                place = Path(os.path.relpath(path, root)).as_posix()
                records.append(FilmRecord(place, one.label, one.split, source=one.source))
        if not num_found:
            raise InconsistentDataset(
                f"The class folder `{folder}` holds no films.{f' {passed.sentence(str(root))}' if passed else ''}",
                fix="Put films into it, or remove the folder.",
            )
        layout.passed.join(passed)
    if layout.passed:
        severity = "warning" if layout.passed.may_hold_films else "note"
        layout.remarks.append(Remark("passed-over", layout.passed.sentence(str(root)), severity=severity))
    if not records and layout.passed.num_outside:
        raise InconsistentDataset(
            f"The films in `{root}` are not in class folders. {_LAYOUT}",
            fix="Move each film into the folder of its finding.",
        )
    records, remarks = split_pneumonias(_with_patient_folders(records, layout))
    return records, layout.remarks + remarks


_PATIENT_FOLDER = re.compile(
    r"(?:patient|pat|pt|subject|subj|sub|case|participant|person|pid)[\W_]*(?:id|no|nr)?[\W_]*\d+|p\d{3,}",
    re.IGNORECASE,
)
_MOST_OF_PATIENT = 0.2  # of all films; a folder of more is not one patient's


def _with_patient_folders(records: list[FilmRecord], layout: Layout) -> list[FilmRecord]:
    """Return the records; films in one folder such as patient003 of a class folder become a group."""
    named = [_patient_folders(record.path) for record in records]
    sizes = Counter(folder for folders in named for folder in folders)
    most = _MOST_OF_PATIENT * len(records)
    known = [next((folder for folder in folders if sizes[folder] <= most), None) for folders in named]
    example = next((group for group in known if group and sizes[group] > 1), None)
    if example is None:
        return records
    text = f"Folders such as `{example}` are read as patients: the films of one stay on one side of a split."
    layout.remarks.append(Remark("inner-folders", text))
    return [replace(record, group=group) for record, group in zip(records, known, strict=True)]


def _patient_folders(path: str) -> list[str]:
    """Return the paths of the folders of a film that are named like a patient, the outermost first."""
    folders = path.split("/")[:-1]
    return [
        "/".join(folders[: depth + 1])
        for depth, name in enumerate(folders)
        if depth and _PATIENT_FOLDER.fullmatch(name)
    ]
