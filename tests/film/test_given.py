"""Films given from Python: arrays, PIL images, bytes and paths say the same; what is none is told what is expected."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hilum.data.phantom import draw_phantom
from hilum.errors import InputError, UndecodableFilm, UnsupportedFilm
from hilum.film.decode import decode
from hilum.film.given import film_name, given_film

PIXELS = draw_phantom("Normal", np.random.default_rng(0), size_px=120)
WIDE = PIXELS.astype(np.uint16) * 16  # 12 bits
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()


def test_a_path_bytes_an_array_and_an_image_are_the_same_film(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(PNG)
    expected = decode(PNG).pixels
    ways: list[Any] = [path, str(path), PNG, bytearray(PNG), memoryview(PNG), PIXELS, Image.fromarray(PIXELS)]
    ways += [np.asfortranarray(PIXELS), PIXELS / 255, (PIXELS / 255).astype(np.float32), decode(PNG)]
    ways += [Image.fromarray(PIXELS).convert(mode) for mode in ("RGB", "RGBA", "LA")]
    for film in ways:
        found = given_film(film)
        assert found.pixels.dtype == np.float32
        assert found.pixels.flags.c_contiguous
        np.testing.assert_allclose(found.pixels, expected, atol=1e-6)
        assert found.original_size_px == PIXELS.shape


def test_sixteen_bits_count_as_in_a_png() -> None:
    expected = decode(cv2.imencode(".png", WIDE)[1].tobytes()).pixels
    for film in (WIDE, WIDE.astype(">u2"), Image.fromarray(WIDE), Image.fromarray(WIDE.astype(np.int32))):
        np.testing.assert_array_equal(given_film(film).pixels, expected)


def test_an_array_that_is_given_stays_as_it_is() -> None:
    film = np.linspace(0, 1, 6400, dtype=np.float32).reshape(80, 80)
    found = given_film(film).pixels
    assert not np.shares_memory(found, film)


def test_what_rounding_leaves_outside_of_0_to_1_is_cut_off() -> None:
    film = np.linspace(0, 1, 6400, dtype=np.float32).reshape(80, 80)
    film[0, 0], film[-1, -1] = -1e-7, np.nextafter(np.float32(1), np.float32(2))
    found = given_film(film).pixels
    assert (found.min(), found.max()) == (0, 1)
    with pytest.raises(InputError, match=r"values from -0\.01 to 1"):
        given_film(np.where(film <= 0, np.float32(-0.01), film))
    with pytest.raises(InputError, match="not numbers"):
        given_film(np.where(film <= 0, np.float32("nan"), film))


def test_a_closed_image_is_an_error_of_the_film() -> None:
    image = Image.open(io.BytesIO(PNG))
    image.close()
    with pytest.raises(UndecodableFilm, match="closed image"):
        given_film(image)


def test_an_image_is_seen_as_its_file_is() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "JPEG", quality=95, exif=exif)
    np.testing.assert_allclose(
        given_film(Image.open(io.BytesIO(stream.getvalue()))).pixels, decode(stream.getvalue()).pixels, atol=2.5 / 255
    )
    colour = np.zeros((80, 80, 3), np.uint8)
    colour[..., 0] = 200
    with pytest.raises(UnsupportedFilm, match="colour"):
        given_film(Image.fromarray(colour))
    cut = Image.open(io.BytesIO(stream.getvalue()[:900]))
    with pytest.raises(UndecodableFilm, match="PIL image"):
        given_film(cut)


@pytest.mark.parametrize(
    "film",
    [
        np.zeros((8, 80, 80), np.uint8),
        np.zeros((80, 80, 3), np.uint8),
        np.zeros(80, np.uint8),
        np.zeros((80, 80), np.int16),
        np.zeros((80, 80), np.uint32),
        np.zeros((80, 80), bool),
        np.zeros((80, 80), complex),
        np.full((80, 80), "a"),
        np.full((80, 80), 255.0),
        np.full((80, 80), -0.1),
        np.full((80, 80), np.nan),
        np.full((80, 80), np.inf),
    ],
)
def test_arrays_of_another_kind_are_told_what_is_expected(film: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected .*float from 0 to 1"):
        given_film(film)


def test_an_array_without_pixels_is_no_film() -> None:
    with pytest.raises(UndecodableFilm):
        given_film(np.zeros((0, 80), np.uint8))


@pytest.mark.parametrize("film", [None, 3, 1.5, ["film.png"], ("a", "b"), {"file": "a"}, object()])
def test_what_is_no_film_is_our_error(film: Any) -> None:
    with pytest.raises(InputError, match=r"Cannot read a film from a `\w+`; expected a path"):
        given_film(film)


def test_a_film_has_the_name_of_its_path() -> None:
    assert [film_name(film) for film in (Path("a/b.png"), "c.png", PNG, PIXELS)] == ["a/b.png", "c.png", "film", "film"]
