"""Walks the files below a folder in sorted order, each folder once, so that links and loops do no harm.

Files are not opened. Hidden files, files of operating systems and files with suffixes that no film has are skipped by
their names. Files with such suffixes are counted by kind and reported, since .dcm.gz files may be films.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from hilum.errors import InputError

__all__ = ["PassedOver", "film_paths", "identity", "is_inside", "is_skipped", "list_folder", "walk"]

_NO_FILM_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".md", ".rst", ".log", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".xml", ".ini"),
    *(".html", ".htm", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".parquet", ".py", ".ipynb", ".npy", ".npz"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".onnx", ".keras"),
    *(".nii", ".mha", ".mhd", ".nrrd", ".h5", ".hdf5", ".pkl", ".mp4", ".avi", ".mov", ".ds_store"),
)
_PACKED = {
    ".gz": "unpack them with gunzip",
    ".bz2": "unpack them with bunzip2",
    ".xz": "unpack them with unxz",
    ".zst": "unpack them with unzstd",
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "unpack them"),
}
_VOLUME = "volumes, not films: hilum reads PNG, JPEG and DICOM"
_HINTS = {**_PACKED, **dict.fromkeys((".nii", ".mha", ".mhd", ".nrrd"), _VOLUME)}
_NO_FILM_NAMES = {"dicomdir", "license", "readme", "makefile"}
_IMAGES = {"image", "images", "img", "imgs"}
_MASKS = re.compile(
    r"(?!(?:.*[\W_])?(?:no|non|without|with)[\W_]).*(?:mask|segmentation)s?(?:[\W_].*|\d+)?"  # not of people with masks
)
_LEFTOVER_FILES = {"thumbs.db", "desktop.ini"}
_MOST_KINDS = 12  # in one sentence
_LEFTOVER_FOLDERS = {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information"}


class PassedOver:
    """Counts the files that were passed over, by kind, without hidden files and files of operating systems.

    Example:
        >>> passed = PassedOver()
        >>> for name in ("1.dcm.gz", "2.dcm.gz", ".DS_Store"):
        ...     passed.add("films/Effusion", name)
        >>> passed.sentence("films")
        'Passed over: 2 files .dcm.gz in Effusion/ (unpack them with gunzip).'
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str, str, int]] = {}  # kind: files, first folder, last folder, folders
        self.num_outside = 0  # files that may be films, outside the class folders

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, folder: str, name: str, place: str = "") -> None:
        """Count one file.

        Args:
            folder: Its folder. The files of one folder must come one after another.
            name: Its name.
            place: For a file that may be a film, words on why it was not read.
        """
        if not place and _is_leftover(name):
            return
        kind = f"{_kind_of(name)} {place}".strip()
        self.num_outside += bool(place)
        number, first, last, folders = self._found.get(kind, (0, folder, folder, 1))
        self._found[kind] = (number + 1, first, folder, folders + (folder != last))

    @property
    def may_hold_films(self) -> bool:
        """Whether some files may be films: compressed files and files outside the class folders."""
        return bool(self.num_outside) or any(_hint(kind) for kind in self._found)

    def join(self, other: PassedOver) -> None:
        """Add the counts of another."""
        for kind, (number, first, last, folders) in other._found.items():
            own = self._found.get(kind)
            self._found[kind] = (
                (own[0] + number, own[1], last, own[3] + folders) if own else (number, first, last, folders)
            )
        self.num_outside += other.num_outside

    def sentence(self, root: str = "") -> str:
        """Return a sentence on the files passed over, the commonest kind first; empty where there are none.

        Args:
            root: Folders are named relative to this one.
        """
        if not self._found:
            return ""
        parts = []
        for kind, (number, first, _, folders) in sorted(self._found.items(), key=lambda one: (-one[1][0], one[0])):
            place = os.path.relpath(first, root) if root else first
            where = f"{os.path.basename(os.path.abspath(root)) if place == '.' else place}/"  # noqa: PTH100, PTH119
            more = f" and {folders - 1:,} more folder{'s' if folders > 2 else ''}" if folders > 1 else ""
            hint = _hint(kind)
            files = "file" if number == 1 else "files"
            parts.append(f"{number:,} {files} {kind} in {where}{more}{f' ({hint})' if hint else ''}")
        if len(parts) > _MOST_KINDS:
            parts = [*parts[:_MOST_KINDS], f"files of {len(parts) - _MOST_KINDS} more kinds"]
        return f"Passed over: {'; '.join(parts)}."


def _hint(kind: str) -> str:
    """Return a hint for files of a kind, such as how to unpack them; else an empty text."""
    suffixes = re.findall(r"\.\w+", kind.partition(" ")[0])
    return next((_HINTS[suffix] for suffix in suffixes if suffix in _HINTS), "")


def _kind_of(name: str) -> str:
    """Return a file's suffix, with both parts for .dcm.gz; its name for files such as README."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    inner = os.path.splitext(stem)[1]  # noqa: PTH122
    if not suffix:
        return name.upper() if name.lower() in _NO_FILM_NAMES else "without a suffix"
    is_pair = suffix.lower() in _PACKED and inner[1:].isalpha() and len(inner) <= 6
    return (inner + suffix if is_pair else suffix).lower()


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFTOVER_FILES


def film_paths(paths: Iterable[Path], passed: PassedOver | None = None) -> Iterator[Path]:
    """Yield files as given, and the films below folders in sorted order.

    Args:
        paths: Files and folders. A file is yielded whatever its name and even if it does not exist, so that reading it
            reports the error.
        passed: Counts the files that are passed over.

    Raises:
        InputError: A folder cannot be read.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir it answers False to every OSError
            for name, _ in walk(str(path), os.path.realpath(path), set(), passed=passed):
                yield Path(name)
        else:
            yield Path(path)


def walk(
    folder: str,
    inside: str,
    visited: set[tuple[int, int]],
    *,
    skip_masks: bool = False,
    passed: PassedOver | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield (path, real path) of the files below a folder, in sorted order, each folder once.

    Args:
        folder: The folder to begin with.
        inside: A real path. Links to folders below it are not followed, because these are read in their own place;
            links to it or above it are loops and are not followed either.
        visited: Identities of the folders read already; new ones are added.
        skip_masks: Whether to leave out folders such as `masks` and `lung masks` next to a folder `images`.
        passed: Counts the files that are passed over.
    """
    stack: list[tuple[str, str, Iterator[str], set[str], set[str]]] = []

    def enter(path: str) -> None:
        folder_identity = identity(path)
        if folder_identity in visited:
            return
        visited.add(folder_identity)
        names, folders, links = list_folder(path, passed)
        if skip_masks and any(name.lower() in _IMAGES for name in folders):
            names = [name for name in names if not (name in folders and _MASKS.fullmatch(name.lower()))]
        stack.append((path, os.path.realpath(path), iter(names), folders, links))

    enter(folder)
    while stack:
        path, real, names, folders, links = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            continue
        child = os.path.join(path, name)  # noqa: PTH118 - a Path for each of a million files is slow
        if name not in folders:
            yield child, os.path.realpath(child) if name in links else os.path.join(real, name)  # noqa: PTH118
        elif name not in links or not _is_loop(os.path.realpath(child), inside):
            enter(child)


def _is_loop(target: str, inside: str) -> bool:
    return is_inside(target, inside) or is_inside(inside, target)


def list_folder(folder: str, passed: PassedOver | None = None) -> tuple[list[str], set[str], set[str]]:
    """Return the sorted names of possible films and folders in a folder, those of the folders, and of the links."""
    names: list[str] = []
    folders: set[str] = set()
    links: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_link = entry.is_symlink()
                is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()  # noqa: PTH112 - see film_paths
                if is_skipped(entry.name, is_folder=is_folder):
                    if passed is not None and not is_folder:
                        passed.add(folder, entry.name)
                    continue
                if not is_folder and not os.path.isfile(entry.path) and os.path.exists(entry.path):  # noqa: PTH113, PTH110
                    continue  # a pipe or a device; reading it could block forever
                names.append(entry.name)
                if is_folder:
                    folders.add(entry.name)
                if is_link:
                    links.add(entry.name)
    except OSError as error:
        raise InputError(
            f"Cannot read the folder `{folder}`: {error.strerror or error}.",
            fix="Change the folder's permissions, or move it away.",
        ) from error
    names.sort()
    return names, folders, links


def is_skipped(name: str, *, is_folder: bool) -> bool:
    """Return whether a file or folder is skipped because of its name."""
    lower = name.lower()
    if lower.startswith("."):
        return True
    if is_folder:
        return lower in _LEFTOVER_FOLDERS
    return lower in _NO_FILM_NAMES or lower in _LEFTOVER_FILES or lower.endswith(_NO_FILM_SUFFIXES)


def identity(folder: str) -> tuple[int, int]:
    """Return device and inode, which are the same for all paths to one folder."""
    try:
        stat = os.stat(folder)  # noqa: PTH116
    except OSError as error:
        raise InputError(
            f"Cannot read the folder `{folder}`: {error.strerror or error}.", fix="Check the folder."
        ) from error
    return stat.st_dev, stat.st_ino


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path is the folder or is below it; links are not resolved."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
