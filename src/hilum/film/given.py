"""Reads films given in Python: a path, bytes, an array, a PIL image or a Radiograph."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError, InputError, UndecodableFilm
from hilum.film.decode import decode, read_film, to_unit
from hilum.film.headers import check_size
from hilum.film.radiograph import Radiograph

__all__ = ["Film", "ValueRange", "film_name", "given_film"]

Film = str | Path | bytes | NDArray[Any] | Radiograph | Any  # Any: a PIL image
ValueRange = tuple[float, float]  # the values of black and of white
_EXPECTED = (
    "a path, the bytes of a file, an array (H, W) of uint8, uint16 or float from 0 to 1, a PIL image or a Radiograph"
)
_ROUNDING = 1e-6  # of the range; float32 may be out of it by so much
_UNNAMED = "film"


def film_name(film: Film) -> str:
    """Return the film's name for messages and answers: its path, else "film"."""
    return os.fsdecode(film) if isinstance(film, str | os.PathLike) else _UNNAMED


def given_film(film: Film, *, min_side_px: int | None = None, value_range: ValueRange | None = None) -> Radiograph:
    """Return the decoded film.

    Args:
        film: A path; the bytes of a PNG, JPEG or DICOM file; an array (H, W), bone bright, of uint8, uint16 (scaled by
            the bits in use, as a PNG) or float from 0 to 1; a PIL image; or a Radiograph.
        min_side_px: As in decode; arrays and images are not reduced.
        value_range: The values of black and of white in an array, which may then have any type of numbers. White is
            the smaller one where bone is dark.

    Raises:
        UndecodableFilm, UnsupportedFilm: The film cannot be read.
        InputError: The film has another type, or the array another shape, type or range.

    Example:
        >>> given_film(np.zeros((80, 64), np.uint8)).pixels.shape
        (80, 64)
    """
    if value_range is not None:
        return _from_range(film, value_range)
    if isinstance(film, Radiograph):
        return film
    if isinstance(film, str | os.PathLike):
        if not os.fspath(film):
            raise UndecodableFilm("Cannot read a film: its path is empty.", fix="Give a path.")
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
    if np.isnan(least):
        raise InputError(
            "Cannot read a film from an array with values that are not numbers (NaN); expected float from 0 to 1.",
            fix="Give these pixels a value.",
        )
    if not -_ROUNDING <= least <= largest <= 1 + _ROUNDING:
        raise InputError(
            f"Cannot read a film from an array with values from {least:g} to {largest:g}; expected float from 0 to 1.",
            fix="Say what black and white are: value_range=(0, 4095). Or give uint8 or uint16.",
        )
    return Radiograph(np.clip(np.array(film, np.float32, order="C"), 0, 1), "array", (height, width), 16)


def _from_range(film: Film, value_range: ValueRange) -> Radiograph:
    """Return an array whose values of black and of white are known."""
    if not isinstance(film, np.ndarray) or film.ndim != 2 or film.dtype.kind not in "uif":
        shown = f"array of shape {film.shape} and type {film.dtype}" if isinstance(film, np.ndarray) else type(film)
        raise InputError(
            f"`value_range` is for an array (H, W) of numbers; received `{getattr(shown, '__name__', shown)}`.",
            fix="Leave it out: a file and a picture say their range themselves.",
        )
    black, white = map(float, value_range)
    if not (np.isfinite([black, white]).all() and black != white):
        raise InputError(f"`value_range` must be two different numbers, black and white; received {value_range}.")
    check_size(film.shape, _UNNAMED, bytes_a_pixel=film.dtype.itemsize)
    unit = (film.astype(np.float64) - black) / (white - black)
    if not (unit.min() >= -_ROUNDING and unit.max() <= 1 + _ROUNDING):
        raise InputError(
            f"The array has values from {film.min():g} to {film.max():g}, outside of its value_range {value_range}.",
            fix="Give the values that black and white have, not those of this film alone.",
        )
    return _from_array(np.clip(unit, 0, 1).astype(np.float32))


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
    except HilumError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the image was closed
        raise UndecodableFilm(
            f"Cannot read a film from a PIL image of mode {film.mode}: {error}.", fix="Open the file again."
        ) from error
    return decode(stream.getvalue(), name=_UNNAMED)
