"""Lookup tables and numbers as files have them: what cannot be used is left out, and no pixel is ever not a number."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hilum.film.decode import decode, read_film
from hilum.film.grayscale import shown_values

RISING = np.arange(4096, dtype=np.uint16).reshape(64, 64)  # every 12-bit value once
STRETCHED = RISING / 4095
WINDOW = {"WindowCenter": 1000, "WindowWidth": 401}
WINDOWED = np.clip((RISING - 999.5) / 400 + 0.5, 0, 1)
CURVE = (np.arange(4096) ** 2 // 4096).astype(np.uint16)  # a table of 4096 entries of 12 bits
CURVED = CURVE[RISING] / 4095
Build = Callable[..., bytes]


def item(
    data: Any = CURVE, descriptor: Any = (4096, 0, 12), *, representation: str = "OW", order: str = "<"
) -> Dataset:
    """An item of a VOI or modality LUT sequence; None leaves an element out."""
    made = Dataset()
    if descriptor is not None:
        signed = any(number < 0 for number in np.atleast_1d(descriptor))
        made.add_new("LUTDescriptor", "SS" if signed else "US", list(descriptor))
    if isinstance(data, np.ndarray):
        words = data.astype(f"{order}u{data.itemsize}")
        data = words.tobytes() if representation in ("OW", "OB", "UN") else words.tolist()
    if data is not None:
        made.add_new("LUTData", representation, data)
    made.ModalityLUTType = "US"
    return made


def shown(build: Build, pixels: np.ndarray = RISING, **elements: Any) -> np.ndarray:
    data = build(pixels, bits=12, **elements)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(data).pixels
    assert np.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 1
    return found


def voi(build: Build, *items: Dataset, **elements: Any) -> np.ndarray:
    return shown(build, VOILUTSequence=Sequence(list(items)), **elements)


# Tables that can be used


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("representation", ["OW", "US"])
@pytest.mark.parametrize("count", [4096, 5000, 8192, 0, 17])
def test_the_count_is_that_of_the_data(dicom_bytes: Build, syntax: Any, representation: str, count: int) -> None:
    order = ">" if syntax == ExplicitVRBigEndian and representation == "OW" else "<"
    table = item(descriptor=(count, 0, 12), representation=representation, order=order)
    np.testing.assert_allclose(voi(dicom_bytes, table, syntax=syntax, **WINDOW), CURVED, atol=1e-6)


@pytest.mark.parametrize("size", [256, 255])
@pytest.mark.parametrize("count", [None, 300, 17])
def test_tables_of_eight_bits(dicom_bytes: Build, size: int, count: int | None) -> None:
    curve = (np.arange(size) ** 2 // 256).astype(np.uint8)
    data = curve.tobytes() + b"\0" * (size % 2)
    expected = curve[np.minimum(RISING, size - 1)] / 255
    if count is None:  # one entry a byte, an entry a word
        found = voi(dicom_bytes, item(data, (size, 0, 8)))
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(voi(dicom_bytes, item(curve.astype(np.uint16), (size, 0, 8))), expected, atol=1e-6)
    elif size == 256:
        np.testing.assert_allclose(voi(dicom_bytes, item(data, (count, 0, 8))), expected, atol=1e-6)
        words = item(curve.astype(np.uint16), (count, 0, 8))
        np.testing.assert_allclose(voi(dicom_bytes, words), expected, atol=1e-6)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("representation", ["OW", "US", "OB"])
def test_two_entries_of_eight_bits_a_word(dicom_bytes: Build, syntax: Any, representation: str) -> None:
    curve = (np.arange(256) ** 2 // 256).astype(np.uint8)
    data: Any = curve.tobytes()
    if representation == "OW" and syntax == ExplicitVRBigEndian:
        data = curve.view("<u2").astype(">u2").tobytes()
    elif representation == "US":
        data = curve.view("<u2").tolist()
    found = voi(dicom_bytes, item(data, (256, 0, 8), representation=representation), syntax=syntax)
    np.testing.assert_allclose(found, curve[np.minimum(RISING, 255)] / 255, atol=1e-6)


def test_a_table_that_starts_elsewhere(dicom_bytes: Build) -> None:
    table = item(CURVE[:1000], (1000, 2000, 12))
    expected = CURVE[np.clip(RISING.astype(int) - 2000, 0, 999)] / 4095
    np.testing.assert_allclose(voi(dicom_bytes, table), expected, atol=1e-6)


@pytest.mark.parametrize("first", [-2048, 65536 - 2048])  # as signed words, or as unsigned ones
def test_a_table_of_signed_values(dicom_bytes: Build, first: int) -> None:
    signed = RISING.astype(np.int16) - 2048
    found = shown(dicom_bytes, signed, VOILUTSequence=Sequence([item(descriptor=(4096, first, 12))]))
    np.testing.assert_allclose(found, CURVED, atol=1e-6)


def test_a_table_of_values_beyond_the_signed_ones(dicom_bytes: Build) -> None:
    pixels = RISING + np.uint16(40_000)
    for first in (40_000, 40_000 - 65_536):
        data = dicom_bytes(pixels, VOILUTSequence=Sequence([item(descriptor=(4096, first, 12))]))
        np.testing.assert_allclose(decode(data).pixels, CURVED, atol=1e-6)


@pytest.mark.parametrize("bits", [0, 17, 65_535])
def test_bits_that_no_entry_has_are_taken_from_the_data(dicom_bytes: Build, bits: int) -> None:
    np.testing.assert_allclose(voi(dicom_bytes, item(descriptor=(4096, 0, bits))), CURVED, atol=1e-6)


# Tables that cannot


UNUSABLE = {
    "no data": lambda: item(None),
    "empty data": lambda: item(b""),
    "one entry": lambda: item(4000, (1, 0, 12), representation="US"),
    "one byte": lambda: item(b"\7", representation="UN"),
    "no descriptor": lambda: item(descriptor=None),
    "a short descriptor": lambda: item(descriptor=[4096, 0]),
    "an empty descriptor": lambda: item(descriptor=[]),
    "nothing": Dataset,
    "a constant": lambda: item(np.full(4096, 7, np.uint16)),
    "values that the film has not": lambda: item(CURVE[:100], (100, 5000, 12)),
}


@pytest.mark.parametrize("table", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_table_that_cannot_be_used_is_left_out(dicom_bytes: Build, table: Callable[[], Dataset], syntax: Any) -> None:
    np.testing.assert_allclose(voi(dicom_bytes, table(), syntax=syntax), STRETCHED, atol=1e-6)
    np.testing.assert_allclose(voi(dicom_bytes, table(), syntax=syntax, **WINDOW), WINDOWED, atol=1e-6)
    np.testing.assert_allclose(voi(dicom_bytes, table(), item(), syntax=syntax, **WINDOW), CURVED, atol=1e-6)
    rescale = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    found = shown(dicom_bytes, ModalityLUTSequence=Sequence([table()]), syntax=syntax, **rescale, **WINDOW)
    np.testing.assert_allclose(found, np.clip((RISING * 2.0 - 1000 - 999.5) / 400 + 0.5, 0, 1), atol=1e-6)


# Numbers


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"WindowCenter": "1000,0", "WindowWidth": "401,00"}, WINDOWED),
        ({"WindowCenter": "1000,0\\7", "WindowWidth": "401"}, WINDOWED),
        ({"WindowCenter": "abc", "WindowWidth": "401"}, STRETCHED),
        ({"WindowCenter": "1000", "WindowWidth": "wide"}, STRETCHED),
        ({"WindowCenter": "", "WindowWidth": "401"}, STRETCHED),
        ({"WindowCenter": "nan", "WindowWidth": "401"}, STRETCHED),
        ({"WindowCenter": "1000", "WindowWidth": "inf"}, STRETCHED),
        ({"WindowCenter": "1e300", "WindowWidth": "1e-300"}, STRETCHED),
        ({"WindowCenter": "1e300", "WindowWidth": "1e300"}, STRETCHED),
        ({"RescaleSlope": "1,0000", "RescaleIntercept": "0", **WINDOW}, WINDOWED),
        ({"RescaleSlope": "1\\2", "RescaleIntercept": "0\\5", **WINDOW}, WINDOWED),
        ({"RescaleSlope": "steep", "RescaleIntercept": "-0,0", **WINDOW}, WINDOWED),
        ({"RescaleSlope": "1", "RescaleIntercept": "n/a", **WINDOW}, WINDOWED),
        ({"RescaleSlope": "0", "RescaleIntercept": "5", **WINDOW}, WINDOWED),
        ({"RescaleSlope": "nan", "RescaleIntercept": "inf", **WINDOW}, WINDOWED),
        ({"RescaleSlope": "1e308", "RescaleIntercept": "1e308", **WINDOW}, WINDOWED),
        ({"RescaleSlope": "1e-320", "RescaleIntercept": "7", **WINDOW}, WINDOWED),
        ({"NumberOfFrames": "one"}, STRETCHED),
        ({"NumberOfFrames": "1,0"}, STRETCHED),
        ({"VOILUTFunction": "", **WINDOW}, WINDOWED),
        ({"VOILUTFunction": "linear", **WINDOW}, WINDOWED),
    ],
)
def test_numbers_that_break_the_standard(dicom_bytes: Build, elements: dict[str, Any], expected: np.ndarray) -> None:
    np.testing.assert_allclose(shown_raw(dicom_bytes, elements), expected, atol=1e-6)


def shown_raw(build: Build, elements: dict[str, Any]) -> np.ndarray:
    """A film with texts that pydicom would not write as the numbers that they should be."""
    texts = {key: str(value).encode() for key, value in elements.items()}
    data = build(RISING, bits=12)
    picture = data.index(b"\xe0\x7f\x10\x00OW")
    extra = b""
    for keyword in sorted(texts, key=lambda key: tag_for_keyword(key) or 0):
        tag, value = tag_for_keyword(keyword) or 0, texts[keyword]
        value += b" " * (len(value) % 2)
        kind = {"VOILUTFunction": b"CS", "NumberOfFrames": b"IS"}.get(keyword, b"DS")
        extra += (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + kind
        extra += len(value).to_bytes(2, "little") + value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(data[:picture] + extra + data[picture:]).pixels
    assert np.isfinite(found).all()
    return found


NUMBERS = st.sampled_from(
    ["0", "1", "-1", "1e308", "-1e308", "1e-308", "nan", "inf", "x", "", "2047,5", "65535", "1e5"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(NUMBERS, min_size=4, max_size=4),
    function=st.sampled_from(["LINEAR", "SIGMOID", "LINEAR_EXACT", "OTHER"]),
    inverted=st.booleans(),
    descriptor=st.lists(st.integers(0, 65_535), min_size=3, max_size=3),
    data=st.binary(max_size=9),
)
def test_no_pixel_is_ever_not_a_number(
    numbers: list[str], function: str, inverted: bool, descriptor: list[int], data: bytes
) -> None:
    made = Dataset()
    keywords = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")
    for keyword, number in zip(keywords, numbers, strict=True):
        made.add_new(keyword, "LO", number)
    made.VOILUTFunction = function
    made.VOILUTSequence = made.ModalityLUTSequence = Sequence([item(data, descriptor)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = shown_values(RISING, made, inverted=inverted)
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()
    assert 0 <= pixels.min() <= pixels.max() <= 1


# Films that were read wrong


def test_films_with_a_broken_voi_lut(cases: Path) -> None:
    folder = cases / "04-VOI-LUT-broken"
    truth = read_film(folder / "a_good_lut.dcm").pixels
    for path in sorted(folder.glob("*.dcm")):
        np.testing.assert_allclose(read_film(path).pixels, truth, atol=1e-6, err_msg=path.name)


def test_films_with_odd_numbers(cases: Path) -> None:
    folder = cases / "07-decimal-comma-and-odd-DS"
    truth = read_film(folder / "a_base.dcm").pixels
    for path in sorted(folder.glob("*.dcm")):
        np.testing.assert_allclose(read_film(path).pixels, truth, atol=2e-4, err_msg=path.name)
