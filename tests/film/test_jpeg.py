"""JPEG files with bytes that belong to nothing are read whole; files that are cut short are refused."""

from __future__ import annotations

import contextlib
import io
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from hilum.data.phantom import draw_phantom
from hilum.errors import UndecodableFilm, UnsupportedFilm
from hilum.film.decode import decode, read_film
from hilum.film.jpeg import read_strictly, tidied
from hilum.film.unpack import unpack_samples

FILM = draw_phantom("Normal", np.random.default_rng(0), size_px=160)
END = b"\xff\xd9"


def jpeg(mode: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(FILM).convert(mode).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


KINDS = {
    f"{name}, {'colour' if mode == 'RGB' else 'grey'}": jpeg(mode, **options)
    for mode in ("L", "RGB")
    for name, options in {
        "baseline": {},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_blocks": 5},
        "progressive with restarts": {"progressive": True, "restart_marker_rows": 2},
    }.items()
}


def lossless(mode: str) -> bytes:
    """Return a lossless JPEG (SOF3) of the film, each value the difference from its neighbour (T.81 annex H)."""
    channels = 3 if mode == "RGB" else 1
    values = np.repeat(FILM[..., None].astype(np.int64), channels, axis=2)  # (H, W, channels)
    before = np.concatenate([np.full((1, 1, channels), 128), values[:-1, :1]])  # of a row's first: the one above
    differences = np.diff(np.concatenate([before, values], axis=1), axis=1).ravel()
    sizes = [int(abs(each)).bit_length() for each in differences]
    codes = "".join(  # each of 9 sizes has a code of four bits
        format(size, "04b") + (format(each if each > 0 else each + 2**size - 1, f"0{size}b") if size else "")
        for each, size in zip(differences.tolist(), sizes, strict=True)
    )
    codes += "1" * (-len(codes) % 8)
    coded = int(codes, 2).to_bytes(len(codes) // 8, "big").replace(b"\xff", b"\xff\0")
    height, width = FILM.shape
    names = range(1, channels + 1)
    frame = segment(0xC3, struct.pack(">BHHB", 8, height, width, channels) + b"".join(bytes([n, 17, 0]) for n in names))
    table = segment(0xC4, b"\0" + bytes([0, 0, 0, 9, *[0] * 12]) + bytes(range(9)))
    scan = segment(0xDA, bytes([channels]) + b"".join(bytes([n, 0]) for n in names) + b"\1\0\0")
    return b"\xff\xd8" + frame + table + scan + coded + END


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


every_kind = pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)


def places(data: bytes, *markers: int) -> list[int]:
    """Where markers stand in a JPEG, its tables and scans apart."""
    return [i for i in range(2, len(data) - 1) if data[i] == 0xFF and data[i + 1] in markers]


def same(data: bytes, as_whole: bytes) -> None:
    for min_side_px in (None, 40):
        found, expected = (decode(each, min_side_px=min_side_px).pixels for each in (data, as_whole))
        np.testing.assert_array_equal(found, expected)
    pillow = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    np.testing.assert_array_equal(pillow, np.asarray(Image.open(io.BytesIO(as_whole)).convert("L")))


STRAYS = (b"\0", b"ab", b"\xff\xff\xff", bytes(5000), bytes(range(1, 255)) * 2)


@every_kind
@pytest.mark.parametrize("stray", STRAYS, ids=len)
def test_stray_bytes_are_passed_over(data: bytes, stray: bytes) -> None:
    same(data[:-2] + stray + END, data)  # before the end, after it, in the place of it
    same(data + stray, data)
    tables, scans = places(data, 0xDB), places(data, 0xDA)
    for place in (tables[0], tables[-1], scans[0]):
        same(data[:place] + stray + data[place:], data)


@every_kind
@pytest.mark.parametrize("marker", [0xC4, 0xD0, 0xD3, 0xDA])
def test_stray_bytes_between_scans_and_restarts(data: bytes, marker: int) -> None:
    found = places(data, marker)
    for place in {found[0], found[len(found) // 2], found[-1]} if found else ():
        for stray in (b"ab", b"x" * 40):
            same(data[:place] + stray + data[place:], data)


def test_several_strays_in_one_file() -> None:
    data = KINDS["baseline, grey"]
    table, scan = places(data, 0xDB)[0], places(data, 0xDA)[0]
    same(data[:table] + b"ab" + data[table:scan] + b"\0" * 9 + data[scan:-2] + b"more" * 70 + END + b"\0\0", data)


@every_kind
def test_a_whole_picture_without_a_mark_at_its_end_is_read(data: bytes) -> None:
    for cut in (data[:-2], data[:-1], data[:-2] + bytes(700)):
        np.testing.assert_array_equal(decode(cut).pixels, decode(data).pixels)


@every_kind
@pytest.mark.parametrize("ending", [b"", END, b"\xff" * 9 + END])
@pytest.mark.parametrize("kept", [0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.97, 0.99])
def test_a_picture_cut_short_is_refused(data: bytes, ending: bytes, kept: float) -> None:
    start = places(data, 0xDA)[0] + 12
    cut = data[: start + int((len(data) - start) * kept)]
    with pytest.raises(UndecodableFilm, match="truncated or damaged"):
        decode(cut + ending)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "progressive" not in kind])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8])
def test_a_picture_cut_short_is_refused_with_strays_behind_the_cut_too(kind: str, kept: float) -> None:
    data = KINDS[kind]
    cut = data[: int(len(data) * kept)]
    for ending in (bytes(64), bytes(64) + END, b"ab" * 30 + END):
        with pytest.raises(UndecodableFilm):
            decode(cut + ending)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_wherever_it_is_cut_it_is_refused_or_whole(kind: str, data: st.DataObject) -> None:
    whole = KINDS[kind]
    cut = whole[: data.draw(st.integers(4, len(whole) - 1))]
    try:
        found = decode(cut).pixels
    except UndecodableFilm:
        return
    np.testing.assert_array_equal(found, decode(whole).pixels)


@every_kind
def test_a_missing_interval_or_scan_is_refused(data: bytes) -> None:
    scans, restarts = places(data, 0xDA), places(data, *range(0xD0, 0xD8))
    gaps = [(restarts[3], restarts[4]), (restarts[-2], restarts[-1])] if restarts else []
    gaps += [(scans[-1], len(data))] if len(scans) > 1 else []
    for start, end in gaps:
        with pytest.raises(UndecodableFilm):
            decode(data[:start] + data[end:])


def test_damage_of_other_kinds_is_no_stray() -> None:
    data = KINDS["baseline, grey"]
    for damaged in (data[:2] + b"\xff\xd8" + data[2:], data[:2], data[:200]):
        with pytest.raises(ValueError):
            tidied(damaged)
    assert tidied(data) == (data, True)
    assert tidied(data[:-2] + b"x" * 40 + END)[1] is False


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_damaged_files_are_read_or_refused(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(KINDS[kind][: data.draw(st.sampled_from([-2, None, -40]))])
    for _ in range(data.draw(st.integers(1, 4))):
        limit = data.draw(st.sampled_from([min(700, len(damaged)), len(damaged)]))
        damaged[data.draw(st.integers(2, limit - 1))] = data.draw(st.sampled_from([0, 1, 0xFF, 0xD9, 0xDA, 0xC0, 7]))
    try:
        pixels = decode(bytes(damaged)).pixels
    except (UndecodableFilm, UnsupportedFilm):
        return
    assert np.isfinite(pixels).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "stray",
    [
        b"\xff\xfe\0\2" * 3_000_000,  # empty segments: each was added to a longer and longer string
        b"\xff\xd0" * 6_000_000,
        b"\xff" * 12_000_000,
        b"\xff\0" * 6_000_000,
        b"\0" * 12_000_000,
    ],
    ids=["empty segments", "restarts", "fill bytes", "coded bytes", "zeros"],
)
@pytest.mark.parametrize("marker", [0xC0, 0xDA, 0xD9], ids=["before the frame", "before the scan", "at the end"])
def test_nothing_between_segments_takes_long(stray: bytes, marker: int) -> None:
    data = KINDS["baseline, grey"]
    place = places(data, marker)[-1]
    started = time.process_time()
    with contextlib.suppress(UndecodableFilm):
        decode(data[:place] + stray + data[place:])
    assert time.process_time() - started < 2.5


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("ending", [b"", END], ids=["cut", "cut, and a mark put behind"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_lossless_picture_cut_short_is_refused(mode: str, ending: bytes, kept: float) -> None:
    data = lossless(mode)
    with pytest.raises(UndecodableFilm, match="truncated or damaged lossless JPEG file"):
        decode(data[: int(kept * len(data))] + ending)


def test_an_arithmetic_coded_picture_cut_short_is_refused() -> None:
    data, noise = KINDS["baseline, grey"], bytes(np.random.default_rng(0).integers(0, 255, 100_000, np.uint8))
    head = data[: places(data, 0xDA)[0] + 10].replace(b"\xff\xc0", b"\xff\xc9")
    whole = decode(head + noise + END).pixels  # its decoder makes a picture of any bytes, and stops when it has it
    np.testing.assert_array_equal(decode(head + noise).pixels, whole)
    with pytest.raises(UndecodableFilm, match="truncated or damaged arithmetic-coded JPEG file"):
        decode(head + noise[:32] + END)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_stray_bytes_and_a_missing_mark_in_a_lossless_picture(mode: str) -> None:
    data = lossless(mode)
    whole, scan = decode(data).pixels, places(data, 0xDA)[0]
    for changed in (data[:-2], data[:-2] + b"\xff\xff", data[:-2] + b"\1\2" + END, data[:scan] + b"ab" + data[scan:]):
        np.testing.assert_array_equal(decode(changed).pixels, whole)


def test_segments_that_are_too_short_are_damage() -> None:
    data = KINDS["baseline, grey"]
    frame, scan = places(data, 0xC0)[0], places(data, 0xDA)[0]
    for place in (frame, scan):
        for length in (2, 3, 4, 6):
            with pytest.raises(ValueError):
                tidied(data[: place + 2] + bytes((0, length)) + data[place + 4 :])


def test_a_refusal_is_no_damage() -> None:
    calls = []

    def refuse(data: bytes, strict: bool) -> None:
        calls.append((data, strict))
        raise UnsupportedFilm("in colour", fix="")

    with pytest.raises(UnsupportedFilm):
        read_strictly(b"film", refuse)
    assert calls == [(b"film", True)]


def test_a_jpeg_within_dicom_is_read_alike(dicom_bytes: Callable[..., bytes]) -> None:
    data = KINDS["baseline, grey"]
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    for frame in (data, data[:-2] + b"ab" * 129 + END, data + bytes(300), data[:-2]):
        found = unpacked(frame)
        np.testing.assert_array_equal(found, values)
    for frame in (data[: len(data) // 2], data[: len(data) // 2] + END):
        with pytest.raises((UndecodableFilm, ValueError)):
            unpacked(frame)


def unpacked(frame: bytes) -> np.ndarray:
    from hilum.film.samples import SampleLayout

    layout = SampleLayout(*FILM.shape, 1, "MONOCHROME2", 0, 8, 8, 7, False)
    return unpack_samples(encapsulate([frame]), JPEGBaseline8Bit, layout, "film")[0]


def test_films_with_stray_bytes(cases: Path) -> None:
    folder = cases / "14-jpeg-extraneous-bytes"
    truth = read_film(folder / "a_plain.jpg").pixels
    films = sorted(folder.glob("*.jpg"))
    assert len(films) >= 4
    for path in films:
        np.testing.assert_array_equal(read_film(path).pixels, truth, err_msg=path.name)
