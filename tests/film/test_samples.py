"""Samples out of words: every transfer syntax, every place in the word, with and without a sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from hilum.errors import InputError, UndecodableFilm, UnsupportedFilm
from hilum.film.decode import decode, read_film
from hilum.film.samples import SampleLayout, samples_of

ROWS, COLUMNS = np.mgrid[0:48, 0:64]
FILM = np.clip(2000 + 1500 * np.sin(COLUMNS / 10) * np.cos(ROWS / 9), 0, 4095).astype(np.uint16)  # 12 bits
CHANCE = np.random.default_rng(0).integers(0, 2**16, FILM.shape).astype(np.uint16)
PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
CODED = [RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless]
Build = Callable[..., bytes]


def by_name(syntax: UID) -> str:
    return syntax.name.replace(" ", "-")


def shown(data: bytes) -> np.ndarray:
    return decode(data).pixels


def signed_word(values: np.ndarray, bits: int) -> np.ndarray:
    """Two's complements of so many bits, in unsigned words."""
    return (values.astype(np.int64) & (2**bits - 1)).astype(np.uint16)


@pytest.mark.parametrize("syntax", PLAIN + CODED, ids=by_name)
@pytest.mark.parametrize("high_bit", [11, 12, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_a_sample_anywhere_in_its_word(dicom_bytes: Build, syntax: UID, high_bit: int, signed: bool) -> None:
    """Whole words are coded, with chance in the bits that are not the sample's."""
    shift = high_bit - 11
    sample = signed_word(FILM.astype(int) - 2048, 12) if signed else FILM
    unused = np.uint16(~(0xFFF << shift) & 0xFFFF)
    words = (sample << np.uint16(shift)) | (CHANCE & unused)
    data = dicom_bytes(
        words, syntax=syntax, BitsStored=12, HighBit=high_bit, PixelRepresentation=int(signed), RescaleIntercept=2048
    )
    np.testing.assert_array_equal(shown(data), shown(dicom_bytes(FILM, bits=12)))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=by_name)
@pytest.mark.parametrize("high_bit", [11, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_a_codestream_of_samples_alone(dicom_bytes: Build, syntax: UID, high_bit: int, signed: bool) -> None:
    """An encoder may have taken the samples out of their words; the file around still tells where they were."""
    sample = signed_word(FILM.astype(int) - 2048, 12) if signed else FILM
    data = dicom_bytes(sample, syntax=syntax, bits=12, HighBit=high_bit, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(shown(data), shown(dicom_bytes(FILM, bits=12)))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, JPEG2000], ids=by_name)
@pytest.mark.parametrize("bits", [12, 14, 16])
def test_a_signed_codestream(dicom_bytes: Build, syntax: UID, bits: int) -> None:
    """JPEG 2000 has a sign of its own, JPEG-LS has none."""
    values = FILM.astype(np.int16) - 2048
    options = {"syntax": JPEG2000Lossless if syntax == JPEG2000 else syntax, "bits": bits, "BitsStored": 12}
    np.testing.assert_array_equal(shown(dicom_bytes(values, HighBit=11, **options)), shown(dicom_bytes(FILM, bits=12)))


@pytest.mark.parametrize("syntax", PLAIN, ids=by_name)
def test_words_of_32_bits(dicom_bytes: Build, syntax: UID) -> None:
    words = (FILM.astype(np.uint32) << np.uint32(9)) | np.uint32(0xFF00_0000)
    data = dicom_bytes(words, syntax=syntax, BitsStored=12, HighBit=20)
    np.testing.assert_array_equal(shown(data), shown(dicom_bytes(FILM, bits=12)))


def test_words_of_8_bits_with_a_sign(dicom_bytes: Build) -> None:
    values = (FILM >> 4).astype(np.uint8)
    signed = (values.astype(int) - 128).astype(np.int8)
    for syntax in (*PLAIN, RLELossless, JPEGLSLossless, JPEG2000Lossless):
        np.testing.assert_array_equal(shown(dicom_bytes(signed, syntax=syntax)), shown(dicom_bytes(values)))


def test_colours_are_shifted_and_masked_too(dicom_bytes: Build) -> None:
    grey = np.repeat(FILM[..., None], 3, axis=2)
    words = (grey << np.uint16(4)) | (CHANCE[..., None] & np.uint16(15))
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        data = dicom_bytes(words, syntax=syntax, BitsStored=12, HighBit=15)
        np.testing.assert_allclose(shown(data), FILM / 4095, atol=1e-6)


@given(st.data())
def test_samples_come_back_from_any_place(data: st.DataObject) -> None:
    allocated = data.draw(st.sampled_from([8, 16, 32]))
    stored = data.draw(st.integers(8, min(allocated, 16)))
    high_bit = data.draw(st.integers(stored - 1, allocated - 1))
    signed = data.draw(st.booleans())
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    samples = np.array(data.draw(st.lists(st.integers(low, high), min_size=1, max_size=9)))
    other = data.draw(st.integers(0, 2**allocated - 1))
    shift = high_bit + 1 - stored
    mask = (2**stored - 1) << shift
    order = data.draw(st.sampled_from("<>"))
    words = (((samples & (2**stored - 1)) << shift) | (other & ~mask)).astype(f"{order}u{allocated // 8}")
    layout = SampleLayout(1, samples.size, 1, "MONOCHROME2", 0, allocated, stored, high_bit, signed)
    found = samples_of(words, layout)
    assert found.dtype.kind == ("i" if signed else "u")
    np.testing.assert_array_equal(found, samples)
    if high_bit == stored - 1:
        np.testing.assert_array_equal(samples_of(found, layout, word_bits=stored, lossy=True), samples)


def test_a_lossy_codec_that_leaves_the_range_is_brought_back() -> None:
    layout = SampleLayout(1, 4, 1, "MONOCHROME2", 0, 16, 12, 11, False)
    words = np.array([0, 4095, 4096, 4103], np.uint16)
    np.testing.assert_array_equal(samples_of(words, layout, word_bits=16, lossy=True), [0, 4095, 4095, 4095])
    np.testing.assert_array_equal(samples_of(words, layout, word_bits=16), [0, 4095, 0, 7])
    overlay = np.array([0, 4095, 0x8000 + 17, 4096], np.uint16)  # no overshoot: something stands in the bits above
    np.testing.assert_array_equal(samples_of(overlay, layout, word_bits=16, lossy=True), [0, 4095, 17, 0])
    signed = SampleLayout(1, 4, 1, "MONOCHROME2", 0, 16, 12, 11, True)
    words = np.array([-2048, -2050, 2047, 2051], np.int16)
    np.testing.assert_array_equal(samples_of(words, signed, word_bits=16, lossy=True), [-2048, -2048, 2047, 2047])


# What the file says


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"HighBit": 10}, r"High Bit \(0028,0102\) is 10; expected 11 to 15"),
        ({"HighBit": 16}, r"High Bit \(0028,0102\) is 16"),
        ({"BitsAllocated": 12}, r"Bits Allocated \(0028,0100\) is 12; expected 8, 16 or 32"),
        ({"BitsAllocated": 64}, r"Bits Allocated \(0028,0100\) is 64"),
        ({"BitsAllocated": 8}, r"Bits Stored \(0028,0101\) is 12, more than the 8 of Bits Allocated"),
        ({"BitsAllocated": 32, "BitsStored": 24, "HighBit": 23}, r"Bits Stored.* is 24, with Bits Allocated .* of 32"),
        ({"BitsStored": 4, "HighBit": 3}, r"Bits Stored .* is 4, .* expected 8 to 16 bits"),
        ({"PixelRepresentation": 2}, r"Pixel Representation \(0028,0103\) is 2; expected 0 or 1"),
        ({"SamplesPerPixel": 4}, r"Samples per Pixel \(0028,0002\) is 4"),
        ({"PhotometricInterpretation": "SECRET"}, r"Photometric Interpretation \(0028,0004\) is not supported"),
    ],
)
def test_what_contradicts_itself_is_named(dicom_bytes: Build, elements: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        decode(dicom_bytes(FILM, bits=12, **elements))
    assert "SECRET" not in str(refusal.value)
    assert isinstance(refusal.value, (UndecodableFilm, UnsupportedFilm))


@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ("Rows", r"Rows \(0028,0010\)"),
        ("Columns", r"Columns \(0028,0011\)"),
        ("SamplesPerPixel", r"Samples per Pixel \(0028,0002\)"),
        ("PhotometricInterpretation", r"Photometric Interpretation \(0028,0004\)"),
        ("BitsAllocated", r"Bits Allocated \(0028,0100\)"),
        ("BitsStored", r"Bits Stored \(0028,0101\)"),
        ("PixelRepresentation", r"Pixel Representation \(0028,0103\)"),
    ],
)
def test_what_is_missing_is_named(dicom_bytes: Build, keyword: str, said: str) -> None:
    for syntax in (ExplicitVRLittleEndian, JPEG2000Lossless):
        with pytest.raises(UndecodableFilm, match=f"the element {said} is missing"):
            decode(dicom_bytes(FILM, bits=12, syntax=syntax, **{keyword: None}))
    with pytest.raises(UndecodableFilm, match=f"the element {said} is empty or cannot be read"):
        decode(dicom_bytes(FILM, bits=12, **{keyword: ""}))


def test_what_may_be_missing(dicom_bytes: Build) -> None:
    plain = shown(dicom_bytes(FILM, bits=12))
    np.testing.assert_array_equal(shown(dicom_bytes(FILM, bits=12, HighBit=None)), plain)
    np.testing.assert_array_equal(shown(dicom_bytes(FILM, bits=12, PhotometricInterpretation="monochrome2 ")), plain)
    grey = np.repeat((FILM >> 4).astype(np.uint8)[..., None], 3, axis=2)
    for planar in (None, "", 0, 7):
        np.testing.assert_allclose(shown(dicom_bytes(grey, PlanarConfiguration=planar)), grey[..., 0] / 255, atol=1e-6)


def test_floating_point_pixels_are_named(dicom_bytes: Build) -> None:
    with pytest.raises(UnsupportedFilm, match="Float Pixel Data"):
        decode(dicom_bytes(FILM, bits=12, PixelData=None, FloatPixelData=FILM.astype("<f4").tobytes()))


# Films that were read wrong


@pytest.mark.parametrize(
    ("folder", "truth", "films"),
    [
        ("02-bits-above-BitsStored", "a_plain", ["b_jpegls_by_dcmcjpls", "c_j2k_16bit_codestream"]),
        ("02-bits-above-BitsStored", "d_signed_plain", ["e_signed_jpegls"]),
        ("03-HighBit", "a_base", ["b_highbit15_plain", "c_highbit15_rle"]),
    ],
)
def test_films_with_bits_outside_the_sample(cases: Path, folder: str, truth: str, films: list[str]) -> None:
    expected = read_film(cases / folder / f"{truth}.dcm").pixels
    for film in films:
        np.testing.assert_array_equal(read_film(cases / folder / f"{film}.dcm").pixels, expected)


def test_films_whose_layout_is_odd(cases: Path) -> None:
    folder = cases / "15-messages"
    plain = read_film(cases / "03-HighBit" / "a_base.dcm").pixels
    np.testing.assert_array_equal(read_film(folder / "alloc32_stored12.dcm").pixels, plain)
    np.testing.assert_allclose(read_film(folder / "rgb_no_planar.dcm").pixels, plain, atol=1 / 255)
    with pytest.raises(UndecodableFilm, match=r"Bits Stored .* 12, more than the 8 of Bits Allocated"):
        read_film(folder / "alloc8_stored12.dcm")
    with pytest.raises(UndecodableFilm, match=r"Pixel Representation .* is missing"):
        read_film(folder / "no_pixelrepresentation.dcm")
