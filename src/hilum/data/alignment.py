"""Aligns two thumbnails by an affine map and measures whether they show the same picture.

Flat margins are removed and local contrast is normalised first, so that margins, gamma, a contrast stretch or an
equalisation do not matter. The two are correlated where they overlap, after the finer one has been blurred to the
sharpness of the other. Two films of one patient look alike as a whole but differ in their fine details.

Source: Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization",
IEEE PAMI 2008.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hilum.data.neighbours import SIDE_PX

__all__ = ["MIN_ALIGNED_CORRELATION", "MIN_FINE_CORRELATION", "Alignment", "align", "even_contrast", "without_margins"]

MIN_ALIGNED_CORRELATION = 0.955
MIN_FINE_CORRELATION = 0.86
_FLAT_LEVELS = 6  # of 255 grey levels: the most that a row or column of a margin spans
_MOST_MARGIN = 10  # of 64 rows or columns at a side
_PROMISING = 0.75  # correlation after a few steps; pairs below it are given up
_STEPS = ((3, 1e-3), (20, 1e-4))
_EVERYWHERE = np.ones((SIDE_PX, SIDE_PX), np.uint8)
_FINE_PX = 1.5
_SCALES = (0.72, 1.4)
_MAX_SHEAR = 0.08
_PIXEL = 1 / 12  # variance of a pixel, in squares of its side
_SPREAD = _PIXEL + 1 / 6  # the same, with the triangle of linear interpolation added


@dataclass(frozen=True)
class Alignment:
    """How well one picture lies on another.

    Attributes:
        correlation: Correlation of the two where they overlap, local contrast normalised; 0 without an alignment.
        fine: The same for the finest details alone, which survive an equalisation and differ between two films of one
            patient.
        cut: The largest share of a side that only one of the two pictures shows.
    """

    correlation: float
    fine: float
    cut: float

    @property
    def agrees(self) -> bool:
        """Whether the two are the same picture."""
        return self.correlation >= MIN_ALIGNED_CORRELATION or self.fine >= MIN_FINE_CORRELATION


def without_margins(thumbnail: np.ndarray) -> np.ndarray:
    """Return a thumbnail (64, 64) uint8 with its flat margins cut off, resized to (64, 64).

    The thumbnail itself is returned where it has no margins or is nearly all margin.
    """
    rows, columns = (thumbnail.max(axis=axis).astype(np.int16) - thumbnail.min(axis=axis) for axis in (1, 0))
    ends = [_leading(spans <= _FLAT_LEVELS) for spans in (rows, rows[::-1], columns, columns[::-1])]
    if not any(ends):
        return thumbnail
    top, bottom, left, right = ends
    inner = thumbnail[top : SIDE_PX - bottom, left : SIDE_PX - right]
    return cv2.resize(inner, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)


def even_contrast(picture: np.ndarray, detail_px: float = 4.0) -> np.ndarray:
    """Return a picture without coarse shading and with the same local contrast everywhere, (H, W) float32.

    Args:
        picture: (H, W), 0 to 255.
        detail_px: Structures larger than this are removed; contrast is measured over twice this size.
    """
    picture = picture.astype(np.float32)
    detail = picture - cv2.GaussianBlur(picture, (0, 0), detail_px, borderType=cv2.BORDER_REFLECT)
    spread = cv2.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 2 * detail_px, borderType=cv2.BORDER_REFLECT))
    return detail / (spread + detail_px / 2)


def align(
    whole: np.ndarray, part: np.ndarray, window: Sequence[float], *, evened: tuple[np.ndarray, np.ndarray]
) -> Alignment:
    """Return how well a window of one thumbnail agrees with another thumbnail, after the best affine map.

    Args:
        whole: (64, 64) uint8, without margins, already mirrored if the pair is a mirrored one.
        part: (64, 64) uint8, without margins.
        window: The start of the search: the shares cut off ``whole`` at its left, right, top and bottom.
        evened: Both pictures after `even_contrast`, (64, 64) float32.
    """
    left, right, top, bottom = window
    width, height = 1 - left - right, 1 - top - bottom
    warp: np.ndarray = np.array(
        [[width, 0, left * SIDE_PX + (width - 1) / 2], [0, height, top * SIDE_PX + (height - 1) / 2]], dtype=np.float32
    )
    try:
        for num_steps, change in _STEPS:
            criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, num_steps, change)
            value, moved = cv2.findTransformECC(evened[1], evened[0], warp, cv2.MOTION_AFFINE, criteria, _EVERYWHERE, 1)
            warp = np.asarray(moved)
            if value < _PROMISING:
                return Alignment(0.0, 0.0, 0.0)
    except cv2.error:  # the pictures have no detail, or the search diverged
        return Alignment(0.0, 0.0, 0.0)
    scales, shears = (warp[0, 0], warp[1, 1]), (warp[0, 1], warp[1, 0])
    if not all(_SCALES[0] <= scale <= _SCALES[1] for scale in scales) or max(map(abs, shears)) > _MAX_SHEAR:
        return Alignment(0.0, 0.0, 0.0)
    corners = np.array([[-0.5, -0.5, 1], [SIDE_PX - 0.5, SIDE_PX - 0.5, 1]]) @ warp.T + 0.5  # of part, in whole
    cut = float(np.max(np.abs(corners - [[0, 0], [SIDE_PX, SIDE_PX]])) / SIDE_PX)
    return Alignment(*_agreement(whole, part, warp), cut)


def _agreement(whole: np.ndarray, part: np.ndarray, warp: np.ndarray) -> tuple[float, float]:
    """Return both correlations where the two overlap, with local contrast normalised over the overlap alone.

    A part that was cut out of the whole has the finer thumbnail. It is blurred to the sharpness of the whole.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    blur_x, blur_y = (math.sqrt(max(_SPREAD / scale**2 - _PIXEL, 1e-6)) for scale in (warp[0, 0], warp[1, 1]))
    blurred = cv2.GaussianBlur(part.astype(np.float32), (0, 0), blur_x, sigmaY=blur_y, borderType=cv2.BORDER_REFLECT)
    moved = cv2.warpAffine(whole.astype(np.float32), warp, (SIDE_PX, SIDE_PX), flags=flags)
    inside = cv2.warpAffine(np.ones((SIDE_PX, SIDE_PX), np.float32), warp, (SIDE_PX, SIDE_PX), flags=flags) > 0.999
    rows, columns = (np.flatnonzero(inside.mean(axis=axis) > 0.5) for axis in (1, 0))
    if len(rows) < SIDE_PX // 2 or len(columns) < SIDE_PX // 2:
        return 0.0, 0.0
    common = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    one, other = moved[common], blurred[common]
    return (
        _correlation(even_contrast(one), even_contrast(other)),
        _correlation(even_contrast(one, _FINE_PX), even_contrast(other, _FINE_PX)),
    )


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 1e-3 else 0.0


def _leading(flat: np.ndarray) -> int:
    """Return how many rows to cut off: the flat ones and the next, which may be half flat; 0 without a margin."""
    num_flat = int(np.argmin(flat[: _MOST_MARGIN + 1]))  # 0 also where more rows are flat than a margin has
    return num_flat + 1 if num_flat else 0
