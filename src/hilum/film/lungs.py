"""Where the lungs lie on a frontal film: a statistical shape, fitted to the film, then sharpened by its grey values.

A thumbnail of the equalised film is mapped linearly onto the principal shapes of manual lung masks; a logistic
regression over that shape and smoothed grey values then decides pixel by pixel. It is a few thousand numbers and takes
a millisecond: good enough to say how much of a heat map lies inside the lungs, not to measure a lung. The table is made
by bench/lung_shape.py, which also measures it on films it did not see; every caller asks `lung_mask` alone, so that
a better segmenter can stand behind it.

Source: Cootes, Taylor, Cooper, Graham 1995, Active shape models (principal shapes of manual outlines).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph

__all__ = ["NUM_EVIDENCE", "SHAPE_PX", "WINDOW_PX", "evidence", "lung_mask", "rough_shape", "thumbnail", "window"]

WINDOW_PX = 64
SHAPE_PX = 32
THUMBNAIL_PX = 16
NUM_EVIDENCE = 9

_WINDOW = Preprocessing(size_px=WINDOW_PX)  # its own, so that the mask does not depend on the network
_LEAST_SHAPE = 0.06  # what the shape all but rules out is no lung, however dark: the air beside an arm
_FEWEST_PIXELS = 0.02  # of the window: specks smaller than this are no lung


def lung_mask(radiograph: Radiograph, table: Mapping[str, Any] | None = None) -> NDArray[np.bool_]:
    """Return where the lungs lie on a frontal chest film.

    Args:
        radiograph: A film of any size.
        table: Another table than the one that comes with hilum; for making and measuring it.

    Returns:
        (H, W) bool, as large as the film; may be empty where nothing on it looks like a lung.
    """
    table = table or _table()
    film = window(radiograph)
    shape = rough_shape(film, table)
    columns = evidence(film, shape)  # (64, 64, 9)
    refine = _numbers(table, "refine")
    score = np.where(shape > _LEAST_SHAPE, columns @ refine[:-1] + refine[-1], np.float32(-1))
    height, width = radiograph.pixels.shape
    large = cv2.resize(_without_specks(score), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large > 0)


def window(radiograph: Radiograph) -> NDArray[np.float32]:
    """Return the film equalised and stretched to (64, 64) float32 in [0, 1]."""
    return preprocess(radiograph, _WINDOW)[0]


def thumbnail(film: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (256,) float32 thumbnail of an equalised film from which its shape is read."""
    small = cv2.resize(film, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small.ravel() - np.float32(0.5), np.float32)


def rough_shape(film: NDArray[np.float32], table: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return (64, 64) float32 from 0 to 1, how surely the shape alone takes each pixel for lung."""
    weights, mean, shapes = (_numbers(table, name) for name in ("weights", "mean", "shapes"))
    flat = mean + thumbnail(film) @ weights @ shapes
    shape = cv2.resize(flat.reshape(SHAPE_PX, SHAPE_PX), (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(shape, 0, 1), np.float32)


def evidence(film: NDArray[np.float32], shape: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (64, 64, 9) float32, what speaks for lung at each pixel: the shape, and grey values near and far."""
    certain = np.clip(shape, 0.02, 0.98)
    near, far, wide = (cv2.GaussianBlur(film, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for sigma in (1, 3, 8))
    odds = np.log(certain / (1 - certain))
    columns = (
        odds,
        shape,
        cv2.GaussianBlur(shape, (0, 0), 3),
        near,
        far,
        wide,
        near * shape,
        far * shape,
        wide * shape,
    )
    return np.stack(columns, axis=-1).astype(np.float32)


def _without_specks(score: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score with the two largest regions above 0 kept and their holes filled; the rest speaks against."""
    num, labels, stats, _ = cv2.connectedComponentsWithStats((score > 0).astype(np.uint8), connectivity=4)
    largest = sorted(range(1, num), key=lambda label: -stats[label, cv2.CC_STAT_AREA])[:2]
    kept = [label for label in largest if stats[label, cv2.CC_STAT_AREA] >= _FEWEST_PIXELS * score.size]
    inside = np.isin(labels, kept).astype(np.uint8)
    outside = np.pad(1 - inside, 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 0)  # what is left of the outside now is a hole
    holes = outside[1:-1, 1:-1].astype(bool)
    return np.where(holes, np.maximum(score, 1), np.where(inside.astype(bool), score, np.minimum(score, -1)))


def _numbers(table: Mapping[str, Any], name: str) -> NDArray[np.float32]:
    return np.asarray(table[name], np.float32) / np.float32(1000)  # the table holds whole thousandths: a short file


@cache
def _table() -> Mapping[str, Any]:
    return json.loads((files("hilum.film") / "lung_shape.json").read_text(encoding="utf-8"))
