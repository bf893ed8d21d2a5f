"""How far a large film is reduced before anything looks at it: one rule, whatever file the film came in.

A film is reduced by the largest power of two that leaves both sides as long as asked for; a pixel of the reduced film
is the mean of a block of the whole one. libjpeg gives the means of 2x2, 4x4 and 8x8 pixels as it decodes
(jidctred.c), in less time than the whole film takes. So a JPEG that is never unpacked in full, the same film in full
and the same film as PNG or DICOM reach a network alike: "Reading a JPEG" in docs/results.md.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["reduced", "reduction_factor"]


def reduction_factor(size_px: tuple[int, ...], least_px: int) -> int:
    """Return how many pixels a side make one: the largest power of two that leaves no side shorter than asked for.

    A block that the film ends in counts as a whole one, as in libjpeg. So reducing in two steps is reducing in one.

    Args:
        size_px: Height and width of the film.
        least_px: The least length of both sides afterwards.

    Returns:
        1 where the film is too small to be reduced, else 2, 4, 8, ...

    Example:
        >>> reduction_factor((2000, 1600), 320)
        4
        >>> reduction_factor((639, 700), 320)
        2
    """
    factor, shortest = 1, min(size_px)
    while factor < shortest and -(-shortest // (2 * factor)) >= least_px:
        factor *= 2
    return factor


def reduced(pixels: NDArray[np.float32], least_px: int) -> NDArray[np.float32]:
    """Return a film as large as one that is decoded for sides of this length: itself where it is small already.

    Args:
        pixels: (H, W) float32.
        least_px: As in `reduction_factor`.

    Returns:
        (ceil(H / k), ceil(W / k)) float32, means of k x k pixels; blocks that reach over the film's edge repeat it.
    """
    height, width = pixels.shape
    factor = reduction_factor((height, width), least_px)
    if factor == 1:
        return pixels
    rows, columns = -(-height // factor), -(-width // factor)
    below, right = rows * factor - height, columns * factor - width
    if below or right:
        pixels = np.asarray(cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE), np.float32)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
