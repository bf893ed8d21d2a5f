"""Single values out of DICOM files: numbers and text as people and programs have written them."""

from __future__ import annotations

import io
import math
import struct
import warnings

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from hilum.film.elements import first_number, spellings, whole_number, words_of


def from_file(tag: int, representation: str, value: bytes, *, charset: bytes = b"", order: str = "<") -> Dataset:
    """A data set read from explicit VR bytes that hold one element."""

    def element(tag: int, representation: str, value: bytes) -> bytes:
        value += b" " * (len(value) % 2) if representation not in ("US", "SS", "OW", "OB", "UN", "FD") else b""
        long = representation in ("OW", "OB", "UN", "UT", "SQ")
        length = struct.pack(f"{order}HI" if long else f"{order}H", *((0,) if long else ()), len(value))
        return struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + representation.encode() + length + value

    data = (element(0x00080005, "CS", charset) if charset else b"") + element(tag, representation, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(data + element(0x7FE00000, "UL", bytes(4))), force=True)


CENTER, PADDING, BODY_PART = 0x00281050, 0x00280120, 0x00180015


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (b"2047.5", 2047.5),
        (b"2047,5", 2047.5),
        (b" +2047,5 ", 2047.5),
        (b"-1,5E+02", -150.0),
        (b"2047,5\\1000", 2047.5),
        (b"2047\\abc", 2047.0),
        (b"2047\0", 2047.0),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"", None),
        (b"   ", None),
        (b"\\4096", None),
        (b"abc", None),
        (b"n/a", None),
        (b"nan", None),
        (b"inf", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"1_000", None),
        (b"0x10", None),
        (b"1,000.5", None),
        (b"1,2,3", None),
        ("１２".encode(), None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_numbers_as_they_are_written(written: bytes, number: float | None) -> None:
    assert first_number(from_file(CENTER, "DS", written), "WindowCenter") == number
    assert first_number(from_file(CENTER, "UN", written), "WindowCenter") == number
    assert first_number(from_file(CENTER, "LO", written), "WindowCenter") == number


def test_a_number_that_was_never_in_a_file() -> None:
    made = Dataset()
    assert first_number(made, "WindowCenter") is None
    made.WindowCenter = [40.5, 80]
    assert first_number(made, "WindowCenter") == 40.5
    made.PixelPaddingValue = -5
    assert whole_number(made, "PixelPaddingValue") == -5
    made.Rows = None
    assert whole_number(made, "Rows") is None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("representation", "code", "number"), [("US", "H", 65_000), ("SS", "h", -500), ("FD", "d", 0.5)]
)
def test_binary_numbers(order: str, representation: str, code: str, number: float) -> None:
    data = struct.pack(f"{order}{code}", number)
    if order == "<":
        assert first_number(from_file(PADDING, representation, data), "PixelPaddingValue") == number
        assert first_number(from_file(PADDING, representation, data[:1]), "PixelPaddingValue") is None
    made = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.add_new(PADDING, representation, number)
    assert first_number(made, "PixelPaddingValue") == number


def test_whole_numbers_have_no_fraction() -> None:
    frames = 0x00280008
    for written, number in ((b"1", 1), (b"1.0", 1), (b"2,0", 2), (b"1.5", None), (b"many", None), (b"3\\1", 3)):
        assert whole_number(from_file(frames, "IS", written), "NumberOfFrames") == number


@given(st.binary(max_size=16))
def test_any_bytes_are_a_finite_number_or_none(value: bytes) -> None:
    number = first_number(from_file(CENTER, "DS", value), "WindowCenter")
    assert number is None or math.isfinite(number)


def test_words() -> None:
    assert words_of(from_file(0x00283006, "OW", b"\1\0\2\0"), "LUTData") == (b"\1\0\2\0", "<", "OW")
    assert words_of(Dataset(), "LUTData") == (b"", "<", "")
    made = Dataset()
    for value, words in ((7, [7]), ([1, 65_535], [1, 65_535]), ([-1, 2], [65_535, 2])):
        made.add_new(0x00283006, "US" if np.min(value) >= 0 else "SS", value)
        assert words_of(made, "LUTData")[0] == np.array(words, "<u2").tobytes()


# Text


@pytest.mark.parametrize(
    ("written", "charset", "said"),
    [
        (b"CHEST", b"", "CHEST"),
        ("Tórax".encode("latin-1"), b"ISO_IR 100", "Tórax"),
        ("Tórax".encode(), b"ISO_IR 192", "Tórax"),
        ("Tórax".encode(), b"", "Tórax"),  # UTF-8 that is not declared
        ("Tórax".encode("cp437"), b"", "Tórax"),
        ("Грудная клетка".encode("iso8859_5"), b"ISO_IR 144", "Грудная клетка"),
        ("Грудная клетка".encode("cp1251"), b"", "Грудная клетка"),
        ("Göğüs".encode("iso8859_9"), b"ISO_IR 148", "Göğüs"),
        ("胸部".encode("gb18030"), b"GB18030", "胸部"),
        ("胸部".encode("shift_jis"), b"ISO_IR 13", "胸部"),
        (b"\x1b$B6;It\x1b(B", b"\\ISO 2022 IR 87", "胸部"),
        (b"\x1b$B6;It\x1b(B", b"", "胸部"),
        (b"\x1b$)C\xc8\xe4\xba\xce", b"\\ISO 2022 IR 149", "흉부"),
        (b"\x1b$)C\xc8\xe4\xba\xce", b"", "흉부"),
        (b"CHEST\\RIBS", b"", "CHEST RIBS"),
        (b"CHEST\xff", b"NONSENSE", "CHESTÿ"),
    ],
)
def test_text_in_any_encoding(written: bytes, charset: bytes, said: str) -> None:
    found = spellings(from_file(BODY_PART, "CS", written, charset=charset), "BodyPartExamined")
    assert said in found
    if written.isascii() and b"\x1b" not in written:
        assert found == (said,)


def test_text_that_was_never_in_a_file() -> None:
    made = Dataset()
    assert spellings(made, "StudyDescription") == ()
    made.StudyDescription = "TÃ³rax"  # UTF-8 that was taken for Latin-1
    assert spellings(made, "StudyDescription")[:2] == ("TÃ³rax", "Tórax")
    made.ImageType = ["ORIGINAL", "PRIMARY"]
    assert spellings(made, "ImageType") == ("ORIGINAL PRIMARY",)
