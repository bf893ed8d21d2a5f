"""Reads single values from a DICOM file, also where they break the standard.

pydicom raises errors for such values (a decimal comma, a word in place of a number, a damaged letter). So the raw
values are read here. A value that cannot be read counts as absent.

Source: DICOM PS3.5 6.2 (value representations DS and IS) and 6.1 (character sets).
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from hilum.errors import UndecodableFilm

__all__ = ["MAX_DEPTH", "MAX_ELEMENTS", "check_elements", "first_number", "spellings", "whole_number", "words_of"]

# Limits on elements, checked before pydicom reads a file: 8 MB can contain a million elements, which take it many
# seconds. Source: DICOM PS3.5 7.1 (elements), 7.5 (sequences), A.4 (fragments of a compressed picture).

MAX_ELEMENTS = 50_000  # a film has some hundreds, fragments of its picture included
MAX_DEPTH = 32  # of sequences within sequences; a film has three or four
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END, _PIXELS = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x7FE00010


def check_elements(data: bytes, position: int, name: str, *, implicit: bool, big_endian: bool = False) -> None:
    """Check that a data set has no more elements and no deeper sequences than a film can have.

    A damaged data set is checked as far as it can be read.

    Args:
        data: The file, or the inflated data set of a deflated file.
        position: The start of the data set, after the file meta information.
        name: The film's name, for messages.
        implicit: Whether elements have no value representation.
        big_endian: Whether the byte order is big-endian.

    Raises:
        UndecodableFilm: There are too many elements, or sequences are too deep.
    """
    order = ">" if big_endian else "<"
    header, length_of = struct.Struct(f"{order}HHI"), struct.Struct(f"{order}I")
    item_start = header.pack(0xFFFE, 0xE000, 0)[:4]
    open_ends: list[tuple[float, bool]] = []  # for each open sequence or item: its end, and ``implicit`` after it
    count, last = 0, len(data) - 8
    while position <= last:
        count += 1
        _check_size(name, count, len(open_ends))
        while open_ends and position >= open_ends[-1][0]:
            implicit = open_ends.pop()[1]
        group, element, length = header.unpack_from(data, position)
        tag, kind = group << 16 | element, data[position + 4 : position + 6]
        position += 8
        if tag in (_ITEM_END, _SEQUENCE_END):
            if open_ends:
                implicit = open_ends.pop()[1]
            continue
        if tag == _ITEM:
            open_ends.append((float("inf") if length == _UNDEFINED else position + length, implicit))
            first = data[position + 4 : position + 6]  # as in pydicom, the first element of an item decides
            implicit = implicit or not (b"A" <= first[:1] <= b"Z" and b"A" <= first[1:] <= b"Z")
            continue
        unknown = implicit
        if not implicit and b"AA" <= kind <= b"ZZ":  # else the element has none, as in pydicom
            unknown = kind == b"UN"
            if kind in _LONG:
                if position + 4 > len(data):
                    return
                length = length_of.unpack_from(data, position)[0]
                position += 4
            else:
                length = length >> 16 if not big_endian else length & 0xFFFF
        if tag == _PIXELS and length == _UNDEFINED:
            position, more = _behind_fragments(data, position, length_of, item_start)
            count += more
            continue
        within = kind == b"SQ" and not implicit
        if within or length == _UNDEFINED or (unknown and data[position : position + 4] == item_start and length >= 8):
            open_ends.append((float("inf") if length == _UNDEFINED else position + length, implicit))
        else:
            position += length


def _check_size(name: str, count: int, depth: int) -> None:
    if count > MAX_ELEMENTS or depth > 2 * MAX_DEPTH:
        what = f"more than {MAX_ELEMENTS:,} elements" if count > MAX_ELEMENTS else f"more than {MAX_DEPTH} levels"
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it is a DICOM file of {what}.",
            fix="A film has some hundred elements. Check the origin of the file.",
        )


def _behind_fragments(data: bytes, position: int, length_of: struct.Struct, item_start: bytes) -> tuple[int, int]:
    """Return where a compressed picture ends, and its number of fragments, at most one above MAX_ELEMENTS."""
    count = 0
    while count <= MAX_ELEMENTS and data[position : position + 4] == item_start and position + 8 <= len(data):
        position += 8 + length_of.unpack_from(data, position + 4)[0]
        count += 1
    return position, count


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_BINARY = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8"}
_LONGEST = 1024  # bytes of a text that are read
_ENCODINGS = (  # tried where the stated encoding is wrong; the strictest come first
    *("utf-8", "iso2022_jp_2", "gb18030", "shift_jis", "euc_kr", "big5"),
    *("cp1251", "koi8_r", "iso8859_5", "cp866", "cp1250", "iso8859_2", "cp1254", "cp437"),
)


def first_number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of an element as a number; None if it is absent, not a number or not finite.

    Example:
        A Window Center of ``2047,5\\\\1000`` is 2047.5; one of ``n/a`` is None.
    """
    value = _value(dataset, keyword)
    if isinstance(value, (int, float, np.number)):
        number = float(value)
    else:
        text = value.decode("latin-1") if isinstance(value, bytes) else str("" if value is None else value)
        text = text.split("\\", 1)[0].strip(" \0\t\r\n")
        if text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        if not _NUMBER.fullmatch(text):
            return None
        number = float(text)
    return number if math.isfinite(number) else None


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """Return the first value of an element as a whole number, else None."""
    number = first_number(dataset, keyword)
    return int(number) if number is not None and number.is_integer() else None


def words_of(dataset: Dataset, keyword: str) -> tuple[bytes, str, str]:
    """Return an element's raw bytes (empty if absent), their byte order ("<" or ">") and the value representation.

    Values that were not read from a file are returned as little-endian 16-bit words.
    """
    element = _element(dataset, keyword)
    if element is None or element.value is None:
        return b"", "<", ""
    representation = str(element.VR or "")
    if isinstance(element.value, bytes):
        little = element.is_little_endian if isinstance(element, RawDataElement) else _is_little(dataset)
        return element.value, "<" if little else ">", representation
    values = list(element.value) if hasattr(element.value, "__iter__") else [element.value]
    try:
        numbers: NDArray[Any] = np.array(values, np.int64)
    except (TypeError, ValueError, OverflowError):
        return b"", "<", representation
    return (numbers & 0xFFFF).astype("<u2").tobytes(), "<", representation


def spellings(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the possible readings of an element's text, that of the file's own character set first.

    A text of plain ASCII has one reading. Several values are joined by a space.
    """
    element = _element(dataset, keyword)
    value: Any = None if element is None else element.value
    if value is None:
        return ()
    if not isinstance(value, bytes):
        several = hasattr(value, "__iter__") and not isinstance(value, str)
        text = (" ".join(map(str, value)) if several else str(value))[:_LONGEST]
        return tuple(dict.fromkeys((text, *_decoded(b"" if text.isascii() else text.encode("latin-1", "replace"), ()))))
    raw = value[:_LONGEST].replace(b"\0", b" ").strip()
    if raw.isascii() and b"\x1b" not in raw:
        return (raw.decode("ascii").replace("\\", " "),) if raw else ()
    return tuple(dict.fromkeys(_decoded(raw, _declared(dataset))))


def _decoded(raw: bytes, declared: tuple[str, ...]) -> list[str]:
    """Return bytes in every encoding that can decode them; Latin-1 always can."""
    texts = []
    for encoding in (*declared, *_ENCODINGS, "latin-1") if raw else ():
        try:
            texts.append(raw.decode(encoding))
        except (UnicodeError, LookupError):
            continue
    if b"\x1b$)C" in raw:  # Korean, by code extension
        texts += _decoded(raw.replace(b"\x1b$)C", b""), ("euc_kr",))
    return texts


def _declared(dataset: Dataset) -> tuple[str, ...]:
    try:
        return tuple(convert_encodings(dataset.get("SpecificCharacterSet") or "ISO_IR 6"))
    except Exception:  # noqa: BLE001 - pydicom raises any kind of error for a damaged value
        return ()


def _element(dataset: Dataset, keyword: str) -> Any:
    tag = tag_for_keyword(keyword)
    try:
        return dataset.get_item(tag) if tag is not None and tag in dataset else None
    except Exception:  # noqa: BLE001 - as above
        return None


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return an element's first value: a number, or text, or bytes."""
    element = _element(dataset, keyword)
    if element is None:
        return None
    value = element.value
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        representation = element.VR
        if representation in (None, "UN"):
            from pydicom.datadict import dictionary_VR

            representation = dictionary_VR(element.tag)
        kind = _BINARY.get("US" if "US" in str(representation) else str(representation))
        if kind is None:
            return value
        kind = f"{'<' if element.is_little_endian else '>'}{kind}"
        size = np.dtype(kind).itemsize
        return np.frombuffer(value[:size], kind)[0] if len(value) >= size else None
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return value
    return next(iter(value), None)


def _is_little(dataset: Dataset) -> bool:
    return getattr(dataset, "original_encoding", (None, True))[1] is not False
