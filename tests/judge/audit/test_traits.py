"""What is kept of a film beside its picture: what the file says, margins, signs in the corners, age, refusals."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hilum.data.folder import read_dataset
from hilum.data.scan import scan_films
from hilum.film.decode import decode
from hilum.film.headers import luminance_steps
from hilum.judge.audit.traits import FilmTraits, TraitCollector, read_traits


@pytest.fixture(scope="module")
def pixels(chests: list[np.ndarray]) -> np.ndarray:
    return chests[0]


def saved(pixels: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def traits_of(data: bytes) -> FilmTraits:
    return read_traits(data, decode(data))


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_what_the_encoder_was_asked_for(pixels: np.ndarray, quality: int) -> None:
    assert abs(traits_of(saved(pixels, "JPEG", quality=quality)).jpeg_quality - quality) <= 1


def test_the_steps_are_those_of_the_picture_and_not_of_a_thumbnail_in_it(pixels: np.ndarray) -> None:
    fine, coarse = saved(pixels, "JPEG", quality=95), saved(pixels, "JPEG", quality=20)
    body = b"Exif\0\0" + coarse
    inside = fine[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + fine[2:]
    assert luminance_steps(inside) == luminance_steps(fine) != luminance_steps(coarse)
    assert luminance_steps(b"\xff\xd8\xff\xdb\x00\x05\x00\x01\x02") is None


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        ("PNG", None, "grey"),
        ("PNG", "RGB", "colour"),
        ("PNG", "P", "palette"),
        ("PNG", "LA", "grey with transparency"),
        ("PNG", "RGBA", "colour with transparency"),
        ("JPEG", None, "grey"),
        ("JPEG", "RGB", "colour"),
        ("JPEG", "CMYK", "CMYK"),
    ],
)
def test_the_colour_mode_is_the_file_s(pixels: np.ndarray, kind: str, mode: str | None, expected: str) -> None:
    one = traits_of(saved(pixels, kind, mode))
    assert one.colour_mode == expected
    assert one.file_format == kind.lower()
    assert one.size_px == pixels.shape
    assert one.thumbnail.shape == (32, 32)


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize(("value", "sign"), [(0, 1), (255, -1)])
def test_a_margin_is_seen_at_its_side(pixels: np.ndarray, side: int, value: int, sign: int) -> None:
    grey = np.clip(pixels, 40, 215)
    assert not traits_of(saved(grey, "PNG")).margins.any()
    widths = [0, 0, 0, 0]
    widths[side] = 20
    framed = cv2.copyMakeBorder(grey, *widths, cv2.BORDER_CONSTANT, value=value)
    margins = traits_of(saved(framed, "PNG")).margins
    assert np.flatnonzero(margins).tolist() == [side]
    assert margins[side] * sign == pytest.approx(20 / framed.shape[0 if side < 2 else 1], abs=0.01)


@pytest.mark.parametrize("corner", range(4))
def test_a_letter_is_seen_in_its_corner(chests: list[np.ndarray], corner: int) -> None:
    """Of nearly every film, and of next to none in which nothing is burnt in."""
    found, quiet = [], []
    for film in chests[:20]:
        height, width = film.shape
        at = (8 if corner % 2 == 0 else width - 24, 34 if corner < 2 else height - 14)
        marked = film.copy()
        cv2.putText(marked, "L", at, cv2.FONT_HERSHEY_SIMPLEX, 0.58, 255, 2, cv2.LINE_AA)
        found.append(traits_of(saved(marked, "PNG")).markers[corner])
        quiet.append(traits_of(saved(film, "PNG")).markers[1:].any())  # the word PHANTOM stands at the top left
    assert np.mean(found) >= (0.8 if corner < 2 else 0.6)  # white on the bright belly is harder to see
    assert np.mean(quiet) <= 0.1


def test_age_and_photometric_interpretation_come_from_dicom(hilum_data: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(hilum_data / "dicom" / "RG1_J2KI.dcm")
    for said, years in (("007Y", 7), ("018M", 1.5), ("021D", 21 / 365.25), ("old", None), ("", None)):
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of writing a file that breaks the standard; reading it must not warn
            dataset.add_new("PatientAge", "AS", said)
            dataset.save_as(stream)
        one = traits_of(stream.getvalue())
        assert one.age_years == (None if years is None else pytest.approx(years, rel=0.01))
        assert one.colour_mode == "MONOCHROME1"
        assert one.file_format == "dicom"
        assert one.bit_depth == 15


def test_the_gate_is_asked(pixels: np.ndarray) -> None:
    codes = {reason.code for reason in traits_of(saved(np.full((40, 40), 9, np.uint8), "PNG")).reasons}
    assert {"constant", "too-small"} <= codes
    assert not {"constant", "too-small"} & {reason.code for reason in traits_of(saved(pixels, "PNG")).reasons}


def test_the_collector_keeps_the_order_of_the_films_that_can_be_read(tmp_path: Path, pixels: np.ndarray) -> None:
    for number, finding in enumerate(("Covid", "Normal", "Normal")):
        (tmp_path / finding).mkdir(exist_ok=True)
        (tmp_path / finding / f"{number}.png").write_bytes(saved(pixels[: 100 + number], "PNG"))
    (tmp_path / "Covid" / "broken.png").write_bytes(b"")
    dataset = read_dataset(tmp_path)
    look = TraitCollector(len(dataset.records))
    scan = scan_films(dataset, look=look)
    assert [one.size_px[0] for one in look.of(scan)] == [100, 101, 102]
    with pytest.raises(ValueError, match="Traits of 0 films"):
        TraitCollector(4).of(scan)
