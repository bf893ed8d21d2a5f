"""Recognises which folders of a data set are findings, parts (train, test), sources (hospitals) or folds.

Folders that hold the same class folders are parts, sources or folds, depending on their names. Other names are an
error, because a wrong guess would train a model on the names of hospitals.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hilum.console import count_of
from hilum.data.labels import Remark, and_list, spelling_key
from hilum.data.names import (
    MANIFEST_WAY,
    Look,
    folders_in,
    is_fold,
    is_known_finding,
    is_neutral,
    is_source,
    joined_names,
    joined_remark,
    look_into,
    name_remarks,
    near_part,
    parts_in,
)
from hilum.data.walk import PassedOver, is_inside, list_folder, walk
from hilum.errors import InconsistentDataset

__all__ = ["ClassFolder", "Layout", "find_class_folders"]

_MOST_CLASSES = 20  # class folders in a part or source; more folders are patients or days
_LEAST_SHARED = 0.5  # share of the class folders' names that all parts or sources must have


@dataclass(frozen=True)
class ClassFolder:
    """A folder whose films have one finding.

    Attributes:
        folder: Path relative to the data set's root, with "/" as separator.
        label: The finding, as the folder is named.
        split: The part that the folder belongs to, or None.
        source: The hospital or set that the folder belongs to, or None.
    """

    folder: str
    label: str
    split: str | None
    source: str | None


@dataclass
class Layout:
    """The class folders of a data set, the remarks on them, and the files that were passed over."""

    classes: list[ClassFolder] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    passed: PassedOver = field(default_factory=PassedOver)


def find_class_folders(root: Path) -> Layout:
    """Return the class folders below a folder.

    Raises:
        InconsistentDataset: Folders contradict each other, or their meaning is not clear.
        InputError: A folder cannot be read.
    """
    finder = _Finder(root)
    finder.level("", None, None)
    finder.layout.remarks += name_remarks(finder.part_names, finder.sources, finder.folds, finder.inside)
    return finder.layout


class _Finder:
    def __init__(self, root: Path) -> None:
        self.root, self.layout = root, Layout()
        self.part_names: dict[str, str] = {}
        self.sources: set[str] = set()
        self.folds: set[str] = set()
        self.inside: dict[str, tuple[str, ...]] = {}  # {class folder: its sub-folders}

    # --- one level of folders ---------------------------------------------------------------------------------------

    def level(self, folder: str, split: str | None, source: str | None) -> None:
        """Find the class folders below a folder that is not a class folder."""
        where = self.root / folder
        names = folders_in(where, self.root)
        self._pass_over(folder)
        parts = parts_in(names)
        if parts and split is not None:
            raise InconsistentDataset(
                f"The folder `{where}` is the {split} part of the data set, but it also contains "
                f"the part{'s' if len(parts) > 1 else ''} {and_list(parts)}.",
                fix="Move or rename one of these folders.",
            )
        if parts:
            self._parts(folder, names, parts, source)
            return
        if split is not None and len(names) == 1 and is_neutral(names[0]) and look_into(where / names[0]).classes:
            self.level(_join(folder, names[0]), split, source)  # test/images/Normal
            return
        looks = {name: look_into(where / name) for name in names}
        below = {name: self._classes_below(folder, name, look) for name, look in looks.items()}
        if _are_groups(below):
            for name in self._checked_groups(folder, looks, below, source):
                self.level(_join(folder, name), split, source or (name if name in self.sources else None))
            return
        self._check_mixture(folder, looks)
        if split is None and (joined := joined_names(names)):
            for name, (part, label) in joined.items():  # Normal_train, Normal_test
                self._class_folder(_join(folder, name), label, part, source)
            self.layout.remarks.append(joined_remark(joined))
            return
        for name in names:
            self._class_folder(_join(folder, name), name, split, source)
        self._check_halves(folder, names)

    def _parts(self, folder: str, names: list[str], parts: dict[str, str], source: str | None) -> None:
        where = self.root / folder
        others = [name for name in names if name not in parts]
        for name in others:
            if near := near_part(name, parts.values()):
                raise InconsistentDataset(
                    f"The folder `{name}` in `{where}` is next to {', '.join(sorted(parts))}, but its name is not "
                    f"that of a part. {near}",
                    fix="Rename the folder or move it away.",
                )
        inner = {spelling_key(one) for part in parts for one in look_into(where / part).folders}
        classes = [name for name in others if spelling_key(name) in inner]
        if classes:
            raise InconsistentDataset(
                f"The folders {and_list(classes)} in `{where}` are next to {and_list(sorted(parts))}, which contains "
                "folders with the same names. It is not clear to which part their films belong.",
                fix=f"Move the folders into a folder `train`, or {MANIFEST_WAY} path,finding,split",
            )
        unread = [name for name in others if inner & set(map(spelling_key, look_into(where / name).classes))]
        if unread and "train" not in parts.values():
            raise InconsistentDataset(
                f"The folders {and_list(unread)} in `{where}` contain the same class folders as "
                f"{and_list(sorted(parts))}, but their names are not those of parts, and no folder is the train part.",
                fix="Rename the folders to train, validation or test, or move them away.",
            )
        for name in others:
            number = sum(1 for _ in walk(str(where / name), os.path.realpath(self.root), set()))
            if number:
                text = (
                    f"The folder `{_join(folder, name)}` ({count_of(number, 'film')}) was not read, because its name "
                    f"is not that of a part and it is next to {and_list(sorted(parts))}. To read it, rename it to "
                    "train, validation or test."
                )
                self.layout.remarks.append(Remark("folder-not-read", text, severity="warning"))
        for name, part in parts.items():
            self.part_names[_join(folder, name)] = part
            look = look_into(where / name)
            if not look.folders and not look.has_films:
                text = f"The folder `{_join(folder, name)}` is empty, so it adds no films to the {part} part."
                self.layout.remarks.append(Remark("folder-not-read", text, severity="warning"))
            self.level(_join(folder, name), part, source)

    def _checked_groups(
        self, folder: str, looks: dict[str, Look], below: dict[str, tuple[str, ...]], source: str | None
    ) -> list[str]:
        """Return the folders to read as sources or folds; raise InconsistentDataset where names do not decide."""
        bare = [name for name, classes in below.items() if not classes]
        groups = [name for name in looks if name not in bare]
        where = self.root / folder
        if bare and any(looks[name].has_films or looks[name].folders for name in bare):
            raise InconsistentDataset(
                f"The folders {and_list(groups)} in `{where}` contain class folders ({_listed(below)}), but "
                f"{and_list(bare)} next to them {'does' if len(bare) == 1 else 'do'} not.",
                fix=f"Move {and_list(bare)} away, or put the films into class folders.",
            )
        if 2 * sum(map(is_fold, groups)) >= len(groups) > 1:
            self.folds.update(groups)
            return groups
        if 2 * sum(map(is_source, groups)) >= len(groups) and source is None:
            self.sources.update(groups)
            return groups
        if len(groups) == 1:
            raise InconsistentDataset(
                f"The folder `{where}` contains only the folder `{groups[0]}`, with class folders: {_listed(below)}.",
                fix=f"Did you mean the folder inside it, `{where / groups[0]}`?",
            )
        first = f"{_join(folder, groups[0])}/{below[groups[0]][0]}/1.png,{below[groups[0]][0]},{groups[0]}"
        raise InconsistentDataset(
            f"It is not clear what the folders {and_list(groups)} in `{where}` are. They contain the same class "
            f"folders ({_listed(below)}), so they are not findings. Their names are neither those of parts (train, "
            "validation, test) nor those of sources (HospitalA, site-1).",
            fix=f"Rename the folders, or {MANIFEST_WAY} path,finding,source (or split), with lines such as {first}",
        )

    def _check_mixture(self, folder: str, looks: dict[str, Look]) -> None:
        """Raise InconsistentDataset for class folders next to folders of class folders."""
        keys = {spelling_key(name) for name in looks}
        for name, look in looks.items():
            inner = [one for one in look.classes if spelling_key(one) in keys - {spelling_key(name)}]
            findings = [one for one in look.classes if is_known_finding(one)]
            if (inner and not is_known_finding(name)) or ((is_source(name) or is_fold(name)) and findings):
                raise InconsistentDataset(
                    f"The folder `{name}` in `{self.root / folder}` contains class folders "
                    f"({_names(inner or findings)}) and is next to class folders "
                    f"({_names(one for one in looks if one != name)}).",
                    fix=f"Move the folder away, or {MANIFEST_WAY} path,finding,source",
                )

    # --- class folders ----------------------------------------------------------------------------------------------

    def _class_folder(self, folder: str, label: str, split: str | None, source: str | None) -> None:
        """Add a class folder, or the parts or sources inside it."""
        look = look_into(self.root / folder)
        if look.parts and split is None:
            others = [name for name in look.folders if name not in look.parts and not is_neutral(name)]
            if look.has_films or others:
                raise InconsistentDataset(
                    f"The class folder `{self.root / folder}` is divided into {and_list(look.parts)}, but some films "
                    f"are outside them{f', in {and_list(others)}' if others else ''}.",
                    fix="Move these films into one of the parts.",
                )
            for name, part in look.parts.items():
                self.part_names[_join(folder, name)] = part
                self._class_folder(_join(folder, name), label, part, source)
        elif source is None and look.folders and not look.has_films and all(map(is_source, look.folders)):
            for name in look.folders:
                self.sources.add(name)
                self._class_folder(_join(folder, name), label, split, name)
        else:
            self.inside[folder] = look.classes
            self.layout.classes.append(ClassFolder(folder, unicodedata.normalize("NFC", label), split, source))

    def _check_halves(self, folder: str, names: list[str]) -> None:
        """Raise InconsistentDataset where only some class folders are divided into parts."""
        splits = {
            name: {one.split for one in self.layout.classes if is_inside(one.folder, _join(folder, name))}
            for name in names
        }
        whole = [name for name in names if splits[name] == {None}]
        if 0 < len(whole) < len(names):
            raise InconsistentDataset(
                f"Some class folders in `{self.root / folder}` are divided into parts (train, test), but "
                f"{and_list(whole)} {'is' if len(whole) == 1 else 'are'} not.",
                fix="Divide all class folders into parts, or none.",
            )

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _classes_below(self, folder: str, name: str, look: Look) -> tuple[str, ...]:
        """Return the class folders of a folder read as a source, with or without parts."""
        if not look.parts:
            return look.classes
        inside = [look_into(self.root / folder / name / part) for part in look.parts]
        return tuple(dict.fromkeys(one for part in inside for one in part.classes))

    def _pass_over(self, folder: str) -> None:
        """Count the files that are directly in a folder that is not a class folder."""
        where = str(self.root / folder)
        names, folders, _ = list_folder(where, self.layout.passed)
        for name in names:
            if name not in folders:
                self.layout.passed.add(where, name, "outside the class folders")


def _are_groups(below: dict[str, tuple[str, ...]]) -> bool:
    """Return whether the folders of a level are parts or sources: {folder: class folders one level below}."""
    if any(map(is_known_finding, below)):
        return False
    nested = {name: classes for name, classes in below.items() if classes}
    if not nested:
        return False
    lower = [one for classes in nested.values() for one in classes]
    if any(map(is_known_finding, lower)):
        return True
    if all(map(is_source, lower)):
        return False  # hospitals in class folders
    num_named = sum(is_source(name) or is_fold(name) for name in below)
    keys = [{spelling_key(one) for one in classes} for classes in nested.values()]
    shared = set.intersection(*keys) if len(keys) > 1 else set()
    alike = len(shared) >= _LEAST_SHARED * len(set.union(*keys)) and max(map(len, keys)) <= _MOST_CLASSES
    return (bool(shared) and alike) or (2 * num_named >= len(below) == len(nested))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _listed(below: dict[str, tuple[str, ...]]) -> str:
    counts = Counter(one for classes in below.values() for one in classes)
    return _names(sorted(counts, key=lambda one: (-counts[one], one)))


def _names(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(sorted(found[:6])) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
