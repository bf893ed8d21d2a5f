"""`hilum data deidentify`: copies of the DICOM films of a folder without what says whose they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hilum.console import Console, count_of
from hilum.data.names import is_known_finding, part_named
from hilum.data.walk import PassedOver, film_paths
from hilum.errors import HilumError, InputError
from hilum.files import replace_file, replacing, writing_into
from hilum.film.decode import read_bytes
from hilum.film.deidentify import Deidentifier
from hilum.results import ResultFolder, check_file
from hilum.text import printable, write_csv

__all__ = ["Deidentified", "deidentify_folder"]

_FOLDER = ResultFolder("de-identified films", "de-identified films", (), {}, is_alone=True)


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
        key: File for a table of old and new files, outside `out`; None for no table.
        console: Where films that are left out are named.

    Raises:
        InputError: A folder or file may not be used, or no film could be de-identified.
        MissingExtra: The extra `dicom` is not installed.
    """
    if not folder.is_dir():
        raise InputError(f"Cannot read the folder `{folder}`: it is not a folder.", fix="Give a folder of DICOM films.")
    _FOLDER.check(out, overwrite=False, data=folder)
    if key is not None:
        check_file(key, made_by="hilum data deidentify", is_own=lambda _: False, may_replace=False)
        if key.resolve().is_relative_to(out.resolve()):
            raise InputError(
                f"Cannot write `{key}`: it says whose films they are, so it must not lie in `{out}`.",
                fix="Name a file where the patients' films are kept.",
            )
    cleaner, passed, done = Deidentifier(), PassedOver(), Deidentified()
    films, places = list(film_paths([folder], passed)), _Places(folder)
    with writing_into(out), console.films("De-identifying", len(films)) as advance:
        out.mkdir(parents=True, exist_ok=True)
        for film in films:
            try:
                clean = cleaner.clean(read_bytes(film), name=printable(str(film)))
            except HilumError as error:
                done.left_out.append(error.message)
                console.say(f"Left out. {error.message}")
            else:
                new = places.of(film)
                (out / new).parent.mkdir(parents=True, exist_ok=True)
                replace_file(out / new, clean.data, wait=False)
                done.files[film] = new
                done.num_burnt_in += clean.says_burnt_in
            advance(1)
    done.passed_over = passed.sentence(str(folder))
    if not done.files:
        raise InputError(
            f"`{folder}` holds no DICOM film that can be de-identified: {count_of(len(films), 'file')} looked at. "
            f"{done.passed_over}".strip(),
            fix="Give the folder of the DICOM films.",
        )
    if key is not None:
        with replacing(key) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            rows = [(str(old), str(out / new)) for old, new in done.files.items()]
            write_csv(stream, ("old", "new"), rows, paths=("old", "new"))
    return done


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
