"""Three channels into one: near-grey pictures are read, colour pictures refused.

A radiograph saved with three channels has three equal ones, give or take a slight tint or a coloured arrow. A photo, or
a heat map laid over a film, has not, and its grey version would still pass for a picture.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.errors import RefusedFilm

__all__ = ["grey_from_bgr", "is_neutral", "refuse_colour"]

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
