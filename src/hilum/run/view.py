"""What a network sees of a film: all of it, or the part that holds the lungs, where its preprocessing asks for that.

The part decides what a model answers, so it should be the same on all machines: the segmenter computes in float32 here,
the lungs' ends lie on its grid of 128, and the model file names the segmenter that it was trained behind.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.film.scale import reduced
from hilum.run.answer import WHOLE, Part
from hilum.run.lungs import both_lungs, lung_scores

__all__ = ["WHOLE", "Part", "part_seen", "pixels_of", "seen_film", "view_of"]

_MARGIN_FRACTION = 0.05  # of the film's sides, left around the lungs


def part_seen(radiograph: Radiograph, preprocessing: Preprocessing) -> Part:
    """Return the part of a film that a network sees.

    Args:
        radiograph: A film of any size.
        preprocessing: The model's.

    Returns:
        Where it begins and ends, as fractions of the film's height and width: top, bottom, left, right. The whole film
        where no crop is asked for, and where no two lungs are found side by side: one alone would leave the other,
        perhaps the one that is ill, out of view.
    """
    if not preprocessing.lung_crop:
        return WHOLE
    mask = both_lungs(lung_scores(radiograph, "f32"))
    if not mask.any():
        return WHOLE
    ends: list[float] = []
    for axis in (1, 0):
        places = np.flatnonzero(mask.any(axis=axis))
        side = mask.shape[1 - axis]
        ends += [places[0] / side - _MARGIN_FRACTION, (places[-1] + 1) / side + _MARGIN_FRACTION]
    top, bottom, left, right = (float(min(max(end, 0.0), 1.0)) for end in ends)
    return top, bottom, left, right


def seen_film(radiograph: Radiograph, preprocessing: Preprocessing) -> Radiograph:
    """Return the film as far as a network sees it; all else about it stays."""
    part = part_seen(radiograph, preprocessing)
    if part == WHOLE:
        return radiograph
    pixels = reduced(radiograph.pixels, preprocessing.decoded_px)  # before it is cut: the same blocks as in a JPEG
    rows, columns = pixels_of(part, pixels.shape)
    return dataclasses.replace(radiograph, pixels=np.ascontiguousarray(pixels[rows, columns]))


def view_of(radiograph: Radiograph, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the film as a network sees it, (1, S, S) float32 in [0, 1]: the graph's input."""
    return preprocess(seen_film(radiograph, preprocessing), preprocessing)


def pixels_of(part: Part, size_px: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of a part on a film (H, W): at least one pixel of each."""
    rows, columns = (
        slice(int(begin * side), max(round(end * side), int(begin * side) + 1))
        for begin, end, side in zip(part[::2], part[1::2], size_px, strict=True)
    )
    return rows, columns
