"""Views the lung segmenter learns from: film and mask are bent alike, lungs are whitened, other pictures have none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import lungs_films
from hilum.run.lungs import LUNGS_PX
from lungs_films import STORED_PX, LungFilms, draw_lung_bank, make_lung_view, read_masked_films, square


@pytest.fixture(scope="module")
def films() -> LungFilms:
    bank = draw_lung_bank(np.random.default_rng(0), num=40)
    return LungFilms(films=bank["phantoms"], masks=bank["phantom_masks"], **bank)


def test_the_bank_holds_what_was_asked_for(films: LungFilms) -> None:
    assert films.phantoms.shape == films.phantom_masks.shape == (10, STORED_PX, STORED_PX)
    assert films.without.shape == (40, STORED_PX, STORED_PX)
    for picture, mask in zip(films.phantoms, films.phantom_masks, strict=True):
        lungs = mask > 127
        assert 0.1 < lungs.mean() < 0.5
        assert np.median(picture[lungs]) < np.median(picture[~lungs])


def test_views_are_preprocessed_and_some_have_no_lungs(films: LungFilms) -> None:
    rng = np.random.default_rng(1)
    made = [make_lung_view(films, rng) for _ in range(150)]
    for view, mask in made:
        assert view.shape == mask.shape == (1, LUNGS_PX, LUNGS_PX)
        assert view.dtype == mask.dtype == np.float32
        assert view.min() >= 0 and view.max() <= 1
        assert set(np.unique(mask)) <= {0, 1}
    without = np.mean([not mask.any() for _, mask in made])
    assert 0.04 < without < 0.25


def test_film_and_mask_are_bent_alike() -> None:
    """A film that is its own mask stays so."""
    picture = np.zeros((STORED_PX, STORED_PX), np.uint8)
    cv2.circle(picture, (70, 90), 45, 255, -1)
    rng = np.random.default_rng(0)
    places = []
    for _ in range(40):
        film, mask = lungs_films._bend(picture, picture, rng)
        if film[0, 0] > 0 or film.max() == film.min():
            continue  # the ground is not black, or the disc was moved out of the frame
        shared = ((film > 0.5) & (mask > 0)).sum()
        assert shared > 0.9 * (mask > 0).sum()
        places.append((mask > 0).mean())
    assert len(places) > 15
    assert max(places) > 1.3 * min(places)


def test_whitened_lungs_keep_their_mask(films: LungFilms) -> None:
    mask = np.zeros((128, 128), np.float32)
    mask[20:100, 15:55] = mask[20:100, 75:115] = 1
    film = np.where(mask > 0, 0.1, 0.7).astype(np.float32)
    changed = [lungs_films._whiten(film, mask, np.random.default_rng(seed)) for seed in range(20)]
    assert np.mean([one[mask > 0].mean() for one in changed]) > 0.15
    for one in changed:
        np.testing.assert_allclose(one[:, 62:68], film[:, 62:68], atol=0.02)


def test_films_and_masks_are_read_in_pairs(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for stem in ("b", "a", "unmasked"):
        picture = np.random.default_rng(0).integers(0, 255, (60, 50), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{stem}.jpg"), picture)
    for stem in ("a", "b"):
        cv2.imwrite(str(tmp_path / "masks" / f"{stem}.png"), np.eye(60, 50, dtype=np.uint8))
    found = read_masked_films(tmp_path)
    assert [film.stem for film in found] == ["a", "b"]
    assert all(film.mask.sum() == 50 and film.radiograph.pixels.shape == (60, 50) for film in found)
    assert square(found[0].mask).shape == (STORED_PX, STORED_PX)
