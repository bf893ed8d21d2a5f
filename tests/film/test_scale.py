"""How far a large film is reduced: the same blocks in every kind of file, whether it was decoded in full or not."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

from hilum.data.phantom import draw_phantom
from hilum.film.decode import decode
from hilum.film.headers import read_jpeg_header
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import reduced, reduction_factor

SETTINGS = Preprocessing(size_px=160)


@pytest.mark.parametrize(
    ("size_px", "least_px", "factor"),
    [
        ((320, 320), 320, 1),
        ((638, 900), 320, 1),
        ((639, 900), 320, 2),  # 319.5 counts as 320
        ((2000, 640), 320, 2),
        ((2560, 2560), 320, 8),
        ((5120, 5200), 320, 16),
        ((1, 9000), 1, 1),
        ((8, 8), 1, 8),
    ],
)
def test_the_factor_is_a_power_of_two_that_leaves_both_sides(
    size_px: tuple[int, int], least_px: int, factor: int
) -> None:
    assert reduction_factor(size_px, least_px) == factor


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 1200))
def test_reducing_in_two_steps_is_reducing_in_one(height: int, width: int, least_px: int) -> None:
    factor = reduction_factor((height, width), least_px)
    for first in (1, 2, 4, 8):
        if first <= factor:
            between = (-(-height // first), -(-width // first))
            assert first * reduction_factor(between, least_px) == factor


def test_a_pixel_is_the_mean_of_its_block_and_an_edge_repeats_itself() -> None:
    pixels = np.arange(5 * 7, dtype=np.float32).reshape(5, 7)
    found = reduced(pixels, 3)
    assert found.shape == (3, 4)
    assert found[0, 0] == pytest.approx(np.mean([0, 1, 7, 8]))
    assert found[0, 3] == pytest.approx(np.mean([6, 13]))
    assert found[2, 3] == pytest.approx(34)
    assert reduced(pixels, 5) is pixels


@pytest.mark.parametrize("least_px", [300, 150, 70])
@pytest.mark.parametrize("size_px", [(600, 640), (601, 643), (607, 900)])
def test_libjpeg_gives_the_same_means(size_px: tuple[int, int], least_px: int) -> None:
    pixels = cv2.resize(draw_phantom("Normal", np.random.default_rng(0), size_px=512), size_px[::-1])
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    as_decoded, in_full = decode(jpeg, min_side_px=least_px).pixels, decode(jpeg).pixels
    expected = reduced(in_full, least_px)
    assert as_decoded.shape == expected.shape
    assert min(as_decoded.shape) < 0.51 * min(in_full.shape)
    assert np.abs(as_decoded - expected).mean() < 0.4 / 255  # a quarter is lost to whole numbers
    assert np.abs(as_decoded - expected).max() < 4 / 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_film_is_reduced_as_it_is_seen(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = draw_phantom("Normal", np.random.default_rng(1), size_px=301)  # its last blocks are incomplete
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, exif=exif)
    expected = reduced(decode(stream.getvalue()).pixels, 70)
    found = decode(stream.getvalue(), min_side_px=70).pixels
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 0.4 / 255


def test_inks_are_mixed_before_they_are_averaged() -> None:
    grey = draw_phantom("Normal", np.random.default_rng(2), size_px=320)
    light = 255 - np.random.default_rng(2).integers(0, 120, grey.shape).astype(np.uint8)
    jpeg = simplejpeg.encode_jpeg(np.stack([grey, grey, grey, light], axis=-1), colorspace="CMYK", quality=98)
    expected = reduced(decode(jpeg).pixels, 80)
    np.testing.assert_allclose(decode(jpeg, min_side_px=80).pixels, expected, atol=1e-6)


def as_dicom(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A plain film of 8 or 16 bits in some compression."""
    made, bits = Dataset(), pixels.dtype.itemsize * 8
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", generate_uid()
    made.Modality, made.BodyPartExamined, made.PhotometricInterpretation = "CR", "CHEST", "MONOCHROME2"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PixelRepresentation = *pixels.shape, 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW" if bits == 16 else "OB"
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if syntax != ExplicitVRLittleEndian:
            made.compress(syntax)
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def containers(pixels: np.ndarray) -> dict[str, bytes]:
    """The same (H, W) uint8 without loss in every kind of file."""
    wide = pixels.astype(np.uint16) * 257

    def png(picture: Any) -> bytes:
        return cv2.imencode(".png", picture)[1].tobytes()

    return {
        "PNG": png(pixels),
        "PNG, 16 bits": png(wide),
        "PNG, colour": png(cv2.merge([pixels] * 3)),
        "DICOM": as_dicom(pixels),
        "DICOM, 16 bits": as_dicom(wide),
        "DICOM, RLE": as_dicom(pixels, RLELossless),
        "DICOM, JPEG 2000": as_dicom(pixels, JPEG2000Lossless),
        "DICOM, JPEG-LS": as_dicom(pixels, JPEGLSLossless),
    }


def assert_alike(jpeg: bytes, name: str) -> None:
    """A JPEG read at reduced scale and its pixels in any other file reach a network alike."""
    seen = preprocess(decode(jpeg, min_side_px=SETTINGS.decoded_px), SETTINGS)
    in_full = decode(jpeg)
    assert reduction_factor(in_full.pixels.shape, SETTINGS.decoded_px) > 1, name
    others = containers(np.rint(in_full.pixels * 255).astype(np.uint8))
    for kind, data in others.items():
        found = preprocess(decode(data, min_side_px=SETTINGS.decoded_px), SETTINGS)
        assert np.abs(found - seen).mean() < 0.4 / 255, (name, kind)


@pytest.mark.slow
def test_a_film_reaches_a_network_alike_in_every_kind_of_file() -> None:
    rng = np.random.default_rng(0)
    for side_px, finding in ((800, "Normal"), (1301, "Covid-19")):
        pixels = draw_phantom(finding, rng, size_px=side_px)
        pixels = np.clip(pixels + rng.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)
        for picture in (pixels, cv2.merge([pixels] * 3)):
            jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
            assert_alike(jpeg, f"{finding}, {picture.ndim} dimensions")


def test_real_films_reach_a_network_alike_in_every_kind_of_file(hilum_data: Path) -> None:
    paths = sorted((hilum_data / "covid19-image-dataset" / "test").rglob("*.jp*g"))
    sizes_px = {path: read_jpeg_header(path.read_bytes(), path.name).size_px for path in paths}
    large = [path for path in paths if min(sizes_px[path]) >= 639 and max(sizes_px[path]) < 1500]
    assert len(large) >= 3
    for path in large[:: len(large) // 2]:
        assert_alike(path.read_bytes(), path.name)
