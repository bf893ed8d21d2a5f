"""Reads films given in Python: a path, bytes, an array, a PIL image or a Radiograph."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import InputError, UndecodableFilm
from hilum.film.decode import decode, read_film, to_unit
from hilum.film.headers import check_size
from hilum.film.radiograph import Radiograph

__all__ = ["Film", "film_name", "given_film"]

Film = str | Path | bytes | NDArray[Any] | Radiograph | Any  # Any: a PIL image
_EXPECTED = (
    "a path, the bytes of a file, an array (H, W) of uint8, uint16 or float from 0 to 1, a PIL image or a Radiograph"
)
_UNNAMED = "film"


def film_name(film: Film) -> str:
    """Return the film's name for messages and answers: its path, else "film"."""
    return os.fsdecode(film) if isinstance(film, str | os.PathLike) else _UNNAMED


def given_film(film: Film, *, min_side_px: int | None = None) -> Radiograph:
    """Return the decoded film.

    Args:
        film: A path; the bytes of a PNG, JPEG or DICOM file; an array (H, W), bone bright, of uint8, uint16 (scaled by
            the bits in use, as a PNG) or float from 0 to 1; a PIL image; or a Radiograph.
        min_side_px: As in decode; arrays and images are not reduced.

    Raises:
        UndecodableFilm, UnsupportedFilm: The film cannot be read.
        InputError: The film has another type, or the array another shape, type or range.

    Example:
        >>> given_film(np.zeros((80, 64), np.uint8)).pixels.shape
        (80, 64)
    """
    if isinstance(film, Radiograph):
        return film
    if isinstance(film, str | os.PathLike):
        return read_film(Path(os.fsdecode(film)), min_side_px=min_side_px)
    if isinstance(film, bytes | bytearray | memoryview):
        return decode(bytes(film), name=_UNNAMED, min_side_px=min_side_px, apart=True)
    if isinstance(film, np.ndarray):
        return _from_array(film)
    images = sys.modules.get("PIL.Image")  # without PIL imported, the film cannot be a PIL image
    if images is not None and isinstance(film, images.Image):
        return _from_image(film)
    raise InputError(f"Cannot read a film from a `{type(film).__name__}`; expected {_EXPECTED}.", fix="Give one film.")


def _from_array(film: NDArray[Any]) -> Radiograph:
    if film.ndim != 2 or film.dtype.kind not in "uf" or (film.dtype.kind == "u" and film.dtype.itemsize > 2):
        raise InputError(
            f"Cannot read a film from an array of shape {film.shape} and type {film.dtype}; expected one film "
            "(H, W) of uint8, uint16 or float from 0 to 1.",
            fix="Take one channel, and convert it.",
        )
    height, width = film.shape
    check_size((height, width), _UNNAMED, bytes_a_pixel=film.dtype.itemsize)
    if film.dtype.kind == "u":
        native = np.ascontiguousarray(film, film.dtype.newbyteorder("="))
        return Radiograph(to_unit(native), "array", (height, width), 8 * film.dtype.itemsize)
    least, largest = float(film.min()), float(film.max())  # NaN where any value is
    if not 0 <= least <= largest <= 1:
        raise InputError(
            f"Cannot read a film from an array with values from {least:g} to {largest:g}; expected float from 0 to 1.",
            fix="Divide by the largest value that a pixel can have, or give uint8 or uint16.",
        )
    return Radiograph(np.array(film, np.float32, order="C"), "array", (height, width), 16)


def _from_image(film: Any) -> Radiograph:
    """Return a PIL image as if it were read from a PNG file."""
    from PIL import ImageOps

    try:
        check_size((film.height, film.width), _UNNAMED, bytes_a_pixel=4)
        upright = ImageOps.exif_transpose(film)  # PNG would not keep the orientation of a JPEG
        if upright.mode[0] in "FI":
            values = np.asarray(upright)
            in_range = values.dtype.kind in "iu" and 0 <= values.min() <= values.max() <= np.iinfo(np.uint16).max
            return _from_array(values.astype(np.uint16) if in_range else values)
        if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
            upright = upright.convert("RGB")
        stream = io.BytesIO()
        upright.save(stream, "PNG", compress_level=1)
    except OSError as error:
        raise UndecodableFilm(
            f"Cannot read a film from a PIL image of mode {film.mode}: {error}.", fix="Open the file again."
        ) from error
    return decode(stream.getvalue(), name=_UNNAMED)
