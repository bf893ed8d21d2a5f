"""Lists the films that a user names: folders, files, CSV files, text files or standard input, any number of films."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from hilum.data.columns import Listing, check_columns, find_columns, is_column
from hilum.data.places import local_path, without_scheme
from hilum.data.table import TABLE_SUFFIXES, encoding_of, is_comment, is_text, open_table
from hilum.data.walk import PassedOver, film_paths
from hilum.errors import InconsistentDataset, InputError

__all__ = ["STANDARD_INPUT", "FilmList", "check_paths", "list_films"]

STANDARD_INPUT = Path("-")
_IN_MEMORY_BYTES = 4 * 2**20  # some 50,000 paths; a longer list is kept in a temporary file
_PIECE_BYTES = 2**16
_LONGEST_LINE_BYTES = 2**15  # eight times the longest path that Linux allows
_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"%PDF", b"PK\x03\x04")


class FilmList:
    """Paths of films, in order. The list stays the same even if the folders change later.

    Args:
        paths: The paths; they are read once.

    Attributes:
        num_films: Number of films.
        sha256: SHA-256 of all paths, each followed by NUL.
        passed_over: A sentence on the files that are not films; empty where there are none.
    """

    passed_over = ""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - it lives as long as the list
        weakref.finalize(self, self._file.close)
        self.num_films = 0
        digest = hashlib.sha256()
        for path in paths:
            entry = os.fsencode(path) + b"\0"
            digest.update(entry)
            self._file.write(entry)
            self.num_films += 1
        self.sha256 = digest.hexdigest()

    def __iter__(self) -> Iterator[Path]:
        """Yield all paths; several readers may read at the same time."""
        position, rest = 0, b""
        while True:
            self._file.seek(position)
            piece = self._file.read(_PIECE_BYTES)
            if not piece:
                return
            position += len(piece)
            *entries, rest = (rest + piece).split(b"\0")
            for entry in entries:
                yield Path(os.fsdecode(entry))


def check_paths(paths: Iterable[Path]) -> None:
    """Raise InputError if a path that the user named does not exist."""
    for path in paths:
        if path != STANDARD_INPUT and not os.path.exists(path):  # noqa: PTH110 - False to every OSError
            raise InputError(f"Cannot read `{path}`: it does not exist.", fix="Check the path.")


def list_films(paths: Iterable[Path], *, standard_input: IO[bytes] | None = None) -> FilmList:
    """Return the films that the user's paths stand for; whether a film exists or can be read is not checked.

    Args:
        paths: Folders, read recursively; CSV files with a column of paths relative to the CSV file (a `Listing` may
            name the column); .txt files with one path per line; ``-`` for paths on standard input, one per line or
            separated by NUL as `find -print0` writes them; all other paths are films.
        standard_input: The stream that ``-`` reads.

    Raises:
        InputError: A folder or list cannot be read, or no film was found.
        InconsistentDataset: A line of a CSV file names no film.
    """
    named = list(paths)
    if named.count(STANDARD_INPUT) > 1:
        raise InputError("Standard input (`-`) is named twice but can be read only once.", fix="Name it once.")
    passed = PassedOver()
    films = FilmList(path for name in named for path in _films_of(name, standard_input, passed))
    films.passed_over = passed.sentence()
    if not films.num_films:
        places = ", ".join(f"`{path}`" for path in named)
        raise InputError(f"No film was found in {places}. {films.passed_over}".strip(), fix="Check the path.")
    return films


def _films_of(name: Path, standard_input: IO[bytes] | None, passed: PassedOver) -> Iterator[Path]:
    if name == STANDARD_INPUT:
        if standard_input is None:
            raise InputError("There is no standard input to read a list of films from.", fix="Name files or folders.")
        return _listed(standard_input)
    if name.suffix.lower() in TABLE_SUFFIXES and os.path.isfile(name):  # noqa: PTH113 - see film_paths
        found = _in_text(name) if name.suffix.lower() == ".txt" else _in_table(name)
        return found if found is not None else film_paths([name], passed)
    return film_paths([name], passed)


def _listed(stream: IO[bytes]) -> Iterator[Path]:
    """Yield the paths on a stream without empty lines."""
    rest, separator, number = b"", b"", 0
    while piece := stream.read(_PIECE_BYTES):
        if not number and not rest:
            if piece.startswith(_MAGICS) or piece[128:132] == b"DICM":
                raise InputError(
                    "Standard input holds a file, not a list; expected one path per line.",
                    fix="Name the film itself: hilum predict film.png",
                )
            piece = piece.removeprefix(b"\xef\xbb\xbf")
        rest += piece
        separator = separator or (b"\0" if b"\0" in rest else b"\n" if len(rest) >= _PIECE_BYTES else b"")
        if separator:
            *entries, rest = rest.split(separator)
            for entry in entries:
                number += 1
                yield from _entry(entry, number, separator)
            _check_length(rest, number + 1)
    for entry in rest.split(separator or b"\n"):
        number += 1
        yield from _entry(entry, number, separator)


def _entry(entry: bytes, number: int, separator: bytes) -> Iterator[Path]:
    if separator != b"\0":
        entry = entry.removesuffix(b"\r")
    _check_length(entry, number)
    if entry.strip():
        yield Path(without_scheme(os.fsdecode(entry)))


def _check_length(entry: bytes, number: int) -> None:
    if len(entry) > _LONGEST_LINE_BYTES:
        raise InputError(
            f"Line {number} of standard input has {_LONGEST_LINE_BYTES:,} bytes or more; expected a path.",
            fix="Give one path per line.",
        )


def _in_table(table: Path) -> Iterator[Path]:
    """Yield the paths of a CSV file; only its column of paths is read."""
    given = table.columns if isinstance(table, Listing) else {}
    given = {role: name for role, name in given.items() if role == "path"}
    with open_table(table, is_known=lambda name: is_column(name) or name in given.values(), what="list") as opened:
        columns = find_columns(table, opened.header, given, needed=("path",), what="list")
        if "path" not in columns.places:
            check_columns(table, columns, ("path",), what="list")
        for line, row in opened.rows:
            path = columns.cell(row, "path")
            if not path or "\0" in path:
                raise InconsistentDataset(
                    f"Line {line} of `{table}` names no film.", fix="Fill in the path, or remove the line."
                )
            yield table.parent / local_path(str(table.parent), path)


def _in_text(text: Path) -> Iterator[Path] | None:
    """Return the paths in a text file, one per line, or in a table; None where the file is not text.

    A path is relative to the folder of the text file, or to the working folder if the film is only there.
    """
    with text.open("rb") as data:
        sample = data.read(_PIECE_BYTES)
    encoding = encoding_of(sample)
    lines = sample.decode(encoding, "replace").lstrip("\ufeff\r\n").splitlines()
    first = [line for line in lines if line.strip() and not is_comment(line)][:1]
    cells = re.split(r"[,;\t|]", first[0]) if first else []
    if any(is_column(cell.strip().strip('"')) for cell in cells) or (first and first[0].lower().startswith("sep=")):
        return _in_table(text)
    return _lines_of(text, encoding) if is_text(sample) else None


def _lines_of(text: Path, encoding: str) -> Iterator[Path]:
    errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
    try:
        with text.open(encoding=encoding, errors=errors) as lines:
            is_start = True
            for line in lines:
                path = line.strip().strip('"').lstrip("\ufeff")
                if path:
                    beside = text.parent / local_path(str(text.parent), path)
                    here = Path(local_path("", path))
                    if is_start and is_comment(path) and not os.path.lexists(beside) and not os.path.lexists(here):
                        continue
                    is_start = False
                    yield here if not os.path.lexists(beside) and os.path.lexists(here) else beside
    except OSError as error:
        raise InputError(f"Cannot read the list `{text}`: {error.strerror}.", fix="Check the file.") from error
    except UnicodeError as error:
        raise InconsistentDataset(f"Cannot read the list `{text}`: {error}.", fix="Save it in UTF-8.") from error
