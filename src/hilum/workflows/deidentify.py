"""`hilum data deidentify`: copies of the DICOM films of a folder without what says whose they are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hilum.console import Console, count_of
from hilum.data.names import is_known_finding, part_named
from hilum.data.walk import PassedOver, film_paths
from hilum.errors import HilumError, InputError
from hilum.files import replace_file, writing_into
from hilum.film.decode import read_bytes
from hilum.film.deidentify import Deidentifier
from hilum.results import check_file, is_in_folder
from hilum.text import CsvLines, csv_row, printable

__all__ = ["Deidentified", "deidentify_folder"]


@dataclass
class Deidentified:
    """What became of the films of a folder.

    Attributes:
        files: File in the folder -> its new file, relative to the new folder.
        left_out: Why films were left out, a sentence each.
        num_burnt_in: Films that say that their picture holds burnt-in text.
        passed_over: A sentence on files that no film has as name; empty if there are none.
    """

    files: dict[Path, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    num_burnt_in: int = 0
    passed_over: str = ""


def deidentify_folder(folder: Path, out: Path, *, key: Path | None = None, console: Console) -> Deidentified:
    """Write the DICOM films of a folder into a new one, without what says whose they are. Names of files go as well.

    Folders named like a finding or a part (train, validation, test) keep their name. Other folders and all files get
    numbers.

    Args:
        folder: The films; nothing in it is changed.
        out: The new folder. It must be empty or not exist, and must not lie in `folder`.
        key: New file for a table of old and new files, outside `out`; None for no table. A film's line is written
            before the film, so that after Ctrl-C or on a full disk every copy is in the table.
        console: Where films that are left out are named.

    Raises:
        InputError: A folder or file may not be used, or no film could be de-identified.
        MissingExtra: The extra `dicom` is not installed.
        HilumError: As in `Deidentifier`.
    """
    if not folder.is_dir():
        raise InputError(f"Cannot read the folder `{folder}`: it is not a folder.", fix="Give a folder of DICOM films.")
    _check_places(folder, out, key)
    cleaner, passed, done = Deidentifier(), PassedOver(), Deidentified()
    films, places = list(film_paths([folder], passed)), _Places(folder)
    with writing_into(out), _table(key) as note, console.films("De-identifying", len(films)) as advance:
        out.mkdir(parents=True, exist_ok=True)
        for film in films:
            try:
                clean = cleaner.clean(read_bytes(film), name=printable(str(film)))
            except HilumError as error:
                done.left_out.append(error.message)
                console.say(f"Left out. {error.message}")
            else:
                new = places.of(film)
                note(film, out / new)
                (out / new).parent.mkdir(parents=True, exist_ok=True)
                replace_file(out / new, clean.data, wait=False)
                done.files[film] = new
                done.num_burnt_in += clean.says_burnt_in
            advance(1)
    done.passed_over = passed.sentence(str(folder))
    if not done.files:
        if key is not None:
            key.unlink()
        raise InputError(
            f"`{folder}` holds no DICOM film that can be de-identified: {count_of(len(films), 'file')} looked at. "
            f"{done.passed_over}".strip(),
            fix="Give the folder of the DICOM films.",
        )
    return done


def _check_places(folder: Path, out: Path, key: Path | None) -> None:
    """Raise InputError where the new folder or the table may not be written."""
    fix = "Choose a new or empty folder."
    if is_in_folder(out, folder):
        raise InputError(f"The new folder `{out}` lies in `{folder}`, which holds the patients' films.", fix=fix)
    if os.path.lexists(out) and not out.is_dir():
        raise InputError(f"Cannot make the folder `{out}`: it is a file.", fix=fix)
    with writing_into(out):
        if out.is_dir() and any(out.iterdir()):
            raise InputError(f"The folder `{out}` is not empty. Nothing in it was changed.", fix=fix)
    if key is None:
        return
    if os.path.lexists(key):
        raise InputError(f"`{key}` exists. It was not changed.", fix="Name a new file for --key.")
    check_file(key, made_by="hilum data deidentify", is_own=lambda _: False, may_replace=False)
    if key.resolve().is_relative_to(out.resolve()):
        raise InputError(
            f"Cannot write `{key}`: it says whose films they are, so it must not lie in `{out}`.",
            fix="Name a file where the patients' films are kept.",
        )


@contextmanager
def _table(key: Path | None) -> Iterator[Callable[[Path, Path], None]]:
    """Yield what writes a line of the table of old and new files at once; nothing without a table."""
    if key is None:
        yield lambda old, new: None
        return
    with writing_into(key.parent), key.open("x", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        lines = CsvLines(stream)

        def note(*cells: object) -> None:
            lines.write(csv_row([str(cell) for cell in cells], (0, 1)))
            stream.flush()

        note("old", "new")
        yield note


class _Places:
    """Names files and folders anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders: dict[Path, Path] = {folder: Path()}
        self._used: Counter[Path] = Counter()

    def of(self, film: Path) -> Path:
        """Return the new place of a film, relative to the new folder."""
        place = self._folder_of(film.parent)
        self._used[place] += 1
        return place / f"{self._used[place]:06}.dcm"

    def _folder_of(self, folder: Path) -> Path:
        if folder not in self._folders:
            above, name = self._folder_of(folder.parent), folder.name
            number = sum(known.parent == folder.parent for known in self._folders) + 1
            says_nothing_private = part_named(name) or is_known_finding(name)
            self._folders[folder] = above / (name if says_nothing_private else f"folder-{number}")
        return self._folders[folder]
