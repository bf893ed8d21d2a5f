"""The samples of a DICOM film out of its Pixel Data."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from hilum.errors import UndecodableFilm
from hilum.film.samples import SampleLayout
from hilum.film.unpack import TRANSFER_SYNTAXES, unpack_samples

ROWS, COLUMNS = np.mgrid[0:48, 0:64]
GREY = np.clip(128 + 90 * np.sin(COLUMNS / 10) * np.cos(ROWS / 9), 0, 255).astype(np.uint8)


def layout(*, samples: int = 1, interpretation: str = "MONOCHROME2", bits: int = 8, stored: int = 8) -> SampleLayout:
    return SampleLayout(*GREY.shape, samples, interpretation, 0, bits, stored, stored - 1, False)


def test_every_transfer_syntax_stands_once() -> None:
    assert len(set(TRANSFER_SYNTAXES)) == len(TRANSFER_SYNTAXES) == 13
    assert TRANSFER_SYNTAXES[0] == ExplicitVRLittleEndian
    assert {JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless, RLELossless} <= set(TRANSFER_SYNTAXES)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
@pytest.mark.parametrize(("bits", "stored"), [(8, 8), (16, 8), (16, 12)])
def test_a_jpeg_of_eight_bits_in_whatever_words(syntax: UID, bits: int, stored: int) -> None:
    frame = simplejpeg.encode_jpeg(GREY[..., None], quality=95, colorspace="GRAY")
    found, interpretation = unpack_samples(encapsulate([frame]), syntax, layout(bits=bits, stored=stored), "film")
    assert (found.dtype, interpretation) == (np.uint8, "MONOCHROME2")
    np.testing.assert_allclose(found, GREY, atol=6)


def test_colours_are_as_they_were_stored() -> None:
    frame = cv2.imencode(".jpg", np.dstack([GREY] * 3))[1].tobytes()
    colour = layout(samples=3, interpretation="YBR_FULL_422")
    found, interpretation = unpack_samples(encapsulate([frame]), JPEGBaseline8Bit, colour, "film")
    assert interpretation == "YBR_FULL_422"
    np.testing.assert_allclose(found[..., 0], GREY, atol=8)
    np.testing.assert_allclose(found[..., 1:], 128, atol=3)


def test_a_codestream_of_another_size_is_refused(dicom_bytes: Callable[..., bytes]) -> None:
    frame = simplejpeg.encode_jpeg(GREY[:40, :, None].copy(), colorspace="GRAY")
    with pytest.raises(UndecodableFilm, match="not have the stated size"):
        unpack_samples(encapsulate([frame]), JPEGBaseline8Bit, layout(), "film")


def test_a_picture_that_is_too_short_is_an_error() -> None:
    with pytest.raises(UndecodableFilm, match=r"truncated\. It has 3,070 bytes; expected 3,072"):
        unpack_samples(GREY.tobytes()[:-2], ExplicitVRLittleEndian, layout(), "film")


def test_two_bytes_a_pixel_are_enough_for_colours_of_half_the_width() -> None:
    found, _ = unpack_samples(
        np.stack([GREY, np.full_like(GREY, 128)], axis=2).tobytes(),
        ExplicitVRLittleEndian,
        layout(samples=3, interpretation="YBR_FULL_422"),
        "film",
    )
    assert found.shape == (*GREY.shape, 3)


HIGH_THROUGHPUT = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")


def jpeg_2000(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG2000", no_jp2=True)
    return stream.getvalue()


@pytest.mark.parametrize("syntax", HIGH_THROUGHPUT)
def test_high_throughput_jpeg_2000_is_checked_like_all_others(syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = unpack_samples(encapsulate([jpeg_2000(GREY)]), UID(syntax), layout(), "film")
    np.testing.assert_array_equal(found, GREY)
    monkeypatch.setattr("hilum.film.unpack.get_decoder", lambda _: pytest.fail("a decoder was called"))
    with pytest.raises(UndecodableFilm, match="its picture has 3 channels"):
        unpack_samples(encapsulate([jpeg_2000(np.dstack([GREY] * 3))]), UID(syntax), layout(), "film")
    with pytest.raises(UndecodableFilm, match="not have the stated size"):
        unpack_samples(encapsulate([jpeg_2000(np.vstack([GREY] * 3))]), UID(syntax), layout(), "film")


def test_a_syntax_that_hilum_does_not_read_reaches_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.film.unpack.get_decoder", lambda _: pytest.fail("a decoder was called"))
    with pytest.raises(NotImplementedError):  # JPIP
        unpack_samples(encapsulate([jpeg_2000(GREY)]), UID("1.2.840.10008.1.2.4.94"), layout(), "film")


RETIRED = (UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55"))


@pytest.mark.parametrize("syntax", RETIRED)
def test_a_retired_progressive_jpeg_of_eight_bits_grey_is_read(syntax: UID) -> None:
    frame = cv2.imencode(".jpg", GREY, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert b"\xff\xc2" in frame
    found, interpretation = unpack_samples(encapsulate([frame]), syntax, layout(), "film")
    assert (found.dtype, interpretation) == (np.uint8, "MONOCHROME2")
    np.testing.assert_allclose(found, GREY, atol=6)
    with pytest.raises(UndecodableFilm, match="truncated or damaged"):
        unpack_samples(encapsulate([frame[: len(frame) // 2]]), syntax, layout(), "film")
    scan = frame[frame.rindex(b"\xff\xda") : frame.rindex(b"\xff\xd9")]
    with pytest.raises(UndecodableFilm, match="more than 100 scans"):
        unpack_samples(encapsulate([frame[:-2] + 200 * scan + frame[-2:]]), syntax, layout(), "film")


@pytest.mark.parametrize("syntax", RETIRED)
def test_a_retired_syntax_of_colours_is_not_unpacked(syntax: UID) -> None:
    frame = cv2.imencode(".jpg", np.dstack([GREY] * 3), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    with pytest.raises((NotImplementedError, RuntimeError)):
        unpack_samples(encapsulate([frame]), syntax, layout(samples=3, interpretation="YBR_FULL_422"), "film")
