"""How many elements a DICOM file has, and how deep they are nested, counted before pydicom reads it.

pydicom makes objects of each element and item: a file of 8 MB can hold a million, and keep it busy for many seconds.
Here only their headers are touched, and the count ends at the limit.

Source: DICOM PS3.5 7.1 (elements), 7.5 (sequences), A.4 (fragments of a compressed picture).
"""

from __future__ import annotations

import struct

from hilum.errors import UndecodableFilm

__all__ = ["MAX_DEPTH", "MAX_ELEMENTS", "check_elements"]

MAX_ELEMENTS = 50_000  # a film has some hundreds, fragments of its picture included
MAX_DEPTH = 32  # of sequences within sequences; a film has three or four
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END, _PIXELS = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x7FE00010


def check_elements(data: bytes, position: int, name: str, *, implicit: bool, big_endian: bool = False) -> None:
    """Refuse a data set of more elements or deeper sequences than any film has.

    A damaged data set is let through as far as it can be walked: reading it comes to the same end.

    Args:
        data: The file; of a deflated one the inflated data set.
        position: Where the data set starts, behind the file meta information.
        name: The film's name, for messages.
        implicit: Whether elements say no value representation.
        big_endian: The order of bytes.

    Raises:
        UndecodableFilm: When there are too many, or too deep.
    """
    order = ">" if big_endian else "<"
    header, length_of = struct.Struct(f"{order}HHI"), struct.Struct(f"{order}I")
    item_start = header.pack(0xFFFE, 0xE000, 0)[:4]
    open_ends: list[tuple[float, bool]] = []  # of sequences and items: where each ends, what elements in it say
    count, last = 0, len(data) - 8
    while position <= last:
        count += 1
        if count > MAX_ELEMENTS or len(open_ends) > 2 * MAX_DEPTH:
            what = f"more than {MAX_ELEMENTS:,} elements" if count > MAX_ELEMENTS else f"more than {MAX_DEPTH} levels"
            raise UndecodableFilm(
                f"Cannot read the film `{name}`: it is a DICOM file of {what}.",
                fix="A film has some hundreds; check where the file comes from.",
            )
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
            first = data[position + 4 : position + 6]  # the first element of an item tells, as in pydicom
            implicit = implicit or not (b"A" <= first[:1] <= b"Z" and b"A" <= first[1:] <= b"Z")
            continue
        unknown = implicit
        if not implicit and b"AA" <= kind <= b"ZZ":  # else this element says none, as pydicom reads it
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


def _behind_fragments(data: bytes, position: int, length_of: struct.Struct, item_start: bytes) -> tuple[int, int]:
    """Return where a compressed picture ends, and how many fragments it has, at most those that are too many."""
    count = 0
    while count <= MAX_ELEMENTS and data[position : position + 4] == item_start and position + 8 <= len(data):
        position += 8 + length_of.unpack_from(data, position + 4)[0]
        count += 1
    return position, count
