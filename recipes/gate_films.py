"""Films as the gate must tell them apart, made from upright chest films, other pictures and drawings.

A chest film stays one whatever its exposure, window, margins, letters or opacities. Turned, inverted, cut or burnt out
it becomes one of the gate's other kinds; in pieces it is no chest film any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gate_drawings import draw_lateral, draw_other
from hilum.data.phantom import PHANTOM_FINDINGS, draw_phantom
from hilum.run.gate import KINDS, VIEW_PX, gate_view

__all__ = ["SIDE_PX", "GateFilms", "add_opacities", "draw_bank", "make_view", "mark_film", "vary_film"]

SIDE_PX = 128
Image = NDArray[Any]  # (S, S) float32 in [0, 1]
_SHARES = {
    "chest": 0.36,
    "rotated-90": 0.05,
    "rotated-180": 0.05,
    "rotated-270": 0.05,
    "inverted": 0.08,
    "cut-off": 0.08,
    "overexposed": 0.03,
    "underexposed": 0.03,
    "lateral": 0.04,
    "not-chest": 0.23,
}
_PHANTOM_SHARE = 0.08
_DRAWN = "drawn"


@dataclass(frozen=True, eq=False)
class GateFilms:
    """What the gate learns from; every film (128, 128) uint8, stretched to a square.

    Attributes:
        chest: Source to (N, 128, 128), upright frontal chest films; every source is drawn from equally often.
        other: Kind to (M, 128, 128), pictures of something else; every kind is drawn from equally often; may be empty.
        phantoms: (P, 128, 128), drawn chest films.
        drawings: (D, 128, 128), drawn pictures that are no chest film.
        laterals: (L, 128, 128), drawn lateral films.
    """

    chest: Mapping[str, NDArray[np.uint8]]
    other: Mapping[str, NDArray[np.uint8]]
    phantoms: NDArray[np.uint8]
    drawings: NDArray[np.uint8]
    laterals: NDArray[np.uint8]


def draw_bank(rng: np.random.Generator, *, num: int) -> dict[str, NDArray[np.uint8]]:
    """Return drawn pictures of the three kinds that GateFilms takes: num of other things, fewer of chests."""

    def phantom() -> NDArray[np.uint8]:
        film = draw_phantom(str(rng.choice(PHANTOM_FINDINGS)), rng, size_px=int(rng.integers(64, 257)))
        return np.asarray(cv2.resize(film, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)

    def bytes_of(picture: Image) -> NDArray[np.uint8]:
        return np.rint(picture * 255).astype(np.uint8)

    return {
        "phantoms": np.array([phantom() for _ in range(num // 8)]),
        "drawings": np.array([bytes_of(draw_other(rng, size_px=SIDE_PX)) for _ in range(num)]),
        "laterals": np.array([bytes_of(draw_lateral(rng, size_px=SIDE_PX)) for _ in range(num // 8)]),
    }


def make_view(films: GateFilms, rng: np.random.Generator) -> tuple[Image, int, str]:
    """Return one view for training.

    Returns:
        (1, 64, 64) float32 as `gate_view` gives it, the index into KINDS, and where the film came from: a source of
        ``films.chest``, a kind of ``films.other`` or "drawn".
    """
    kind = str(rng.choice(KINDS, p=[_SHARES[name] for name in KINDS]))
    if kind == "not-chest":
        film, origin = _other_film(films, rng)
    elif kind == "lateral":
        film = vary_film(_pick(films.laterals, rng), rng)
        film, origin = _place(film, rng, quarter_turns=int(rng.choice([0, 0, 0, 1, 2, 3]))), _DRAWN
    else:
        film, origin = _chest_film(films, kind, rng)
    return gate_view(film), KINDS.index(kind), origin


def _pick(bank: NDArray[np.uint8], rng: np.random.Generator) -> Image:
    return bank[int(rng.integers(len(bank)))].astype(np.float32) / np.float32(255)


def _pick_source(banks: Mapping[str, NDArray[np.uint8]], rng: np.random.Generator) -> tuple[Image, str]:
    source = list(banks)[int(rng.integers(len(banks)))]
    return _pick(banks[source], rng), source


def _chest_film(films: GateFilms, kind: str, rng: np.random.Generator) -> tuple[Image, str]:
    if rng.random() < _PHANTOM_SHARE:
        film, origin = _pick(films.phantoms, rng), _DRAWN
    else:
        film, origin = _pick_source(films.chest, rng)
    film = add_opacities(film, rng) if rng.random() < 0.25 else film
    film = vary_film(film, rng)
    if kind in ("overexposed", "underexposed"):
        film = _burn(film, rng, dark=kind == "overexposed")
    film = 1 - film if kind == "inverted" else film
    film = mark_film(film, rng) if rng.random() < 0.3 else film
    if kind == "cut-off":
        return _place(_cut(film, rng), rng), origin
    turns = {"rotated-90": 1, "rotated-180": 2, "rotated-270": 3}.get(kind, 0)
    return _place(film, rng, quarter_turns=turns), origin


def _other_film(films: GateFilms, rng: np.random.Generator) -> tuple[Image, str]:
    chance = rng.random()
    if chance < 0.4 and films.other:
        film, origin = _pick_source(films.other, rng)
        film = vary_film(film, rng)
    elif chance < 0.85:
        film, origin = _pick(films.drawings, rng), _DRAWN
        film = vary_film(film, rng) if rng.random() < 0.5 else film
    else:
        film, origin = _pick_source(films.chest, rng)
        film = vary_film(_in_pieces(film, rng), rng)
    film = 1 - film if rng.random() < 0.15 else film
    if rng.random() < 0.3:
        film = _crop(film, *rng.uniform(0, 0.3, 2), *rng.uniform(0.7, 1, 2))
    return _place(film, rng, quarter_turns=int(rng.choice([0, 0, 0, 0, 1, 2, 3]))), origin


# --- what leaves a chest film a chest film ----------------------------------------------------------------------------


def vary_film(film: Image, rng: np.random.Generator) -> Image:
    """Return the film under another exposure, window, sharpness and grain."""
    if rng.random() < 0.25:
        levels = np.rint(film * 255).astype(np.uint8)
        if rng.random() < 0.4:
            levels = cv2.equalizeHist(levels)
        else:
            tiles = int(rng.integers(2, 9))
            levels = cv2.createCLAHE(float(rng.uniform(1, 6)), (tiles, tiles)).apply(levels)
        film = levels.astype(np.float32) / np.float32(255)
    if rng.random() < 0.6:
        film = np.power(film, np.float32(2.0 ** rng.uniform(-1, 1)))
    if rng.random() < 0.3:  # a narrower window
        low, high = np.quantile(film, [rng.uniform(0, 0.15), rng.uniform(0.85, 1)])
        film = np.clip((film - low) / max(high - low, 0.05), 0, 1)
    if rng.random() < 0.3:
        film = cv2.GaussianBlur(film, (0, 0), rng.uniform(0.3, 2.5))
    if rng.random() < 0.2:
        film = np.clip(film + (film - cv2.GaussianBlur(film, (0, 0), 3)) * rng.uniform(0.3, 2), 0, 1)
    if rng.random() < 0.3:
        film = film + rng.normal(0, rng.uniform(0.005, 0.08), film.shape)
    if rng.random() < 0.2:  # unequal exposure
        y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
        film = film * (1 + rng.uniform(-0.3, 0.3) * x + rng.uniform(-0.3, 0.3) * y)
    return np.clip(film, 0, 1).astype(np.float32)


def add_opacities(film: Image, rng: np.random.Generator) -> Image:
    """Return the film with lungs more or less white: patches, an effusion, a whole side, both."""
    y, x = np.mgrid[0 : 1 : SIDE_PX * 1j, 0 : 1 : SIDE_PX * 1j]
    chance, white = rng.random(), np.zeros_like(film)
    if chance < 0.4:
        for _ in range(int(rng.integers(1, 7))):
            place, wide = rng.uniform(0.15, 0.85, 2), rng.uniform(0.05, 0.2, 2)
            white += np.exp(-np.square((x - place[0]) / wide[0]) - np.square((y - place[1]) / wide[1]))
    elif chance < 0.7:
        edge = 1 / (1 + np.exp(-(x - rng.uniform(0.4, 0.6)) / 0.04))
        white = edge if rng.random() < 0.5 else 1 - edge
        white = white / (1 + np.exp(-(y - rng.uniform(-0.2, 0.6)) / 0.05))
    else:
        white = 1 / (1 + np.exp(-(y - rng.uniform(0, 0.5)) / 0.15))
    strength = np.clip(white, 0, 1) * rng.uniform(0.3, 0.9)
    bright = np.maximum(film, cv2.GaussianBlur(film, (0, 0), 8) * 0.4 + np.float32(np.quantile(film, 0.75)) * 0.6)
    return np.clip(film * (1 - strength) + bright * strength, 0, 1).astype(np.float32)


def mark_film(film: Image, rng: np.random.Generator) -> Image:
    """Return the film with letters, arrows or wires over it."""
    levels = np.rint(film * 255).astype(np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        ink = int(rng.choice([0, 255, 255, 230]))
        place = tuple(int(v) for v in rng.uniform(0, SIDE_PX, 2))
        if rng.random() < 0.6:
            words = str(rng.choice(["R", "L", "PORTABLE", "AP", "PA ERECT", "A", "C2", "2020-03-11", "SUPINE"]))
            cv2.putText(levels, words, place, 0, rng.uniform(0.25, 0.8), ink, int(rng.integers(1, 3)), cv2.LINE_AA)
        else:
            way = np.cumsum(rng.normal(0, 14, (6, 2)), axis=0) + place
            cv2.polylines(levels, [way.astype(np.int32)], False, ink, int(rng.integers(1, 3)), cv2.LINE_AA)
    return levels.astype(np.float32) / np.float32(255)


def _place(film: Image, rng: np.random.Generator, *, quarter_turns: int = 0) -> Image:
    """Return the film mirrored, tilted, shifted, stretched and within margins, turned clockwise by quarters."""
    film = film[:, ::-1] if rng.random() < 0.5 else film
    if rng.random() < 0.25:  # as on a screenshot or a page
        ground = np.float32(rng.choice([0.0, 0.0, 1.0, rng.uniform(0, 1)]))
        left, right, top, bottom = (rng.uniform(0, 0.22, 4) * rng.integers(0, 2, 4) * SIDE_PX).astype(int)
        inner = cv2.resize(film, (SIDE_PX - left - right, SIDE_PX - top - bottom), interpolation=cv2.INTER_AREA)
        film = np.full((SIDE_PX, SIDE_PX), ground, np.float32)
        film[top : SIDE_PX - bottom, left : SIDE_PX - right] = inner
    film = np.ascontiguousarray(np.rot90(film, -quarter_turns))
    angle = float(rng.normal(0, 5)) if rng.random() < 0.7 else 0.0
    center = (SIDE_PX - 1) / 2
    matrix: Image = cv2.getRotationMatrix2D((center, center), angle, 1.0)
    matrix[:, :2] *= rng.uniform(0.92, 1.16) * rng.uniform(0.94, 1.08, (2, 1))
    matrix[:, 2] = center - matrix[:, :2] @ [center, center] + rng.uniform(-0.05, 0.05, 2) * SIDE_PX
    border = cv2.BORDER_REPLICATE if rng.random() < 0.6 else cv2.BORDER_CONSTANT
    film = cv2.warpAffine(film, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR, borderMode=border)
    if rng.random() < 0.2:  # a small film, enlarged
        side = int(rng.integers(40, VIEW_PX + 1))
        film = cv2.resize(film, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(film, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA), np.float32)


# --- what does not ----------------------------------------------------------------------------------------------------


def _crop(film: Image, left: float, top: float, right: float, bottom: float) -> Image:
    """Return a part of the film, in fractions of its sides, enlarged to the whole."""
    columns, rows = (int(left * SIDE_PX), int(right * SIDE_PX)), (int(top * SIDE_PX), int(bottom * SIDE_PX))
    part = film[rows[0] : max(rows[1], rows[0] + 8), columns[0] : max(columns[1], columns[0] + 8)]
    return np.asarray(cv2.resize(part, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR), np.float32)


def _cut(film: Image, rng: np.random.Generator) -> Image:
    """Return a film that lost much of the chest at one side, or at all of them."""
    lost, chance = rng.uniform(0.4, 0.56), rng.random()
    tall = rng.uniform(0.45, 0.62)  # much of a film's height may be neck or belly
    if chance < 0.2:
        side = rng.uniform(0.35, 0.55)
        left, top = rng.uniform(0, 1 - side, 2)
        return _crop(film, left, top, left + side, top + side)
    box = [(lost, 0, 1, 1), (0, 0, 1 - lost, 1), (0, tall, 1, 1), (0, 0, 1, 1 - tall)][int((chance - 0.2) / 0.2001)]
    return _crop(film, *box)


def _burn(film: Image, rng: np.random.Generator, *, dark: bool) -> Image:
    """Return a film of which most is black, or white."""
    low, high = np.quantile(film, [0.02, 0.98])
    edge = np.quantile(film, rng.uniform(0.62, 0.92) if dark else rng.uniform(0.08, 0.38))
    if dark:
        return np.clip((film - edge) / max(high - edge, 0.02), 0, 1).astype(np.float32)
    return np.clip((film - low) / max(edge - low, 0.02), 0, 1).astype(np.float32)


def _in_pieces(film: Image, rng: np.random.Generator) -> Image:
    """Return the film's tiles in another order, or a small piece of it."""
    if rng.random() < 0.35:
        side = rng.uniform(0.12, 0.28)
        left, top = rng.uniform(0, 1 - side, 2)
        return _crop(film, left, top, left + side, top + side)
    num = int(rng.integers(2, 6))
    step = SIDE_PX // num
    tiles = [film[r * step : (r + 1) * step, c * step : (c + 1) * step] for r in range(num) for c in range(num)]
    order = rng.permutation(len(tiles))
    if (order == np.arange(len(tiles))).all():
        order = order[::-1]
    rows = [np.hstack([tiles[i] for i in order[r * num : (r + 1) * num]]) for r in range(num)]
    return np.asarray(cv2.resize(np.vstack(rows), (SIDE_PX, SIDE_PX)), np.float32)
