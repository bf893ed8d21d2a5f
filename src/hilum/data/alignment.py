"""Whether two thumbnails show the same picture once one is laid on the other: moved, stretched a little, cut out.

Flat margins are taken off first, and local contrast is evened out, so that margins, gamma, a contrast stretch or an
equalisation do not count. Then one picture is laid on the other by an affine map, and the two are correlated where they
overlap, the finer one blurred as much as the other. Films of one patient, alike in the large, differ in the small.

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
_FLAT_LEVELS = 6  # a row or column of a margin spans no more, of 255
_MOST_MARGIN = 10  # of 64 rows or columns at a side
_PROMISING = 0.75  # after a few steps; what is below is not followed
_STEPS = ((3, 1e-3), (20, 1e-4))
_EVERYWHERE = np.ones((SIDE_PX, SIDE_PX), np.uint8)
_FINE_PX = 1.5
_SCALES = (0.72, 1.4)
_MAX_SHEAR = 0.08
_PIXEL = 1 / 12  # variance of a pixel, in squares of its side
_SPREAD = _PIXEL + 1 / 6  # and of the triangle by which it is interpolated


@dataclass(frozen=True)
class Alignment:
    """How well one picture lies on another.

    Attributes:
        correlation: Of the two where they overlap, contrast evened out; 0 where they cannot be laid on each other.
        fine: The same of the finest details alone. These outlast an equalisation, and differ between two films of one
            patient.
        cut: The largest share that one has more than the other at any of the four sides.
    """

    correlation: float
    fine: float
    cut: float

    @property
    def agrees(self) -> bool:
        """Return whether the two are the same picture."""
        return self.correlation >= MIN_ALIGNED_CORRELATION or self.fine >= MIN_FINE_CORRELATION


def without_margins(thumbnail: np.ndarray) -> np.ndarray:
    """Return a thumbnail with its flat margins cut off and brought back to its size.

    Args:
        thumbnail: (64, 64) uint8.

    Returns:
        (64, 64) uint8; the same where there are no margins, or hardly anything else.
    """
    rows, columns = (thumbnail.max(axis=axis).astype(np.int16) - thumbnail.min(axis=axis) for axis in (1, 0))
    ends = [_leading(spans <= _FLAT_LEVELS) for spans in (rows, rows[::-1], columns, columns[::-1])]
    if not any(ends):
        return thumbnail
    top, bottom, left, right = ends
    inner = thumbnail[top : SIDE_PX - bottom, left : SIDE_PX - right]
    return cv2.resize(inner, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)


def even_contrast(picture: np.ndarray, detail_px: float = 4.0) -> np.ndarray:
    """Return a picture without its coarse shading and with the same contrast everywhere, (H, W) float32.

    Args:
        picture: (H, W), 0 to 255.
        detail_px: What is coarser than this goes; contrast is measured over twice as much.
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
        whole: (64, 64) uint8, without margins; mirrored already where that is asked.
        part: (64, 64) uint8, without margins.
        window: Where to start: the shares cut off ``whole`` at its left, right, top and bottom.
        evened: Both with their local contrast evened out, (64, 64) float32.
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
    except cv2.error:  # no detail, or the map ran away
        return Alignment(0.0, 0.0, 0.0)
    scales, shears = (warp[0, 0], warp[1, 1]), (warp[0, 1], warp[1, 0])
    if not all(_SCALES[0] <= scale <= _SCALES[1] for scale in scales) or max(map(abs, shears)) > _MAX_SHEAR:
        return Alignment(0.0, 0.0, 0.0)
    corners = np.array([[-0.5, -0.5, 1], [SIDE_PX - 0.5, SIDE_PX - 0.5, 1]]) @ warp.T + 0.5  # of part, in whole
    cut = float(np.max(np.abs(corners - [[0, 0], [SIDE_PX, SIDE_PX]])) / SIDE_PX)
    return Alignment(*_agreement(whole, part, warp), cut)


def _agreement(whole: np.ndarray, part: np.ndarray, warp: np.ndarray) -> tuple[float, float]:
    """Return both correlations where the two overlap; contrast is evened out anew, over that part alone.

    Where the part was cut out of the whole, its thumbnail is the finer one: it is blurred as much as the pixels of the
    whole are coarser, interpolation included.
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
    """Return how many to cut off an end: the flat ones and the one that may be half flat, or none."""
    num_flat = int(np.argmin(flat[: _MOST_MARGIN + 1]))  # 0 where none is flat, or more than a margin is
    return num_flat + 1 if num_flat else 0
