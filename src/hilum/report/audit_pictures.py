"""The small pictures of the audit's page, inline: films, what a trivial model sees, an accuracy beside chance."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hilum.errors import HilumError
from hilum.film.decode import read_film
from hilum.judge.audit.trivial import black_centre
from hilum.text import escape, printable

__all__ = ["accuracy_scale", "film_image", "seen_image"]

_PICTURE_PX = 180


def film_image(path: Path, name: str) -> str:
    """Return a film as an image of a few kilobytes, or a sign that it cannot be read.

    Args:
        path: The file.
        name: What to call it.
    """
    try:
        pixels = read_film(path, min_side_px=_PICTURE_PX).pixels
    except HilumError:
        return '<div class="lost">cannot be read</div>'
    shrink = min(1.0, _PICTURE_PX / max(pixels.shape))
    size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
    grey = np.round(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 72])[1].tobytes()
    return _image(data, "jpeg", f"Film {printable(name)}")


def seen_image(thumbnail: np.ndarray, name: str) -> str:
    """Return what a trivial model sees of a film; nothing of a model that sees no pixels.

    Args:
        thumbnail: (32, 32) uint8, of the film.
        name: The model's.
    """
    if name.startswith("thumbnail"):
        side = 16 if name.endswith("16") else 8
        step = thumbnail.shape[0] // side
        seen = thumbnail.reshape(side, step, side, step).mean(axis=(1, 3)).astype(np.uint8)
    elif name == "center_blacked":
        seen = black_centre(thumbnail)
    elif name == "border_only":
        seen = black_centre(thumbnail, 1)
    else:
        return ""
    return _image(cv2.imencode(".png", seen)[1].tobytes(), "png", "What the model sees of one film")


def accuracy_scale(score: Mapping[str, Any]) -> str:
    """Return an accuracy with its interval on a line from 0 to 1, chance as an upright line."""
    accuracy = score["accuracy"]
    low, high, value, chance = (
        round(5 + 150 * limit, 1) for limit in (accuracy["low"], accuracy["high"], accuracy["value"], score["chance"])
    )
    return (
        '<svg class="scale" viewBox="0 0 160 22" aria-hidden="true">'
        '<line class="grid" x1="5" x2="155" y1="11" y2="11"/>'
        f'<line class="chance" x1="{chance:g}" x2="{chance:g}" y1="2" y2="20"/>'
        f'<line class="range" x1="{low:g}" x2="{high:g}" y1="11" y2="11"/>'
        f'<circle class="point" cx="{value:g}" cy="11" r="4"/></svg>'
    )


def _image(data: bytes, kind: str, words: str) -> str:
    text = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(words, quote=True)}" src="data:image/{kind};base64,{text}">'
