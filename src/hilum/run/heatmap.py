"""Heat maps: they show where on the film the evidence for a finding is, but not why.

Source: class activation maps, Zhou et al. 2016; for a linear head on pooled features they equal Grad-CAM.
"""

from __future__ import annotations

import os
import re
import unicodedata
import zlib
from pathlib import Path

import cv2
import numpy as np

from hilum.errors import InputError
from hilum.files import replace_file
from hilum.film.radiograph import Radiograph

__all__ = ["free_path", "heat", "is_own_picture", "overlay", "write_png"]

_PNG_HEAD_BYTES = 33  # the signature and the chunk IHDR
_WORDS = b"tEXtSoftware\0hilum"
_SIGNATURE = (len(_WORDS) - 4).to_bytes(4, "big") + _WORDS + zlib.crc32(_WORDS).to_bytes(4, "big")
_LONGEST_STEM = 230  # bytes; a file name may have 255, and a number and the suffix follow


def heat(activation: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Return the evidence for one finding, as large as the film.

    Args:
        activation: (h, w) float32 of one finding.
        size_px: Height and width of the film.

    Returns:
        (H, W) float32 in [0, 1]; the strongest point is 1, evidence against the finding is 0.
    """
    positive = np.maximum(activation, 0).astype(np.float32)
    peak = float(positive.max())
    if peak > 0:
        positive = positive / np.float32(peak)
    return np.clip(cv2.resize(positive, size_px[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def overlay(radiograph: Radiograph, activation: np.ndarray, *, max_side_px: int = 1024) -> np.ndarray:
    """Return the film in grey with the evidence over it in colour.

    Args:
        radiograph: The film.
        activation: (h, w) float32 of one finding.
        max_side_px: Larger films are reduced to this longest side.

    Returns:
        (H, W, 3) uint8, red-green-blue.
    """
    pixels: np.ndarray = radiograph.pixels
    scale = min(1.0, max_side_px / max(pixels.shape))
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in pixels.shape)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    warmth = heat(activation, (pixels.shape[0], pixels.shape[1]))[..., np.newaxis]  # (H, W, 1)
    low, high = np.percentile(pixels, (0.5, 99.5))
    grey = np.clip((pixels - low) / max(float(high - low), 1e-3), 0, 1)[..., np.newaxis]
    palette = cv2.applyColorMap((warmth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1] / 255.0
    blended = grey * (1 - 0.6 * warmth) + palette * 0.6 * warmth
    return (np.clip(blended, 0, 1) * 255).astype(np.uint8)


def free_path(folder: Path, film: str, taken: set[str]) -> Path:
    """Return the path of a film's picture: STEM.png, or STEM-2.png if that name is taken. Case is ignored.

    Args:
        folder: The folder for pictures.
        film: The path of the film.
        taken: The names of this run so far; the new one is added.
    """
    stem = re.sub(r"[\x00-\x1f/\\:]+", "_", Path(film).stem) or "film"
    stem = os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM]) if len(os.fsencode(stem)) > _LONGEST_STEM else stem
    base = unicodedata.normalize("NFC", stem).casefold()
    name = stem
    if base in taken:
        least, most = 1, 2  # doubling, then bisection: fast also for 100,000 films with the same stem
        while f"{base}-{most}" in taken:
            least, most = most, 2 * most
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if f"{base}-{middle}" in taken else (least, middle)
        name, base = f"{stem}-{most}", f"{base}-{most}"
    taken.add(base)
    return folder / f"{name}.png"


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) uint8 pixels, red-green-blue, as a PNG file marked as drawn by hilum.

    Raises:
        InputError: The file cannot be written. An earlier file stays.
    """
    ordered = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    encoded, data = cv2.imencode(".png", ordered)
    if not encoded:
        raise InputError(f"Cannot encode the picture `{path.name}`.")
    png = data.tobytes()
    try:
        replace_file(path, png[:_PNG_HEAD_BYTES] + _SIGNATURE + png[_PNG_HEAD_BYTES:], wait=False)
    except InputError as error:
        raise InputError(f"Cannot write the picture `{path}`: {error.message}", fix=error.fix) from error


def is_own_picture(path: Path) -> bool:
    """Return whether `write_png` wrote a file. Links are not followed.

    Raises:
        OSError: The file cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(_PNG_HEAD_BYTES + len(_SIGNATURE)).endswith(_SIGNATURE)
