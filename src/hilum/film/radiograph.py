"""One chest film as numbers, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.errors import RefusedFilm

__all__ = ["Radiograph", "grey_from_bgr", "is_neutral", "reduced", "reduction_factor", "refuse_colour"]


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One film after decoding: nobody behind this point asks about bit depth, colour or inversion.

    Attributes:
        pixels: (H, W) float32 in [0, 1], bone bright, air dark.
        file_format: ``png``, ``jpeg`` or ``dicom``; ``array`` where Python gave the pixels.
        original_size_px: (height, width) as stored in the file, before reduced-scale decoding and EXIF rotation.
        bit_depth: Stored bits of one pixel (8 for a palette).
        view_position: PA, AP, LATERAL, ... where a DICOM file says so, else None.
        patient_key: 16 hex digits of SHA-256 over the DICOM patient ID and its issuer: a pseudonym that keeps one
            patient's films together without holding the ID. None where the file names no patient.
    """

    pixels: NDArray[np.float32]
    file_format: str
    original_size_px: tuple[int, int]
    bit_depth: int
    view_position: str | None = None
    patient_key: str | None = None


# Three channels into one: near-grey pictures are read, colour pictures refused.
#
# A radiograph saved with three channels has three equal ones, give or take a slight tint or a coloured arrow. A photo,
# or a heat map laid over a film, has not, and its grey version would still pass for a picture.

_THUMBNAIL_PX = 64
_COLOURED = 24 / 255  # largest difference of two channels that still passes for grey; tinted real films reach 6 / 255
_MAX_COLOURED_FRACTION = 0.10  # of the area: an arrow or a frame stays below, any colour photo is far above


def is_neutral(bgr: NDArray[Any]) -> bool:
    """Return whether three channels (H, W, 3) are equal in every pixel."""
    blue, green, red = cv2.split(bgr)
    return np.array_equal(blue, green) and np.array_equal(green, red)


def refuse_colour(bgr: NDArray[Any], name: str, *, full_scale: float | None = None) -> None:
    """Refuse a picture in colour; measured on a thumbnail, so that compression noise and thin lines do not count.

    Args:
        bgr: (H, W, 3) uint8 or uint16, in any order of channels.
        name: The film's name, for messages.
        full_scale: The value that stands for full brightness; None for the largest of the dtype.

    Raises:
        RefusedFilm: When more than a tenth of the area is coloured.
    """
    full_scale = full_scale or np.iinfo(bgr.dtype).max
    thumbnail = cv2.resize(bgr, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    chroma = thumbnail.max(axis=2) - thumbnail.min(axis=2)  # (64, 64)
    if float(np.mean(chroma > _COLOURED * full_scale)) > _MAX_COLOURED_FRACTION:
        raise RefusedFilm(
            f"The film `{name}` is a colour photo or has colour laid over it; expected shades of grey.",
            fix="Give the radiograph itself, exported without overlays.",
        )


def grey_from_bgr(bgr: NDArray[Any], name: str, *, full_scale: float | None = None) -> NDArray[Any]:
    """Return the luma (H, W) of a near-grey picture (H, W, 3), in its own dtype.

    Raises:
        RefusedFilm: When the picture is in colour.
    """
    if is_neutral(bgr):
        return np.ascontiguousarray(bgr[..., 0])
    refuse_colour(bgr, name, full_scale=full_scale)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


# How far a large film is reduced before anything looks at it: one rule, whatever file the film came in.
#
# A film is reduced by the largest power of two that leaves both sides as long as asked for; a pixel of the reduced film
# is the mean of a block of the whole one. libjpeg gives the means of 2x2, 4x4 and 8x8 pixels as it decodes
# (jidctred.c), in less time than the whole film takes. So a JPEG that is never unpacked in full, the same film in full
# and the same film as PNG or DICOM reach a network alike: "Reading a JPEG" in docs/results.md.


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
