"""A decoded chest film, and the rules for colour and for reduced scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.errors import RefusedFilm

__all__ = [
    "LEAST_CONTRAST",
    "Radiograph",
    "grey_from_bgr",
    "is_neutral",
    "range_of_film",
    "reduced",
    "reduction_factor",
    "refuse_colour",
]

LEAST_CONTRAST = 1e-3  # share of the range from black to white; a narrower window would show only noise


_EXPOSURE_PX = 128  # pixels of the shorter side that the mean grey value is taken from


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One decoded film.

    Attributes:
        pixels: (H, W) float32 in [0, 1], bone bright, air dark.
        file_format: ``png``, ``jpeg``, ``dicom``, or ``array`` for pixels given in Python.
        original_size_px: (height, width) in the file, before reduced-scale decoding and EXIF rotation.
        bit_depth: Stored bits of one pixel (8 for a palette).
        view_position: PA, AP, LATERAL, ... if a DICOM file states it, else None.
        patient_key: A pseudonym of the patient: 16 hex digits of SHA-256 over the DICOM patient ID and its issuer. None
            without a patient ID.
        age_years: The patient's age if a DICOM file states it, else None.
        sex: The patient's sex, "F" or "M", if a DICOM file states it, else None.
    """

    pixels: NDArray[np.float32]
    file_format: str
    original_size_px: tuple[int, int]
    bit_depth: int
    view_position: str | None = None
    patient_key: str | None = None
    age_years: float | None = field(default=None, repr=False)
    sex: str | None = field(default=None, repr=False)

    @property
    def exposure(self) -> float:
        """How bright the film is: the mean of its grey values in [0, 1], over every nth pixel."""
        step = max(1, min(self.pixels.shape) // _EXPOSURE_PX)
        return float(self.pixels[::step, ::step].mean())


# --- marks: letters, borders and dead pixels of a film of more than 8 bits may have values far from all others

_MOST_MARKS = 1 / 16  # of the distinct values


def range_of_film(values: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and the largest value of a film, without the values of marks.

    A few values are those of marks if the gap between them and all others is wider than half of the whole range.

    Args:
        values: (V,) the distinct values, rising, at least one.

    Example:
        >>> range_of_film(np.append(np.arange(300, 4096), 65535))
        (300.0, 4095.0)
    """
    for _ in range(2):  # marks may be at both ends
        gaps = np.diff(values)
        below = int(gaps.argmax()) + 1 if gaps.size else 0
        fewer = min(below, values.size - below)
        if not gaps.size or 2 * gaps.max() <= values[-1] - values[0] or fewer > _MOST_MARKS * values.size:
            break
        values = values[below:] if fewer == below else values[:below]
    return float(values[0]), float(values[-1])


# --- colour: a radiograph with three channels is grey but for a tint or an arrow; photos and heat maps are refused

_THUMBNAIL_PX = 64
_COLOURED = 24 / 255  # largest difference of two channels in a grey pixel; tinted real films reach 6 / 255
_PIECE_PX = 32768  # compared at a time, so that they stay in the processor's cache
_MAX_COLOURED_FRACTION = 0.10  # of the area; arrows and frames have less, colour photos far more


def is_neutral(bgr: NDArray[Any]) -> bool:
    """Return whether three channels (H, W, 3) are equal in every pixel."""
    num_rows = max(1, _PIECE_PX // bgr.shape[1])
    for start in range(0, bgr.shape[0], num_rows):
        blue, green, red = cv2.split(bgr[start : start + num_rows])
        if cv2.norm(blue, green, cv2.NORM_INF) or cv2.norm(green, red, cv2.NORM_INF):
            return False
    return True


def refuse_colour(bgr: NDArray[Any], name: str, *, full_scale: float | None = None) -> None:
    """Raise RefusedFilm if more than a tenth of the area of a picture's thumbnail is coloured.

    Args:
        bgr: (H, W, 3) uint8 or uint16, in any order of channels.
        name: The film's name, for messages.
        full_scale: The value of full brightness; None for the largest of the dtype.
    """
    full_scale = full_scale or np.iinfo(bgr.dtype).max
    thumbnail = cv2.resize(bgr, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    chroma = thumbnail.max(axis=2) - thumbnail.min(axis=2)  # (64, 64)
    if float(np.mean(chroma > _COLOURED * full_scale)) > _MAX_COLOURED_FRACTION:
        raise RefusedFilm(
            f"The film `{name}` is a colour photo or has a colour overlay; expected shades of grey.",
            fix="Give the radiograph itself, exported without overlays.",
        )


def grey_from_bgr(bgr: NDArray[Any], name: str, *, full_scale: float | None = None) -> NDArray[Any]:
    """Return the luma (H, W) of a near-grey picture (H, W, 3), in its own dtype.

    Raises:
        RefusedFilm: The picture is in colour.
    """
    if is_neutral(bgr):
        return cv2.extractChannel(bgr, 0)
    refuse_colour(bgr, name, full_scale=full_scale)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


# --- reduced scale: the means of 2x2, 4x4 or 8x8 pixels, as libjpeg computes them while decoding (jidctred.c)
#
# All file formats are reduced alike, so that a network sees the same film: "Reading a JPEG" in docs/results.md.


def reduction_factor(size_px: tuple[int, ...], least_px: int) -> int:
    """Return the largest power of two by which a film can be reduced with no side below ``least_px``; at least 1.

    An incomplete block at the edge counts as a whole one, as in libjpeg.

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
    """Return a film (H, W) float32 reduced by k, the `reduction_factor`; the film itself if k is 1.

    Returns:
        (ceil(H / k), ceil(W / k)) float32, means of k x k pixels; incomplete blocks repeat the film's edge.
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
