"""What is not the picture: what the audit keeps of each film to ask whether it tells the finding.

A network sees the pixels only, but what a file is like goes with where it came from, and that shows in the pixels too:
as sharpness, as blocks of compression, as a margin, as a letter in a corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hilum.data.scan import Scan
from hilum.film.headers import luminance_steps, read_jpeg_header
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Reason
from hilum.run.gate import refusals

__all__ = ["CORNERS", "SIDES", "THUMBNAIL_PX", "FilmTraits", "TraitCollector", "read_traits"]

THUMBNAIL_PX = 32
SIDES = ("top", "bottom", "left", "right")
CORNERS = ("top left", "top right", "bottom left", "bottom right")

_STANDARD_STEPS = 3688  # the sum of table K.1 of ITU-T T.81, which stands for quality 50
_PNG_MODES = {0: "grey", 2: "colour", 3: "palette", 4: "grey with transparency", 6: "colour with transparency"}
_MARGIN_BLACK, _MARGIN_WHITE = 0.08, 0.92
_LEAST_MARGIN = 0.01  # of the side
_MARKER_PX = 384  # the longer side on which markers are sought
_CORNER = 0.28  # of each side
_MARKER_LIGHT, _MARKER_CONTRAST = 0.72, 0.30
_MARKER_SIDE = (0.016, 0.14)  # the longer side of a burnt-in sign, of the film's longer side


@dataclass(frozen=True, eq=False)
class FilmTraits:
    """What the audit keeps of one film.

    Attributes:
        thumbnail: (32, 32) uint8, area-averaged.
        file_format: png, jpeg or dicom.
        size_px: (height, width) as stored.
        bit_depth: Stored bits of one pixel.
        colour_mode: grey, colour, palette, ..., or DICOM's photometric interpretation.
        jpeg_quality: 1 to 100 on the scale of the common encoders; 0 where the file is no JPEG.
        bytes_per_pixel: The file's size over its pixels.
        margins: (4,) black or white margins, top, bottom, left, right, as a share of that side; white ones below 0.
        markers: (4,) bool, burnt-in signs in the corners: top left, top right, bottom left, bottom right.
        age_years: The patient's age where a DICOM file says so, else None.
        reasons: Why the gate would refuse the film.
    """

    thumbnail: np.ndarray
    file_format: str
    size_px: tuple[int, int]
    bit_depth: int
    colour_mode: str
    jpeg_quality: int
    bytes_per_pixel: float
    margins: np.ndarray
    markers: np.ndarray
    age_years: float | None
    reasons: tuple[Reason, ...]


class TraitCollector:
    """Keeps the traits of films while ``scan_films`` reads them: hand it over as ``look``.

    Args:
        num_films: Of the data set that is scanned.
    """

    def __init__(self, num_films: int) -> None:
        self._traits: list[FilmTraits | None] = [None] * num_films

    def __call__(self, position: int, data: bytes, radiograph: Radiograph) -> None:
        """Keep one film's traits."""
        self._traits[position] = read_traits(data, radiograph)

    def of(self, scan: Scan, positions: np.ndarray | None = None) -> tuple[FilmTraits, ...]:
        """Return the traits of a scan's films, in its order.

        Args:
            scan: Of the films that could be read, or of some of them.
            positions: (n,) int, where these stand among those that could be read; None for all.
        """
        kept = tuple(one for one in self._traits if one is not None)
        if positions is not None:
            kept = tuple(kept[position] for position in positions)
        if len(kept) != len(scan.dataset.records):
            raise ValueError(f"Traits of {len(kept)} films were kept, but {len(scan.dataset.records)} were read.")
        return kept


def read_traits(data: bytes, radiograph: Radiograph) -> FilmTraits:
    """Return what the audit keeps of a film.

    Args:
        data: The file's bytes.
        radiograph: The same file decoded, at full or reduced scale.
    """
    height, width = radiograph.original_size_px
    colour_mode, quality, age = "grey", 0, None
    if radiograph.file_format == "png":
        colour_mode = _PNG_MODES.get(data[25], "other")
    elif radiograph.file_format == "jpeg":
        colour_mode = {1: "grey", 4: "CMYK"}.get(read_jpeg_header(data, "film").num_components, "colour")
        quality = _jpeg_quality(luminance_steps(data))
    elif radiograph.file_format == "dicom":
        from hilum.film.dicom import age_and_interpretation  # as in decode: pydicom takes time to import

        age, interpretation = age_and_interpretation(data)
        colour_mode = interpretation or "grey"
    pixels = radiograph.pixels
    grey = np.round(pixels * 255).astype(np.uint8)
    return FilmTraits(
        thumbnail=cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA),
        file_format=radiograph.file_format,
        size_px=(height, width),
        bit_depth=radiograph.bit_depth,
        colour_mode=colour_mode,
        jpeg_quality=quality,
        bytes_per_pixel=len(data) / (height * width),
        margins=_margins(pixels),
        markers=_markers(pixels),
        age_years=age,
        reasons=refusals(radiograph),
    )


def _jpeg_quality(steps: int | None) -> int:
    """Return the quality that the common encoders would have been asked for, 1 to 100; 0 where it is not known."""
    if not steps:
        return 0
    scale = 100 * steps / _STANDARD_STEPS
    return round(min(max(5000 / scale if scale > 100 else (200 - scale) / 2, 1), 100))


def _margins(pixels: np.ndarray) -> np.ndarray:
    """Return how far a black (positive) or white (negative) margin reaches in from each side, as shares of it, (4,)."""
    found = np.zeros(4, np.float32)
    for sign, marked in ((1, pixels > _MARGIN_BLACK), (-1, pixels < _MARGIN_WHITE)):
        rows, columns = marked.mean(axis=1) > 0.01, marked.mean(axis=0) > 0.01  # a row of the picture, not of a margin
        for side, used in enumerate((rows, rows[::-1], columns, columns[::-1])):
            depth = float(np.argmax(used)) / used.size if used.any() else 1.0
            if depth >= _LEAST_MARGIN and found[side] == 0:
                found[side] = sign * depth
    return found


def _markers(pixels: np.ndarray) -> np.ndarray:
    """Return in which corners something small and bright is burnt in, (4,) bool.

    Letters and arrows are brighter than what lies around them and narrower than any bone: what a morphological opening
    removes. Their size separates them from noise and from the edge of the film.
    """
    height, width = pixels.shape
    shrink = _MARKER_PX / max(height, width)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        height, width = pixels.shape
    longer = max(height, width)
    reach = max(3, round(longer * 0.035) | 1)
    high, wide = round(height * _CORNER), round(width * _CORNER)
    corners = (np.s_[:high, :wide], np.s_[:high, -wide:], np.s_[-high:, :wide], np.s_[-high:, -wide:])
    found = np.zeros(4, bool)
    if high < 2 or wide < 2:
        return found
    for number, corner in enumerate(corners):
        part = np.ascontiguousarray(pixels[corner])
        above = cv2.morphologyEx(part, cv2.MORPH_TOPHAT, np.ones((reach, reach), np.uint8))
        sign = ((above > _MARKER_CONTRAST) & (part > _MARKER_LIGHT)).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(sign)
        for x, y, across, down, area in stats[1:count]:
            side, short = max(across, down) / longer, min(across, down)
            touches = x == 0 or y == 0 or x + across == part.shape[1] or y + down == part.shape[0]
            if _MARKER_SIDE[0] <= side <= _MARKER_SIDE[1] and short >= 2 and area >= 6 and not touches:
                found[number] = True
    return found
