"""Pictures for JSON answers, as PNG data URIs: the film and its heat maps."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Answer
from hilum.run.classifier import DISPLAY_PX
from hilum.run.heatmap import heat, overlay

__all__ = ["display_pictures", "film_png", "heat_png", "heatmap_picture"]

_FILM_SIDE_PX = 1536  # enough to zoom into a lung; a few MB at most
_HEAT_SIDE_PX = 320  # the evidence has only about 14 x 14 values
_URI = "data:image/png;base64,"


def heatmap_picture(data: bytes, radiograph: Radiograph, answer: Answer, findings: Sequence[str]) -> str:
    """Return the picture that ``predict --heatmaps`` writes, as a data URI.

    Args:
        data: The film's bytes; a JPEG is decoded again, as it was judged at a smaller size.
        radiograph: The film as it was judged.
        answer: Its answer.
        findings: The model's findings, in the order of the answer's activation.
    """
    shown = _enlarged(data, radiograph, DISPLAY_PX)
    evidence = answer.activation[findings.index(answer.likeliest)]
    return _png(overlay(shown, evidence)[..., ::-1])


def display_pictures(data: bytes, radiograph: Radiograph, answer: Answer, findings: Sequence[str]) -> dict[str, Any]:
    """Return the pictures for a viewer: the film and an overlay for each finding. Arguments as in `heatmap_picture`.

    Returns:
        ``width_px`` and ``height_px`` of the film's picture; ``film``, an 8-bit grey PNG, black and white at the 0.5th
        and 99.5th percentile; ``heat``, finding to a PNG whose colour and opacity both stand for the evidence. All
        pictures are data URIs and fill the same rectangle.
    """
    grey = _for_eyes(_enlarged(data, radiograph, _FILM_SIDE_PX // 2))
    height, width = grey.shape
    size_px = _heat_size((height, width))
    return {
        "width_px": width,
        "height_px": height,
        "film": _png(grey),
        "heat": {
            name: _uri(_layer(heat(evidence, size_px)))
            for name, evidence in zip(findings, answer.activation, strict=True)
        },
    }


def film_png(radiograph: Radiograph) -> bytes:
    """Return a film as an 8-bit grey PNG, as in `display_pictures`."""
    return _encoded(_for_eyes(radiograph))


def heat_png(radiograph: Radiograph, activation: np.ndarray) -> bytes:
    """Return the evidence (h, w) for one finding as a PNG for the rectangle of the film, as in `display_pictures`."""
    height, width = radiograph.pixels.shape
    return _layer(heat(activation, _heat_size((height, width))))


def _for_eyes(radiograph: Radiograph) -> np.ndarray:
    """Return the film in (H, W) uint8, black and white at the 0.5th and 99.5th percentile."""
    pixels: np.ndarray = radiograph.pixels
    scale = min(1.0, _FILM_SIDE_PX / max(pixels.shape))
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in pixels.shape)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(pixels, (0.5, 99.5))
    grey = np.clip((pixels - low) / max(float(high - low), 1e-3), 0, 1)
    return (grey * 255).astype(np.uint8)


def _heat_size(size_px: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, _HEAT_SIDE_PX / max(size_px))
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))


def _enlarged(data: bytes, radiograph: Radiograph, side_px: int) -> Radiograph:
    """Return the film with sides of at least this length if possible; only a JPEG was decoded at a smaller size."""
    return decode(data, min_side_px=side_px, apart=True) if radiograph.file_format == "jpeg" else radiograph


def _png(pixels: np.ndarray) -> str:
    """Return (H, W) or blue-green-red (H, W, 3) uint8 as a data URI."""
    return _uri(_encoded(pixels))


def _encoded(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].tobytes()


def _uri(png: bytes) -> str:
    return _URI + base64.b64encode(png).decode()


def _layer(warmth: np.ndarray) -> bytes:
    """Return (H, W) in [0, 1] as a PNG of 256 colours; a higher value is more opaque."""
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_INFERNO).reshape(256, 3)[:, ::-1].copy()
    opacity = np.arange(256, dtype=np.uint8)
    numbers = (warmth * 255).astype(np.uint8)
    picture = Image.fromarray(numbers, "L")
    picture.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "png", transparency=opacity.tobytes(), compress_level=6)
    return buffer.getvalue()
