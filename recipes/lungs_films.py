"""Views that the lung segmenter learns from: films with manual masks, changed; phantoms; pictures without lungs.

The films with masks are of adults, upright, of one or two hospitals. Infants, films framed otherwise and lungs full of
pneumonia must be learned from changes of these: the chest is stretched, tilted, bent, cut and moved in its frame, and
lungs are whitened while their mask stays. Drawn chests bring opacities whose lungs are known. Drawings of anything else
teach that most pictures hold no lung.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gate_drawings import draw_lateral, draw_other
from gate_films import SIDE_PX, add_opacities, mark_film, vary_film
from hilum.data.phantom import PHANTOM_FINDINGS, draw_phantom, phantom_lungs
from hilum.film.decode import read_film
from hilum.film.preprocess import preprocess
from hilum.film.radiograph import Radiograph
from hilum.run.lungs import LUNGS_PREPROCESSING

__all__ = ["STORED_PX", "LungFilms", "MaskedFilm", "draw_lung_bank", "make_lung_view", "read_masked_films", "square"]

STORED_PX = 192
Image = NDArray[Any]
_WITHOUT_SHARE, _PHANTOM_SHARE = 0.12, 0.12
_CALM_SHARE = 0.4  # of views: bent, but exposed as the film was
_MIRRORED_SHARE = 0.15
_BEND_PX = 5  # of 128: how far a chest's parts are moved against each other


@dataclass(frozen=True, eq=False)
class MaskedFilm:
    """A film and the lungs drawn on it by hand.

    Attributes:
        stem: The file's name without its suffix.
        radiograph: The film.
        mask: (H, W) bool, as large as the film.
    """

    stem: str
    radiograph: Radiograph
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LungFilms:
    """What the segmenter learns from; pictures are uint8, masks uint8 0 or 255 of the same shape.

    Attributes:
        films, masks: (N, 192, 192), films with manual masks, stretched to a square.
        phantoms, phantom_masks: (P, 192, 192), drawn chests.
        without: (D, 192, 192), drawn pictures without lungs, and drawn lateral films.
    """

    films: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    phantoms: NDArray[np.uint8]
    phantom_masks: NDArray[np.uint8]
    without: NDArray[np.uint8]


def read_masked_films(folder: Path) -> list[MaskedFilm]:
    """Return the films of a folder with images/ and masks/ of the same stems, sorted by stem."""
    found = []
    for path in sorted((folder / "images").iterdir()):
        mask = cv2.imread(str(folder / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        if mask is not None:
            found.append(MaskedFilm(path.stem, read_film(path), mask > 0))
    return found


def square(picture: Image) -> NDArray[np.uint8]:
    """Return a picture or mask in [0, 1] stretched to (192, 192) uint8."""
    small = cv2.resize(picture.astype(np.float32), (STORED_PX, STORED_PX), interpolation=cv2.INTER_AREA)
    return np.rint(small * 255).astype(np.uint8)


def draw_lung_bank(rng: np.random.Generator, *, num: int) -> dict[str, NDArray[np.uint8]]:
    """Return drawn pictures of the three kinds that LungFilms takes: num of other things, a quarter of chests."""
    phantoms, masks = [], []
    for _ in range(num // 4):
        seed, size = int(rng.integers(2**63)), int(rng.integers(96, 257))
        film = draw_phantom(str(rng.choice(PHANTOM_FINDINGS)), np.random.default_rng(seed), size_px=size)
        phantoms.append(square(film / np.float32(255)))
        masks.append(square(phantom_lungs(np.random.default_rng(seed), size_px=size)))
    draw = [draw_other, draw_other, draw_other, draw_other, draw_lateral]
    without = [square(draw[i % len(draw)](rng, size_px=STORED_PX)) for i in range(num)]
    return {"phantoms": np.array(phantoms), "phantom_masks": np.array(masks), "without": np.array(without)}


def make_lung_view(films: LungFilms, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return one view for training and its mask, each (1, 128, 128) float32; the mask is 0 or 1."""
    chance = rng.random()
    if chance < _WITHOUT_SHARE:
        picture = films.without[int(rng.integers(len(films.without)))]
        truth = np.zeros_like(picture)
        picture = 255 - picture if rng.random() < 0.15 else picture
    else:
        drawn = chance < _WITHOUT_SHARE + _PHANTOM_SHARE
        pictures, masks = (films.phantoms, films.phantom_masks) if drawn else (films.films, films.masks)
        at = int(rng.integers(len(pictures)))
        picture, truth = pictures[at], masks[at]
    film, mask = _bend(picture, truth, rng)
    if rng.random() >= _CALM_SHARE:
        film = add_opacities(film, rng) if rng.random() < 0.25 else film
        film = _whiten(film, mask, rng) if rng.random() < 0.25 else film
        film = vary_film(film, rng)
    film = mark_film(film, rng) if rng.random() < 0.2 else film
    view = preprocess(Radiograph(np.ascontiguousarray(film, np.float32), "png", film.shape, 8), LUNGS_PREPROCESSING)
    return view, mask[np.newaxis]


def _bend(picture: NDArray[np.uint8], truth: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Image, Image]:
    """Return film in [0, 1] and mask, 0 or 1, both (128, 128), mirrored, tilted, stretched, cut, moved and bent."""
    side = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)
    x, y = np.meshgrid(side, side)
    if rng.random() < 0.8:
        size = 1 / np.exp(rng.uniform(-0.45, 0.3))  # how much of the film is seen
        wide, high = size * np.exp(rng.normal(0, 0.12, 2))
        angle, shear = np.radians(rng.normal(0, 6)), rng.normal(0, 0.05)
        move = rng.normal(0, 0.12, 2)
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = (cos * x + (shear - sin) * y) * wide + move[0], (sin * x + cos * y) * high + move[1]
    if rng.random() < 0.5:
        field = rng.normal(0, _BEND_PX / SIDE_PX, (2, 5, 5)).astype(np.float32)
        x, y = (
            grid + cv2.resize(one, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
            for grid, one in zip((x, y), field, strict=True)
        )
    x = -x if rng.random() < _MIRRORED_SHARE else x
    columns, rows = ((np.asarray(grid, np.float32) + 1) * np.float32((STORED_PX - 1) / 2) for grid in (x, y))
    border = cv2.BORDER_REPLICATE if rng.random() < 0.3 else cv2.BORDER_CONSTANT
    ground = int(rng.choice([0, 0, 0, 255, int(rng.integers(256))]))
    film = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=border, borderValue=ground)
    mask = cv2.remap(truth, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return film.astype(np.float32) / np.float32(255), (mask > 127).astype(np.float32)


def _whiten(film: Image, mask: Image, rng: np.random.Generator) -> Image:
    """Return the film with opacities in its lungs: one side, the lower parts, or patches; the mask stays as it is."""
    y, x = np.mgrid[0 : 1 : SIDE_PX * 1j, 0 : 1 : SIDE_PX * 1j].astype(np.float32)
    lungs = cv2.GaussianBlur(mask, (0, 0), 1.5)
    chance = rng.random()
    if chance < 0.3:
        where = (x < 0.5 if rng.random() < 0.5 else x >= 0.5).astype(np.float32)
        where = where / (1 + np.exp(-(y - np.float32(rng.uniform(0.1, 0.6))) / np.float32(rng.uniform(0.01, 0.1))))
    elif chance < 0.6:
        where = 1 / (1 + np.exp(-(y - np.float32(rng.uniform(0.3, 0.7))) / np.float32(0.05)))
    else:
        rough = cv2.resize(
            rng.normal(0, 1, (8, 8)).astype(np.float32), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC
        )
        where = 1 / (1 + np.exp(-3 * (rough - np.float32(rng.uniform(-0.5, 1)))))
    strength = lungs * where * np.float32(rng.uniform(0.2, 0.9))
    tissue = np.float32(np.quantile(film, rng.uniform(0.6, 0.9)))
    return np.clip(film * (1 - strength) + np.maximum(film, tissue) * strength, 0, 1).astype(np.float32)
