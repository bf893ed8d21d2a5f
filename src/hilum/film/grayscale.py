"""From stored values to shown ones: the grayscale transformations of a DICOM file, in the order of PS3.4 N.2.

1. Modality LUT, else rescale slope and intercept (PS3.3 C.11.1): stored values become the modality's own.
2. VOI LUT, else the first window of several (PS3.3 C.11.2): LINEAR, LINEAR_EXACT or SIGMOID. It is stated in the values
   that step 1 gives, in the file's own polarity; so it comes after 1 and before 3.
3. MONOCHROME1 is inverted last: there the least value is to be shown white "after any VOI gray scale transformations
   have been performed" (PS3.3 C.7.6.3.1.2). Presentation LUT Shape only repeats this (C.11.6) and is not looked at.

A lookup table or a number that cannot be read is left out, as if the file did not have it. Where a file has no VOI
transformation, or none that leaves contrast, the values that occur are stretched from least to largest, as viewers do.
Padding (Pixel Padding Value, PS3.3 C.7.5.1.1.2) does not count there and comes out black.

All three steps are taken on a table of the stored values that can occur, not on the millions of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.film.elements import first_number, spellings, whole_number, words_of

__all__ = ["shown_values"]

_BAND_PIXELS = 1_000_000


@dataclass(frozen=True, eq=False)
class _Table:
    """A lookup table of the file: its entries (N,), the value that the first stands for, its largest possible entry."""

    entries: NDArray[np.float64]
    first: int
    full_scale: float

    def through(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return values (V,) through the table (PS3.3 C.11.1.1, C.11.2.1.1)."""
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1).astype(np.int64)
        return self.entries[index]


def shown_values(stored: NDArray[Any], dataset: Dataset, *, inverted: bool = False) -> NDArray[np.float32]:
    """Return what a viewer would show, bone bright.

    Args:
        stored: (H, W) integers of at most 16 bits, not empty.
        dataset: The file they come from.
        inverted: Whether the least value is to be shown white (MONOCHROME1).

    Returns:
        (H, W) float32 in [0, 1].
    """
    least, largest = int(stored.min()), int(stored.max())
    values = np.arange(least, largest + 1)  # (V,), every stored value that may occur
    padding = _is_padding(values, dataset)  # (V,)
    if padding.all():
        padding[:] = False
    shown = slice(None)  # the values that count
    if padding.any():
        occurring = np.zeros(values.size, bool)
        for rows in _bands(stored):
            occurring[rows.astype(np.int64) - least] = True
        seen = np.flatnonzero(occurring & ~padding)
        shown = slice(seen[0], seen[-1] + 1) if seen.size else shown
    with np.errstate(all="ignore"):  # numbers of the file may be of any size
        modality = _modality_values(values, dataset)  # (V,)
        table = next((table for table in _voi_values(modality, dataset) if np.ptp(table[shown]) > 0), None)
        if table is None:
            low, high = modality[shown].min(), modality[shown].max()
            table = np.clip((modality - low) / ((high - low) or 1.0), 0.0, 1.0)
    if inverted:
        table = 1.0 - table
    table[padding] = 0.0
    shown_table, film = table.astype(np.float32), np.empty(stored.shape, np.float32)
    for rows, shown_rows in zip(_bands(stored), _bands(film), strict=True):
        np.take(shown_table, rows.astype(np.int64) - least, out=shown_rows, mode="clip")
    return film


def _bands(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Give a picture in bands of about a million pixels: indices of eight bytes for all of them would fill memory."""
    num_rows = max(1, _BAND_PIXELS // pixels.shape[1])
    for start in range(0, len(pixels), num_rows):
        yield pixels[start : start + num_rows]


def _is_padding(values: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    first, last = (whole_number(dataset, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if first is None:
        return np.zeros(values.shape, bool)
    last = first if last is None else last
    if values[0] < 0:  # signed values, and padding that may have been written unsigned
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
    """Give values through each VOI LUT of the file, then through its first window, scaled to [0, 1]."""
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
    """Give the lookup tables of a sequence that can be used, in the order of the file."""
    try:
        items = list(dataset.get(keyword) or ())
    except Exception:  # noqa: BLE001 - a damaged sequence is read here; pydicom raises whatever it brings about
        return
    for item in items:
        if (table := _table(item, values)) is not None:
            yield table


def _table(item: Dataset, values: NDArray[Any]) -> _Table | None:
    """Return the lookup table of an item, None where it has none that can be used.

    The number of entries is that of the data. The descriptor's is asked only for the size of an entry, since some files
    state another number than they hold.
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
    """Return a table's entries: words of 16 bits, or bytes where the entries have eight bits and the count says so."""
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
    """Return the value that the first entry stands for, of which the file has 16 bits, with or without a sign.

    What the file says of the sign is often wrong. So the reading is taken that has more of the values in the table.
    """
    if first < 2**15:
        return first
    low, high = float(values.min()), float(values.max())
    plain, minus = (min(high, start + num - 1) - max(low, start) for start in (first, first - 2**16))
    return first - 2**16 if minus > plain or (minus == plain and signed) else first
