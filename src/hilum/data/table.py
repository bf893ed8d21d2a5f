"""Reads CSV tables of any usual encoding and separator, as Excel, R, pandas or people write them.

The first line that is not empty names the columns. Excel's ``sep=;`` and comments, which begin with ``#``, may come
before it. Lines are read one by one, so that a list of a million films needs little memory.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from hilum.errors import InconsistentDataset, InputError

__all__ = ["TABLE_SUFFIXES", "Table", "cell_text", "encoding_of", "is_comment", "is_text", "open_table"]

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 2**16
_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEP_LINE = re.compile(r"""\s*["']?sep=(\\t|.)["']?\s*""", re.IGNORECASE)
_BINARY = (b"\x89PNG", b"\xff\xd8\xff", b"%PDF", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b")


@dataclass(frozen=True)
class Table:
    """An open table.

    Attributes:
        path: The file.
        header: The names of its columns, without spaces around them.
        rows: (line number, cells) of each line that is not empty, with as many cells as the header.
    """

    path: Path
    header: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]


@contextmanager
def open_table(path: Path, *, is_known: Callable[[str], bool], what: str = "manifest") -> Iterator[Table]:
    """Open a table and find its encoding and separator.

    Args:
        path: The file.
        is_known: Whether a column name is an expected one; the separator that gives the most of these is used.
        what: What messages call the file.

    Raises:
        InputError: The file cannot be read.
        InconsistentDataset: The file is not a table, or a line does not match the header; also raised by ``rows``.
    """
    try:
        with path.open("rb") as data:
            sample = data.read(_SAMPLE_BYTES)
        if sample.startswith(_BINARY) or sample[128:132] == b"DICM":
            raise InconsistentDataset(
                f"Cannot read the {what} `{path}`: it holds {_content(sample)}, not lines of text.",
                fix="Save it as CSV (in Excel: Save As, CSV UTF-8).",
            )
        encoding = encoding_of(sample)
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        with path.open(encoding=encoding, errors=errors, newline="") as lines:
            yield _table(path, lines, is_known, what)
    except OSError as error:
        raise InputError(f"Cannot read the {what} `{path}`: {error.strerror}.", fix="Check the path.") from error
    except (UnicodeError, csv.Error) as error:
        raise InconsistentDataset(
            f"Cannot read the {what} `{path}`: {error}.", fix="Save it as CSV, separated by commas, in UTF-8."
        ) from error


def encoding_of(sample: bytes) -> str:
    """Return the encoding of a text from its first bytes: UTF-8, UTF-16 or UTF-32."""
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            return encoding
    start = sample[:1000]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if odd > 0.3 * len(start) / 2 > even:
        return "utf-16-le"
    if even > 0.3 * len(start) / 2 > odd:
        return "utf-16-be"
    return "utf-8-sig"


def is_text(sample: bytes) -> bool:
    """Return whether the first bytes of a file are text in one of these encodings."""
    if sample.startswith(_BINARY) or sample[128:132] == b"DICM":
        return False
    return encoding_of(sample) != "utf-8-sig" or b"\0" not in sample


def is_comment(line: str) -> bool:
    """Return whether a line is a comment: it begins with ``#``, in quotes or not."""
    return line.lstrip(" \t\"'\ufeff").startswith("#")


def cell_text(cell: str) -> str:
    """Return a cell as text; bytes that are not UTF-8 are read as Windows-1252, as Excel writes it."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        data = cell.encode("utf-8", "surrogateescape")
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            return data.decode("latin-1")
    return cell


def _table(path: Path, lines: TextIO, is_known: Callable[[str], bool], what: str) -> Table:
    start, stated, skipped = _start(lines, is_known)
    separator = _separator(start[0], is_known, stated)[0] if start else stated or ","
    reader = csv.reader(chain(start, lines), delimiter=separator, strict=True, skipinitialspace=True)
    header = next((row for row in reader if any(cell.strip() for cell in row)), [])
    while header and not header[-1].strip():  # Excel writes empty columns at the end
        header.pop()
    names = tuple(cell_text(name).strip() for name in header)
    return Table(path, names, _rows(path, reader, len(names), skipped, separator))


def _start(lines: TextIO, is_known: Callable[[str], bool]) -> tuple[list[str], str, int]:
    """Return the lines read from the header on, the separator that ``sep=`` states, and the number of lines before.

    A line that begins with ``#`` is the header if it has more expected column names than the next line.
    """
    stated, skipped, comment, known = "", 0, "", 0
    for line in lines:
        if not line.strip():
            skipped += 1
        elif found := _SEP_LINE.fullmatch(line.rstrip("\r\n")):
            stated, skipped = "\t" if found[1] == "\\t" else found[1], skipped + 1
        else:
            here = _separator(line, is_known, stated)[1]
            if known > here:
                return [comment, line], stated, skipped - 1
            if not is_comment(line):
                return [line], stated, skipped
            comment, known, skipped = line, here, skipped + 1
    return ([comment], stated, skipped - 1) if known else ([], stated, skipped)


def _rows(
    path: Path,
    reader: csv.reader,  # type: ignore[valid-type]
    width: int,
    skipped: int,
    separator: str,
) -> Iterator[tuple[int, list[str]]]:
    for row in _whole_rows(path, reader, skipped):
        line = reader.line_num + skipped  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < width or any(cell.strip() for cell in row[width:]):
            sign = {",": "comma", ";": "semicolon", "\t": "tab"}.get(separator, f"`{separator}`")
            raise InconsistentDataset(
                f"Line {line} of `{path}` has {len(row)} cell{'s' * (len(row) != 1)}; expected {width}, the "
                "number of column names.",
                fix=f"Add the missing cells; an empty cell needs its {sign} too."
                if len(row) < width
                else f"Put cells that contain a {sign} in quotes.",
            )
        yield line, [cell.strip() for cell in row[:width]]


def _whole_rows(
    path: Path,
    reader: csv.reader,  # type: ignore[valid-type]
    skipped: int,
) -> Iterator[list[str]]:
    line = 0
    try:
        while True:
            line = reader.line_num + skipped + 1  # type: ignore[attr-defined]
            yield next(reader)
    except StopIteration:
        return
    except csv.Error as error:
        raise InconsistentDataset(
            f"Cannot read line {line} of `{path}`: {error}.",
            fix='Close every quotation mark, and write one inside a cell twice: "a ""big"" heart".',
        ) from error


def _separator(line: str, is_known: Callable[[str], bool], stated: str) -> tuple[str, int]:
    """Return the separator that gives the most expected column names, and their number.

    Among equals, the separator that the file states is preferred, then the one that gives the most columns.
    """
    best, most = stated or ",", (0, False, False, 1)
    for separator in dict.fromkeys((*filter(None, [stated]), *_SEPARATORS)):
        try:
            names = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            continue
        splits = len(names) > 1
        found = (sum(map(is_known, names)) if splits else 0, splits, splits and separator == stated, len(names))
        if found > most:
            best, most = separator, found
    return best, most[0] or int(is_known(line))


def _content(sample: bytes) -> str:
    if sample.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "an Excel workbook or another packed file"
    return "a packed file" if sample.startswith(b"\x1f\x8b") else "a picture or a document"
