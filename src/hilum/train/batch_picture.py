"""A picture of a batch, so that people see what a network is shown: changed films with their findings under them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["batch_picture"]

_MOST_FILMS, _IN_A_ROW = 16, 4
_FILM_PX, _GAP_PX, _TEXT_PX = 192, 8, 14


def batch_picture(films: np.ndarray, targets: np.ndarray, findings: Sequence[str]) -> np.ndarray:
    """Return the first films of a batch, at most 16, as a grid with their findings under them: (H, W) uint8, grey.

    Args:
        films: (n, S, S, 1) float32 in [0, 1], as `hilum.train.feed.FilmBatches` gives them.
        targets: (n, K) float32, what is known of each film.
        findings: The K names.
    """
    shown = min(len(films), _MOST_FILMS)
    columns = min(shown, _IN_A_ROW)
    width, height = _FILM_PX + _GAP_PX, _FILM_PX + _GAP_PX + 2 * (_TEXT_PX + 4)
    page = Image.new("L", (columns * width + _GAP_PX, -(-shown // columns) * height + _GAP_PX), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_TEXT_PX)
    for number in range(shown):
        left, top = _GAP_PX + number % columns * width, _GAP_PX + number // columns * height
        film = Image.fromarray((films[number, ..., 0] * 255).round().clip(0, 255).astype(np.uint8))
        page.paste(film.resize((_FILM_PX, _FILM_PX), Image.Resampling.BILINEAR), (left, top))
        for line, words in enumerate(_words(targets[number], findings)):
            fitting = words
            while font.getlength(fitting) > _FILM_PX:
                fitting = f"{fitting[:-2]}…"
            draw.text((left, top + _FILM_PX + 2 + line * (_TEXT_PX + 3)), fitting, fill=0, font=font)
    return np.asarray(page)


def _words(target: np.ndarray, findings: Sequence[str]) -> list[str]:
    """Return what is known of a film (K,), in at most two lines."""
    if np.allclose(target, 1 / len(target)):
        return ["lungs hidden"]  # so nothing is known
    known = [index for index in np.argsort(-target, kind="stable") if target[index] > 0]
    if target.sum() > 1.5 and len(known) > 1:
        return ["one of:", ", ".join(findings[index] for index in known)]
    shares = [f" {100 * target[index]:.0f} %" if len(known) > 1 else "" for index in known]
    return [findings[index] + share for index, share in zip(known, shares, strict=True)][:2]
