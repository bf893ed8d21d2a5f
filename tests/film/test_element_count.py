"""Files of too many elements are refused before pydicom makes objects of them."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from hilum.errors import UndecodableFilm
from hilum.film.dicom import decode_dicom, read_elements
from hilum.film.elements import MAX_DEPTH, MAX_ELEMENTS

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
