"""Single values out of a DICOM file, however they are written: numbers with a comma, text in any encoding, bare bytes.

pydicom raises where a value breaks the standard, and real files do so in a hundred ways: a decimal comma, a word where
a number belongs, a letter that an export has turned into a question mark. So values are taken as the file has them and
read here. What cannot be read counts as absent.

Source: DICOM PS3.5 6.2 (value representations DS and IS) and 6.1 (character sets).
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

__all__ = ["first_number", "spellings", "whole_number", "words_of"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_BINARY = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8"}
_LONGEST = 1024  # bytes of a text that are looked at
_ENCODINGS = (  # of a text that is not what the file says; those that refuse other bytes come first
    *("utf-8", "iso2022_jp_2", "gb18030", "shift_jis", "euc_kr", "big5"),
    *("cp1251", "koi8_r", "iso8859_5", "cp866", "cp1250", "iso8859_2", "cp1254", "cp437"),
)


def first_number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of an element as a number; None where it is absent, empty, no number or not finite.

    Args:
        dataset: A data set, or an item of a sequence.
        keyword: The element's keyword.

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
    """Return the first value of an element as a whole number; None as for first_number, and for one with a fraction."""
    number = first_number(dataset, keyword)
    return int(number) if number is not None and number.is_integer() else None


def words_of(dataset: Dataset, keyword: str) -> tuple[bytes, str, str]:
    """Return an element's bytes as the file has them, their byte order ("<" or ">") and the value representation.

    Values that were never in a file are given as 16-bit words, little endian. No bytes where the element is absent.
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
    """Return what an element's text may be: as the file's own character set has it first, then in other encodings.

    A text of plain ASCII has one spelling. Several values are joined by a space.
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
    """Return bytes in every encoding that takes them; Latin-1, which takes all, stands among them."""
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
    except Exception:  # noqa: BLE001 - a damaged value; pydicom raises whatever it brings about
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
