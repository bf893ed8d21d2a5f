"""The files below a folder, in sorted order, lazily, each folder once: links and loops cannot hang it.

Nothing is opened: whether a file is a film, its bytes tell later. What is skipped by its name: hidden files, leftovers
of operating systems, and suffixes that no film has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hilum.errors import InputError

__all__ = ["film_paths", "identity", "is_inside", "is_skipped", "list_folder", "walk"]

_NO_FILM_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".md", ".rst", ".log", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".xml", ".ini"),
    *(".html", ".htm", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".parquet", ".py", ".ipynb", ".npy", ".npz"),
    *(".zip", ".tar", ".gz", ".7z", ".onnx", ".keras", ".ds_store"),
)
_NO_FILM_NAMES = {"thumbs.db", "desktop.ini", "dicomdir", "license", "readme", "makefile"}
_LEFTOVER_FOLDERS = {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information"}


def film_paths(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the films to judge: a file named by the caller as it stands, a folder's films in sorted order.

    Lazy: of a folder only the names at its own level are held, so a million films cost no memory of their own.

    Args:
        paths: Files and folders. A file named here comes out whatever its name, and even where it does not exist:
            reading it then says what is wrong, and the films after it are still done.

    Yields:
        The path of each film, beginning with the path as it was given.

    Raises:
        InputError: A folder may not be read.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir it answers False to every OSError
            for name, _ in walk(str(path), os.path.realpath(path), set()):
                yield Path(name)
        else:
            yield Path(path)


def walk(
    folder: str, inside: str, visited: set[tuple[int, int]], *, skip_masks: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield (path, real path) of the files below a folder, in sorted order, each folder once.

    Args:
        folder: Where to begin.
        inside: A real path; links to folders below it are not followed, as they are read at their own place, nor are
            links to it or above it, as they are loops.
        visited: The identities of folders already read; added to.
        skip_masks: Leave out a folder `masks` beside a folder `images`.
    """
    stack: list[tuple[str, str, Iterator[str], set[str], set[str]]] = []

    def enter(path: str) -> None:
        folder_identity = identity(path)
        if folder_identity in visited:
            return
        visited.add(folder_identity)
        names, folders, links = list_folder(path)
        if skip_masks and any(name.lower() == "images" for name in folders):
            names = [name for name in names if not (name in folders and name.lower() in ("mask", "masks"))]
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


def list_folder(folder: str) -> tuple[list[str], set[str], set[str]]:
    """Return the sorted names in a folder that may be films or hold some, and which are folders, and which links."""
    names: list[str] = []
    folders: set[str] = set()
    links: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_link = entry.is_symlink()
                is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()  # noqa: PTH112 - see film_paths
                if is_skipped(entry.name, is_folder=is_folder):
                    continue
                if not is_folder and not os.path.isfile(entry.path) and os.path.exists(entry.path):  # noqa: PTH113, PTH110
                    continue  # a pipe or a device: opening it could wait for ever
                names.append(entry.name)
                if is_folder:
                    folders.add(entry.name)
                if is_link:
                    links.add(entry.name)
    except OSError as error:
        raise InputError(
            f"Cannot read the folder `{folder}`: {error.strerror or error}.",
            fix="Give yourself the right to read it, or move it away.",
        ) from error
    names.sort()
    return names, folders, links


def is_skipped(name: str, *, is_folder: bool) -> bool:
    """Return whether a name alone says that there is no film here."""
    lower = name.lower()
    if lower.startswith("."):
        return True
    return lower in _LEFTOVER_FOLDERS if is_folder else lower in _NO_FILM_NAMES or lower.endswith(_NO_FILM_SUFFIXES)


def identity(folder: str) -> tuple[int, int]:
    """Return what is the same for all paths to one folder: device and inode."""
    try:
        stat = os.stat(folder)  # noqa: PTH116
    except OSError as error:
        raise InputError(f"Cannot read the folder `{folder}`: {error.strerror or error}.", fix="Check it.") from error
    return stat.st_dev, stat.st_ino


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path is the folder or lies below it, judged by the words alone."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
