"""Applies the grayscale transformations of a DICOM file, in the order of PS3.4 N.2.

1. Modality LUT, else rescale slope and intercept (PS3.3 C.11.1).
2. VOI LUT, else the first window (PS3.3 C.11.2): LINEAR, LINEAR_EXACT or SIGMOID, in the values of step 1.
3. MONOCHROME1 is inverted last, "after any VOI gray scale transformations have been performed" (PS3.3 C.7.6.3.1.2).
   Presentation LUT Shape only repeats this (C.11.6) and is not read.

Lookup tables and numbers that cannot be read are ignored. Without a VOI transformation that leaves contrast, the values
are stretched from the smallest to the largest, as viewers do. Padding (Pixel Padding Value, PS3.3 C.7.5.1.1.2) is left
out of this range and becomes black. Marks whose values are far from all others are left out, too; they become black or
white. The steps are applied to a table of the stored values, not to each pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.film.elements import first_number, spellings, whole_number, words_of
from hilum.film.radiograph import LEAST_CONTRAST, range_of_film

__all__ = ["shown_values"]

_BAND_PIXELS = 1_000_000


@dataclass(frozen=True, eq=False)
class _Table:
    """A lookup table: its entries (N,), the input value of the first entry, and the largest possible entry."""

    entries: NDArray[np.float64]
    first: int
    full_scale: float

    def through(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return values (V,) through the table (PS3.3 C.11.1.1, C.11.2.1.1)."""
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1).astype(np.int64)
        return self.entries[index]


def shown_values(stored: NDArray[Any], dataset: Dataset, *, inverted: bool = False) -> NDArray[np.float32]:
    """Return the grey values that a viewer would show, bone bright.

    Args:
        stored: (H, W) integers of at most 16 bits, not empty.
        dataset: The file's data set.
        inverted: Whether the smallest value is white (MONOCHROME1).

    Returns:
        (H, W) float32 in [0, 1].
    """
    least, largest = int(stored.min()), int(stored.max())
    values = np.arange(least, largest + 1)  # (V,), all possible stored values
    padding = _is_padding(values, dataset)  # (V,)
    if padding.all():
        padding[:] = False
    occurring = np.zeros(values.size, bool)  # (V,)
    for rows in _bands(stored):
        occurring[rows.astype(np.int64) - least] = True
    seen = np.flatnonzero(occurring & ~padding)  # the values without padding
    if not seen.size:
        seen = np.flatnonzero(occurring)
    with np.errstate(all="ignore"):  # a file may have numbers of any size
        modality = _modality_values(values, dataset)  # (V,)
        tables = _voi_values(modality, dataset)
        table = next((table for table in tables if np.ptp(table[seen]) >= LEAST_CONTRAST), None)
        if table is None:
            low, high = range_of_film(np.unique(modality[seen]))
            table = np.clip((modality - low) / ((high - low) or 1.0), 0.0, 1.0)
    if inverted:
        table = 1.0 - table
    table[padding] = 0.0
    shown_table, film = table.astype(np.float32), np.empty(stored.shape, np.float32)
    for rows, shown_rows in zip(_bands(stored), _bands(film), strict=True):
        np.take(shown_table, rows.astype(np.int64) - least, out=shown_rows, mode="clip")
    return film


def _bands(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield a picture in bands of about a million pixels, to save memory."""
    num_rows = max(1, _BAND_PIXELS // pixels.shape[1])
    for start in range(0, len(pixels), num_rows):
        yield pixels[start : start + num_rows]


def _is_padding(values: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    first, last = (whole_number(dataset, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if first is None:
        return np.zeros(values.shape, bool)
    last = first if last is None else last
    if values[0] < 0:  # signed values; the padding may be written as unsigned
        first, last = (end - 2**16 if end >= 2**15 else end for end in (first, last))
    low, high = min(first, last), max(first, last)
    return (values >= low) & (values <= high)


def _modality_values(values: NDArray[Any], dataset: Dataset) -> NDArray[np.float64]:
    for table in _tables(dataset, "ModalityLUTSequence", values):
        if np.ptp(found := table.through(values)) > 0:
            return found
    slope, intercept = (first_number(dataset, keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    rescaled = values * (slope or 1.0) + (0.0 if intercept is None or slope == 0 else intercept)
    return rescaled if np.isfinite(rescaled).all() and np.ptp(rescaled) > 0 else values.astype(np.float64)


def _voi_values(values: NDArray[np.float64], dataset: Dataset) -> Iterator[NDArray[np.float64]]:
    """Yield the values through each VOI LUT of the file, then through its first window, scaled to [0, 1]."""
    for table in _tables(dataset, "VOILUTSequence", values):
        yield table.through(values) / table.full_scale
    center, width = (first_number(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return
    function = next(iter(spellings(dataset, "VOILUTFunction")), "LINEAR").strip().upper()
    if function == "SIGMOID":
        window = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    elif function == "LINEAR_EXACT" or width < 1:
        window = np.clip((values - center) / width + 0.5, 0.0, 1.0)
    elif width == 1:
        window = (values > center - 0.5).astype(np.float64)
    else:
        window = np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)
    if np.isfinite(window).all():
        yield window


def _tables(dataset: Dataset, keyword: str, values: NDArray[Any]) -> Iterator[_Table]:
    """Yield the valid lookup tables of a sequence, in the order of the file."""
    try:
        items = list(dataset.get(keyword) or ())
    except Exception:  # noqa: BLE001 - pydicom raises any kind of error for a damaged sequence
        return
    for item in items:
        if (table := _table(item, values)) is not None:
            yield table


def _table(item: Dataset, values: NDArray[Any]) -> _Table | None:
    """Return the lookup table of an item, or None if it has no valid one.

    The number of entries is that of the data, since some files state another number in the descriptor.
    """
    descriptor, order, representation = words_of(item, "LUTDescriptor")
    if len(descriptor) < 6:
        return None
    stated, first, bits = (int(word) for word in np.frombuffer(descriptor[:6], f"{order}u2"))
    data, order, kind = words_of(item, "LUTData")
    if kind not in ("OB", "UN"):  # words of 16 bits; of two entries of eight bits the first is in the lower half
        data, order = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype("<u2").tobytes(), "<"
    entries = _entries(data, order, stated or 2**16, bits)
    if entries.size < 2:
        return None
    largest = int(entries.max())
    bits = bits if 1 <= bits <= 16 else max(8, largest.bit_length())
    first = _first_value(first, entries.size, values, signed=representation == "SS")
    return _Table(entries.astype(np.float64), first, float(max(2**bits - 1, largest)))


def _entries(data: bytes, order: str, stated: int, bits: int) -> NDArray[Any]:
    """Return a table's entries: 16-bit words, or bytes if bits and number of entries show that they are bytes."""
    words = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2")
    if len(data) == 2 * stated or not words.size:
        return words
    largest = int(words.max())
    if len(data) in (stated, stated + stated % 2):
        as_bytes = bits <= 8 or largest >= 2 ** min(bits, 16)
    else:
        as_bytes = bits <= 8 and largest > 255
    if not as_bytes:
        return words
    entries = np.frombuffer(data, np.uint8)
    return entries[:stated] if len(data) == stated + stated % 2 else entries


def _first_value(first: int, num: int, values: NDArray[Any], *, signed: bool) -> int:
    """Return the input value of the first entry, read as signed or unsigned.

    The sign that files state is often wrong, so the reading is used that covers more of the values.
    """
    if first < 2**15:
        return first
    low, high = float(values.min()), float(values.max())
    plain, minus = (min(high, start + num - 1) - max(low, start) for start in (first, first - 2**16))
    return first - 2**16 if minus > plain or (minus == plain and signed) else first
