"""What codestreams say of themselves, and what of it is refused before a decoder is asked."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.errors import UndecodableFilm
from hilum.film.codestream import MAX_JPEG_SEGMENTS, Frame, max_jpeg_scans, num_jpeg_scans, read_frame
from hilum.film.headers import check_scans, read_jpeg_header

GREY = np.tile(np.arange(120, dtype=np.uint8), (80, 1))


def saved(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def jpeg_2000(size_px: tuple[int, int] = (40, 60), depths: tuple[int, ...] = (7,), step: int = 1) -> bytes:
    """Return the start of a codestream: SOC and SIZ, all that is looked at."""
    height, width = size_px
    places = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, width, height, 0, 0, len(depths))
    return b"\xff\x4f" + segment(0x51, places + b"".join(bytes([depth, step, step]) for depth in depths))


def box(kind: bytes, body: bytes, *, long: bool = False, last: bool = False) -> bytes:
    if last:
        return struct.pack(">I", 0) + kind + body
    if long:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I", len(body) + 8) + kind + body


SIGNATURE = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")


def progressive(num_scans: int, *, marker: int = 0xC2, side: int = 64, num_components: int = 1) -> bytes:
    """Return a JPEG of many scans of one component each, which say nothing."""
    start = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    start += segment(marker, struct.pack(">BHHB", 8, side, side, num_components) + b"\1\x11\0" * num_components)
    return start + (segment(0xDA, b"\1\1\0\0\0\0") + b"\x12\xff\0\x34\xff\xd0") * num_scans + b"\xff\xd9"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(Image.fromarray(GREY)), Frame((80, 120), 1, 8, 0xC0)),
        (saved(Image.fromarray(GREY).convert("RGB"), progressive=True), Frame((80, 120), 3, 8, 0xC2)),
        (jpeg_2000(), Frame((40, 60), 1, 8)),
        (jpeg_2000(depths=(0x80 | 11, 15, 7)), Frame((40, 60), 3, 16)),
        (saved(Image.fromarray(GREY), "JPEG2000", no_jp2=True), Frame((80, 120), 1, 8)),
        (saved(Image.fromarray(GREY), "JPEG2000"), Frame((80, 120), 1, 8)),
        (SIGNATURE + box(b"free", bytes(1_000_000)) + box(b"jp2c", jpeg_2000()), Frame((40, 60), 1, 8)),
        (SIGNATURE + box(b"free", bytes(90), long=True) + box(b"jp2c", jpeg_2000(), last=True), Frame((40, 60), 1, 8)),
        (SIGNATURE + box(b"jp2c", jpeg_2000(), long=True), Frame((40, 60), 1, 8)),
    ],
)
def test_size_components_and_depth_are_read(data: bytes, expected: Frame) -> None:
    found = read_frame(data)
    assert found is not None
    assert (found.size_px, found.num_components, found.bit_depth, found.process) == (
        expected.size_px,
        expected.num_components,
        expected.bit_depth,
        expected.process,
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no codestream",
        b"\xff\xd8\xff\xda" + bytes(100),
        jpeg_2000()[:20],
        jpeg_2000(depths=(7,) * 5)[:-4],
        jpeg_2000(depths=()),
        jpeg_2000(step=2),
        SIGNATURE,
        SIGNATURE + box(b"jp2h", box(b"pclr", bytes(20))) + box(b"jp2c", jpeg_2000()),
        SIGNATURE + box(b"free", bytes(6000)),
        struct.pack(">I", 4) + b"free" + jpeg_2000(),
        SIGNATURE + bytes(80_000) + jpeg_2000(),
    ],
)
def test_what_does_not_say_its_size_has_none(data: bytes) -> None:
    assert read_frame(data) is None


@pytest.mark.parametrize("num_segments", [10_001, 60_000])
def test_any_number_of_segments_hides_no_frame_header(num_segments: int) -> None:
    jpeg = with_segments(saved(Image.fromarray(GREY)), *[segment(0xE5, b"")] * num_segments)
    assert read_jpeg_header(jpeg, "film").size_px == (80, 120)


def test_more_segments_than_any_file_has_are_refused_in_no_time() -> None:
    jpeg = with_segments(saved(Image.fromarray(GREY)), segment(0xE5, b"") * 5_000_000)
    start = time.process_time()
    with pytest.raises(UndecodableFilm, match="damaged"):
        read_jpeg_header(jpeg, "film")
    assert time.process_time() - start < 5
    assert MAX_JPEG_SEGMENTS < 5_000_000


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA])
def test_too_many_scans_are_refused_of_whichever_kind(marker: int) -> None:
    check_scans(progressive(100, marker=marker, num_components=3), "film")
    with pytest.raises(UndecodableFilm, match="`film`: it is a JPEG picture of more than 100 scans"):
        check_scans(progressive(101, marker=marker, num_components=3), "film")


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC3, 0xC9])
def test_nothing_is_read_behind_a_scan_of_all_components(marker: int) -> None:
    data = progressive(200, marker=marker)  # one component: the first scan has it all
    check_scans(data, "film")
    frame = read_frame(data)
    assert frame is not None
    assert num_jpeg_scans(data, frame) == 1


def test_larger_pictures_may_have_fewer_scans() -> None:
    assert max_jpeg_scans(Frame((5000, 5000), 1, 8)) == 100
    assert max_jpeg_scans(Frame((10_000, 10_000), 1, 8)) == 25
    with pytest.raises(UndecodableFilm, match="more than 25 scans"):
        check_scans(progressive(26, side=10_000), "film")


def test_the_start_of_a_scan_within_a_profile_is_no_scan() -> None:
    profile = segment(0xE2, b"\xff\xda" * 30_000)
    inside = progressive(2)
    jpeg = with_segments(progressive(3), profile, segment(0xE1, inside * 20))
    frame = read_frame(jpeg)
    assert frame is not None
    assert num_jpeg_scans(jpeg, frame) == 3
    later = inside[:-2] + profile + inside[-18:]  # between two scans as well
    frame = read_frame(later)
    assert frame is not None
    assert num_jpeg_scans(later, frame) == 3


def test_scans_are_counted_in_linear_time() -> None:
    jpeg = with_segments(progressive(5), *[segment(0xE2, b"\xff\xda" * 30_000)] * 500)
    frame = read_frame(jpeg)
    assert frame is not None
    start = time.process_time()
    assert num_jpeg_scans(jpeg, frame) == 5
    assert time.process_time() - start < 2


def test_real_codestreams_say_what_the_file_says(hilum_data: Path) -> None:
    import pydicom

    films = [pydicom.dcmread(path) for path in sorted((hilum_data / "dicom").glob("*.dcm"))]
    coded = [film for film in films if film.file_meta.TransferSyntaxUID.is_encapsulated]
    assert len(coded) > 3
    for film in coded:
        said = read_frame(next(pydicom.encaps.generate_frames(film.PixelData, number_of_frames=1)))
        assert said is not None
        assert (*said.size_px, said.num_components) == (film.Rows, film.Columns, film.SamplesPerPixel)
        assert film.BitsStored <= said.bit_depth <= film.BitsAllocated
