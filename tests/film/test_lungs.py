"""Lungs are found where they are, on phantoms and on films with manual masks; nothing is found where there are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.film.decode import read_film
from hilum.film.lungs import lung_mask
from hilum.film.radiograph import Radiograph


def film(pixels: np.ndarray) -> Radiograph:
    return Radiograph(np.ascontiguousarray(pixels, np.float32), "png", pixels.shape, 8)


@pytest.mark.parametrize("seed", range(4))
def test_two_lungs_are_found_on_a_phantom_and_move_with_it(seed: int) -> None:
    pixels = draw_phantom("Normal", np.random.default_rng(seed), size_px=200).astype(np.float32) / 255
    mask = lung_mask(film(pixels))
    assert mask.dtype == bool and mask.shape == pixels.shape
    assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 3  # two, and what lies outside
    assert 0.12 < mask.mean() < 0.45
    assert pixels[mask].mean() < pixels[~mask & (pixels > 0.2)].mean()  # air is dark
    turned = lung_mask(film(pixels[:, ::-1]))
    overlap = 2 * (turned[:, ::-1] & mask).sum() / (turned.sum() + mask.sum())
    assert overlap > 0.8
    wide = np.pad(pixels, ((0, 0), (0, 24)))  # cut or padded: the mask follows the chest, not the frame
    moved = lung_mask(film(wide))[:, : pixels.shape[1]]
    assert 2 * (moved & mask).sum() / (moved.sum() + mask.sum()) > 0.8


def test_a_film_without_anything_on_it_is_no_error() -> None:
    assert lung_mask(film(np.full((70, 50), 0.4))).shape == (70, 50)


def test_lungs_agree_with_manual_masks(hilum_data: Path) -> None:
    """A sample of the films that bench/lung_shape.py fits and judges on; the held-out figure is its, not this."""
    scores = []
    for path in sorted((hilum_data / "lung-masks" / "images").iterdir())[::25]:
        manual = cv2.imread(str(hilum_data / "lung-masks" / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE) > 0
        mask = lung_mask(read_film(path))
        scores.append(2 * (mask & manual).sum() / (mask.sum() + manual.sum()))
    assert len(scores) > 25
    assert np.mean(scores) > 0.89
    assert np.percentile(scores, 10) > 0.8
