"""Single values out of DICOM files: numbers and text as people and programs have written them."""

from __future__ import annotations

import io
import math
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from hilum.errors import UndecodableFilm
from hilum.film.dicom import decode_dicom, read_elements
from hilum.film.elements import MAX_DEPTH, MAX_ELEMENTS, first_number, spellings, whole_number, words_of


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


# --- files of too many elements are refused before pydicom makes objects of them --------------------------------------


FEW = 2000  # the limit in tests of how elements are counted; writing 50,000 takes seconds
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


def nested(depth: int) -> Dataset:
    item = Dataset()
    item.CodeMeaning = "chest"
    if depth > 1:
        item.ConceptCodeSequence = Sequence([nested(depth - 1)])
    return item


def film(write: Callable[..., Path], folder: Path, syntax: Any, change: Callable[[Dataset], None]) -> bytes:
    """Return a film that reads, changed."""
    made = pydicom.dcmread(write(folder / "film.dcm"))
    if syntax == JPEG2000Lossless:
        made.compress(syntax, generate_instance_uid=False)
    made.file_meta.TransferSyntaxUID = syntax
    change(made)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def many_elements(made: Dataset) -> None:
    for number in range(FEW):
        made.add_new((0x0031 + 2 * (number >> 12), 0x1000 + (number & 0xFFF)), "LO", "")


def many_items(made: Dataset) -> None:
    made.ReferencedImageSequence = Sequence([Dataset() for _ in range(FEW)])


def many_items_of_no_stated_length(made: Dataset) -> None:
    many_items(made)
    made["ReferencedImageSequence"].is_undefined_length = True
    for item in made.ReferencedImageSequence:
        item.is_undefined_length_sequence_item = True


def many_items_of_a_private_sequence(made: Dataset) -> None:
    made.add_new(0x00310010, "LO", "SOMEBODY")
    made.add_new(0x00311001, "SQ", Sequence([Dataset() for _ in range(FEW)]))


def deep(made: Dataset) -> None:
    made.AnatomicRegionSequence = Sequence([nested(MAX_DEPTH + 2)])


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (many_elements, "2,000 elements"),
        (many_items, "2,000 elements"),
        (many_items_of_no_stated_length, "2,000 elements"),
        (many_items_of_a_private_sequence, "2,000 elements"),
        (deep, "32 levels"),
    ],
)
def test_too_much_is_refused(
    *,
    syntax: Any,
    change: Callable[[Dataset], None],
    said: str,
    write_dicom: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hilum.film.elements.MAX_ELEMENTS", FEW)
    data = film(write_dicom, tmp_path, syntax, change)
    for read in (decode_dicom, read_elements):
        with pytest.raises(UndecodableFilm, match=f"it is a DICOM file of more than {said}"):
            read(data)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_a_film_may_hold_is_read(syntax: Any, write_dicom: Callable[..., Path], tmp_path: Path) -> None:
    def change(made: Dataset) -> None:
        made.AnatomicRegionSequence = Sequence([nested(MAX_DEPTH - 2)])
        made.ReferencedImageSequence = Sequence([Dataset() for _ in range(1000)])
        made["ReferencedImageSequence"].is_undefined_length = True

    assert decode_dicom(film(write_dicom, tmp_path, syntax, change)).original_size_px[0] == 96


def test_fragments_of_a_picture_count(write_dicom: Callable[..., Path], tmp_path: Path) -> None:
    def shatter(made: Dataset) -> None:
        made.PixelData = encapsulate(
            [b"\0\0" * (MAX_ELEMENTS + 1)], fragments_per_frame=MAX_ELEMENTS + 1, has_bot=False
        )

    with pytest.raises(UndecodableFilm, match="50,000 elements"):
        decode_dicom(film(write_dicom, tmp_path, JPEG2000Lossless, shatter))


def test_a_million_elements_are_refused_in_no_time(write_dicom: Callable[..., Path], tmp_path: Path) -> None:
    data = write_dicom(tmp_path / "film.dcm").read_bytes()
    place = data.index(b"\xe0\x7f\x10\0O")
    elements = b"".join(
        struct.pack("<HH2sH", 0x31 + 2 * (k >> 15), 0x1000 + (k & 0x7FFF), b"LO", 0) for k in range(10**6)
    )
    start = time.process_time()
    with pytest.raises(UndecodableFilm, match="50,000 elements"):
        read_elements(data[:place] + elements + data[place:])
    assert time.process_time() - start < 2


@pytest.mark.parametrize("kind", [b"UN", b"SQ", b""])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 100_000])
def test_sequences_in_unknown_elements_are_counted_however_they_are_written(
    dicom_bytes: Callable[..., bytes], kind: bytes, depth: int
) -> None:
    data = dicom_bytes(np.arange(96 * 128, dtype=np.uint16).reshape(96, 128))
    place = data.index(struct.pack("<HH", 0x0028, 0x0002) + b"US")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    outer = struct.pack("<HH2sHI", 0x0031, 0x1001, b"UN", 0, 0xFFFFFFFF) + item
    inner = struct.pack("<HH", 0x0031, 0x1001) + (kind + bytes(2) if kind else b"") + b"\xff" * 4 + item
    deep = data[:place] + outer + depth * inner + (depth + 1) * ends + data[place:]
    with pytest.raises(UndecodableFilm, match="more than 32 levels"):
        decode_dicom(deep)
    few = data[:place] + outer + 3 * inner + 4 * ends + data[place:]
    assert decode_dicom(few).pixels.shape == decode_dicom(data).pixels.shape
