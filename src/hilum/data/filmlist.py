"""The films that a person names, in order: folders, files, CSV files, a list on standard input; any number of them."""

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
_IN_MEMORY_BYTES = 4 * 2**20  # some 50,000 paths; a longer list waits in a temporary file
_PIECE_BYTES = 2**16
_LONGEST_LINE_BYTES = 2**15  # eight times the longest path that Linux takes
_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"%PDF", b"PK\x03\x04")


class FilmList:
    """Paths of films, in order. The same list however often it is read, even if folders change meanwhile.

    Args:
        paths: Taken once.

    Attributes:
        num_films: How many.
        sha256: Of all paths, each ended by NUL: two lists of the same films in the same order have the same.
        passed_over: What folders hold beside films, in a sentence; empty where they hold nothing else.
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
        """Yield all paths; several readers do not disturb each other."""
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
    """Refuse what a person named where there is no such file or folder.

    Raises:
        InputError: A path does not exist.
    """
    for path in paths:
        if path != STANDARD_INPUT and not os.path.exists(path):  # noqa: PTH110 - False to every OSError
            raise InputError(f"Cannot read `{path}`: it does not exist.", fix="Check the path.")


def list_films(paths: Iterable[Path], *, standard_input: IO[bytes] | None = None) -> FilmList:
    """Return the list of films that paths stand for.

    Whether a film can be read, and even whether it exists, is not looked at here: reading it will tell, and the films
    after it are still done.

    Args:
        paths: Folders, read recursively; CSV files with a column of paths, relative to the CSV file, whose name a
            `Listing` gives where it is an unusual one; .txt files with a path a line; ``-`` for a list on standard
            input, one path a line, or each ended by NUL as `find -print0` writes them; else films.
        standard_input: What ``-`` reads.

    Raises:
        InputError: A folder or a list may not be read, or a list is no list; or there is no film at all.
        InconsistentDataset: A line of a CSV file names no film.
    """
    named = list(paths)
    if named.count(STANDARD_INPUT) > 1:
        raise InputError("Standard input (`-`) is named twice and can be read once.", fix="Name it once.")
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
    """Yield the paths on a stream; empty lines are left out."""
    rest, separator, number = b"", b"", 0
    while piece := stream.read(_PIECE_BYTES):
        if not number and not rest:
            if piece.startswith(_MAGICS) or piece[128:132] == b"DICM":
                raise InputError(
                    "Standard input holds a file, not a list; expected one path a line.",
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
            fix="Give one path a line.",
        )


def _in_table(table: Path) -> Iterator[Path]:
    """Yield the paths in the column of a list that holds them; its other columns are not looked at."""
    told = table.columns if isinstance(table, Listing) else {}
    told = {role: name for role, name in told.items() if role == "path"}
    with open_table(table, is_known=lambda name: is_column(name) or name in told.values(), what="list") as opened:
        columns = find_columns(table, opened.header, told, needed=("path",), what="list")
        if "path" not in columns.places:
            check_columns(table, columns, ("path",), what="list")
        for line, row in opened.rows:
            path = columns.cell(row, "path")
            if not path or "\0" in path:
                raise InconsistentDataset(
                    f"Line {line} of `{table}` names no film.", fix="Fill in its path, or remove it."
                )
            yield table.parent / local_path(str(table.parent), path)


def _in_text(text: Path) -> Iterator[Path] | None:
    """Return the paths in a text file, one a line; None where it is no text, or a table.

    They are relative to the text's folder; a path that is not there, but is from the working folder on, is taken so.
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
        raise InputError(f"Cannot read the list `{text}`: {error.strerror}.", fix="Check it.") from error
    except UnicodeError as error:
        raise InconsistentDataset(f"Cannot read the list `{text}`: {error}.", fix="Save it in UTF-8.") from error
