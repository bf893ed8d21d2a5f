"""Films that show the lungs alone, films that hide them, and films in a frame: what a network may learn, and what not.

A network that names a finding from a film without lungs has learned something else: the hospital, the child's frame,
the edge. Shown lungs alone it must find its answer there; shown a film without lungs it is told that nothing is known.
Whether that helps is measured on sources held out, see docs/log.md.
"""

from __future__ import annotations

import cv2
import numpy as np

from hilum.film.radiograph import Radiograph
from hilum.judge.shortcuts.occlusion import lung_cover
from hilum.train.augment import Augmentation

__all__ = ["COVER_PX", "packed_cover", "unpacked_cover", "view_lungs"]

COVER_PX = 64
_MOST_FRAME = 0.16  # of the side, on each side of the film
_FRAMED_SIDES = 0.6  # how often each side of a framed film has a strip


def packed_cover(radiograph: Radiograph) -> np.ndarray:
    """Return where a film's lungs lie, hulls and some rim: (64, 8) uint8, a bit a place."""
    cover = lung_cover(radiograph).astype(np.uint8)
    small = cv2.resize(cover, (COVER_PX, COVER_PX), interpolation=cv2.INTER_NEAREST)
    return np.packbits(small.astype(bool), axis=1)


def unpacked_cover(packed: np.ndarray, size_px: int) -> np.ndarray:
    """Return a packed cover as (S, S) bool."""
    cover = np.unpackbits(packed, axis=1)
    return cv2.resize(cover, (size_px, size_px), interpolation=cv2.INTER_LINEAR).astype(bool)


def view_lungs(
    film: np.ndarray, cover: np.ndarray | None, policy: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """Return a film as the policy lets it be seen, and whether its lungs are hidden.

    Args:
        film: (S, S) float32 in [0, 1]; left as it is.
        cover: (S, S) bool, where the lungs lie; needed where the policy shows lungs alone or hides them. Where it is
            empty the film is left whole.
        policy: How often which view is taken.
        rng: Decides.
    """
    draw, is_framed = rng.random(2)
    hidden = False
    if cover is not None and cover.any() and draw < policy.lungs_only_probability + policy.lungs_hidden_probability:
        hidden = draw >= policy.lungs_only_probability
        film = np.where(cover == hidden, np.float32(rng.choice((0.0, 0.5, rng.random()))), film)
    if is_framed < policy.frame_probability:
        film = film.copy()
        grey = np.float32(rng.choice((0.0, 1.0, 0.5, rng.random())))
        strips = rng.uniform(0, _MOST_FRAME, 4) * (rng.random(4) < _FRAMED_SIDES) * film.shape[0]
        top, bottom, left, right = strips.astype(int)
        film[:top] = film[len(film) - bottom :] = grey
        film[:, :left] = film[:, film.shape[1] - right :] = grey
    return film, hidden
