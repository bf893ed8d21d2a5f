"""Turns a film into a network's input, for training and prediction alike.

A large film is reduced, as a JPEG is during decoding, so that the file format makes no difference. The film is
stretched to a square, its grey values are stretched between two percentiles, noise is removed if set, and the histogram
is equalised. The percentiles are those of the resized film: they hardly depend on the scale of JPEG decoding, hot
pixels and thin burnt-in letters are averaged away, and fewer pixels need sorting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError, nearest_name
from hilum.film.denoise import DENOISERS, denoise
from hilum.film.radiograph import LEAST_CONTRAST, Radiograph, reduced

__all__ = ["Preprocessing", "equalized", "preprocess", "without_lung_crop"]

_MAX_SIZE_PX = 4096
_SAMPLE_STEP = 16  # of the values in a sample


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing settings, stored in the model file.

    Attributes:
        size_px: Side of the square, 16 to 4096 pixels.
        window_percentiles: Lower and upper percentile of the grey values that become 0 and 1, each 0 to 100. The
            default leaves out half a percent at each end: markers and collimator edges.
        equalize: Whether the histogram is equalised.
        denoise: ``none``, or the method that removes noise from noisy films.

    Raises:
        ConfigError: A value is out of range.
    """

    size_px: int = 224
    window_percentiles: tuple[float, float] = (0.5, 99.5)
    equalize: bool = True
    denoise: str = "none"

    def __post_init__(self) -> None:
        size_px: Any = self.size_px  # may come from a file, with another type
        if isinstance(size_px, bool) or not isinstance(size_px, int) or not 16 <= size_px <= _MAX_SIZE_PX:
            raise ConfigError(
                f"`size_px` must be a whole number from 16 to {_MAX_SIZE_PX}; received {size_px!r}.",
                fix="224 suits most networks.",
            )
        try:
            low, high = (float(value) for value in self.window_percentiles)
        except (TypeError, ValueError):
            low = high = math.nan
        if not 0 <= low < high <= 100:
            raise ConfigError(
                f"`window_percentiles` must be two rising numbers from 0 to 100; received {self.window_percentiles!r}.",
                fix="The default is [0.5, 99.5].",
            )
        if not isinstance(self.equalize, bool):
            raise ConfigError(
                f"`equalize` must be true or false; received {self.equalize!r}.", fix="The default is true."
            )
        known = ("none", *DENOISERS)
        if self.denoise not in known:
            raise ConfigError(f"`denoise` cannot be {self.denoise!r}.", fix=nearest_name(str(self.denoise), known))
        object.__setattr__(self, "window_percentiles", (low, high))

    @property
    def decoded_px(self) -> int:
        """The side length for decoding: twice ``size_px``, since less would lose sharpness.

        See "Reading a JPEG" in docs/results.md.
        """
        return self.size_px * 2

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values, the inverse of from_dict.

        ``denoise`` is left out if it is ``none``, so that earlier versions of hilum can read the file.
        """
        values = {
            "size_px": self.size_px,
            "window_percentiles": list(self.window_percentiles),
            "equalize": self.equalize,
        }
        if self.denoise != "none":
            values["denoise"] = self.denoise
        return values

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Preprocessing:
        """Return the settings from `to_dict`; missing keys have their defaults.

        Raises:
            ConfigError: A key is unknown or a value is out of range.
        """
        values = without_lung_crop(settings)
        known = ("size_px", "window_percentiles", "equalize", "denoise")
        for key in values:
            if key not in known:
                raise ConfigError(f"Unknown preprocessing setting `{key}`.", fix=nearest_name(str(key), known))
        if isinstance(values.get("window_percentiles"), list):
            values["window_percentiles"] = tuple(values["window_percentiles"])
        return cls(**values)


def without_lung_crop(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return preprocessing settings without ``lung_crop = false``, which earlier versions of hilum wrote.

    Raises:
        ConfigError: The setting has another value. hilum no longer crops films to the lungs.
    """
    values = dict(settings)
    if values.pop("lung_crop", False) is not False:
        raise ConfigError(
            "The setting `preprocessing.lung_crop` no longer exists. A model now always sees the whole film, because "
            "cropping films to the lungs did not make models better.",
            fix="Remove `lung_crop` from the settings and train again.",
        )
    return values


def preprocess(radiograph: Radiograph, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the network's input, (1, S, S) float32 in [0, 1], C-contiguous; all zeros for a film without contrast.

    The film is stretched to a square, not cropped or padded: cropping may lose a costophrenic angle, and black bars
    show a network the aspect ratio, which differs between hospitals.
    """
    pixels = reduced(radiograph.pixels, preprocessing.decoded_px)  # as for a JPEG
    pixels = _resize(pixels, preprocessing.size_px)  # (H, W) -> (S, S)
    low, high = _percentiles(pixels, preprocessing.window_percentiles)
    if high - low < LEAST_CONTRAST:
        return np.zeros((1, *pixels.shape), np.float32)
    black, white = np.float32(low), np.float32(high)
    window = (pixels - black) / (white - black)
    np.clip(window, 0.0, 1.0, out=window)
    window = denoise(window, preprocessing.denoise)
    return (equalized(window) if preprocessing.equalize else window)[np.newaxis]  # (1, S, S)


def equalized(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a film (S, S) float32 in [0, 1] with its histogram equalised, in 256 levels."""
    levels = cv2.equalizeHist(np.rint(window * np.float32(255)).astype(np.uint8))
    return levels.astype(np.float32) / np.float32(255)


def _resize(film: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """Return the film stretched to a square: shrinking sides are averaged, growing ones interpolated.

    These are two steps, since OpenCV's INTER_AREA becomes an interpolation with aliasing if one side grows.
    """
    pixels: NDArray[Any] = film
    height, width = pixels.shape
    least = (min(width, size_px), min(height, size_px))
    if least != (width, height):
        pixels = cv2.resize(pixels, least, interpolation=cv2.INTER_AREA)
    if least != (size_px, size_px):
        pixels = cv2.resize(pixels, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(pixels, np.float32)


def _percentiles(pixels: NDArray[np.float32], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return two percentiles as numpy.percentile does by default."""
    values = pixels.ravel()
    low, high = (_percentile(values, percentile) for percentile in percentiles)
    return low, high


def _percentile(values: NDArray[np.float32], percentile: float) -> float:
    last = values.size - 1
    position = percentile / 100 * last
    below, above = math.floor(position), math.ceil(position)
    if position > last / 2:  # counted from the other end
        ranked = -_smallest(-values, last - below + 1)
        lower, upper = float(ranked[last - below]), float(ranked[last - above])
    else:
        ranked = _smallest(values, above + 1)
        lower, upper = float(ranked[below]), float(ranked[above])
    return lower + (upper - lower) * (position % 1)


def _smallest(values: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return at least so many of the smallest values, sorted.

    A sample of the values gives a limit that few values lie below, and only these are sorted.
    """
    sample = np.sort(values[::_SAMPLE_STEP])
    limit = sample[min(2 * number // _SAMPLE_STEP + _SAMPLE_STEP, sample.size - 1)]
    few = values[values <= limit]
    return np.sort(few if few.size >= number else values)
