"""From stored values to shown ones: the grayscale transformations of a DICOM file, in the order of PS3.4 N.2.

1. Modality LUT, else rescale slope and intercept (PS3.3 C.11.1): stored values become the modality's own.
2. VOI LUT, else the first window of several (PS3.3 C.11.2): LINEAR, LINEAR_EXACT or SIGMOID. It is stated in the values
   that step 1 gives, in the file's own polarity; so it comes after 1 and before 3.
3. MONOCHROME1 is inverted last: there the least value is to be shown white "after any VOI gray scale transformations
   have been performed" (PS3.3 C.7.6.3.1.2). Presentation LUT Shape only repeats this (C.11.6) and is not looked at.

Where a file has no VOI transformation, or one that leaves no contrast, the values that occur are stretched from least
to largest, as viewers do. Padding (Pixel Padding Value, PS3.3 C.7.5.1.1.2) does not count there and comes out black.

All three steps are taken on a table of the stored values that can occur, not on the millions of pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

__all__ = ["shown_values"]


def shown_values(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.float32]:
    """Return what a viewer would show, bone bright.

    Args:
        stored: (H, W) integers of at most 16 bits, not empty.
        dataset: The file they come from.

    Returns:
        (H, W) float32 in [0, 1].
    """
    least, largest = int(stored.min()), int(stored.max())
    values = np.arange(least, largest + 1)  # (V,), every stored value that may occur
    padding = _is_padding(values, dataset)  # (V,)
    if padding.all():
        padding[:] = False
    if padding.any():
        occurring = np.zeros(values.size, bool)
        occurring[stored.ravel() - least if least else stored.ravel()] = True
        seen = np.flatnonzero(occurring & ~padding)
        ends = (seen[0], seen[-1]) if seen.size else (0, values.size - 1)
    else:
        ends = (0, values.size - 1)
    modality = _modality_values(values, dataset)  # (V,)
    table = _voi_values(modality, dataset)
    if table is None or table[ends[0]] == table[ends[1]]:
        occurring_values = modality[[ends[0], ends[1]]]
        low, high = occurring_values.min(), occurring_values.max()
        table = np.clip((modality - low) / ((high - low) or 1.0), 0.0, 1.0)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        table = 1.0 - table
    table[padding] = 0.0
    index = stored.astype(np.int32) - least if least else stored
    return table.astype(np.float32)[index]


def _is_padding(values: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.zeros(values.shape, bool)
    last = dataset.get("PixelPaddingRangeLimit")
    last = last if isinstance(last, int) else first
    if values[0] < 0:  # signed values, and padding that may have been written unsigned
        first, last = (end - 2**16 if end >= 2**15 else end for end in (first, last))
    low, high = min(first, last), max(first, last)
    return (values >= low) & (values <= high)


def _modality_values(values: NDArray[Any], dataset: Dataset) -> NDArray[np.float64]:
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        return _through_lut(values, sequence[0], dataset)[0]
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    slope = float(slope) if slope not in (None, "") else 1.0
    intercept = float(intercept) if intercept not in (None, "") else 0.0
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        slope, intercept = 1.0, 0.0
    return values * slope + intercept


def _voi_values(values: NDArray[np.float64], dataset: Dataset) -> NDArray[np.float64] | None:
    """Return values through the file's VOI LUT, else its first window, scaled to [0, 1]; None where it has neither."""
    if sequence := dataset.get("VOILUTSequence"):
        shown, full_scale = _through_lut(values, sequence[0], dataset)
        return shown / full_scale  # entries are no more than full_scale
    center, width = (_first_number(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT" or width < 1:
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _first_number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    first = value[0] if isinstance(value, MultiValue) and len(value) else value
    number = float(first)
    return number if np.isfinite(number) else None


def _through_lut(values: NDArray[Any], item: Dataset, dataset: Dataset) -> tuple[NDArray[np.float64], float]:
    """Return values through a lookup table of the file, and its largest possible entry (PS3.3 C.11.1.1, C.11.2.1.1)."""
    num_entries, first, bits = (int(number) for number in item.LUTDescriptor)
    num_entries = num_entries or 2**16
    if first >= 2**15 and values.min() < 0:
        first -= 2**16  # the descriptor was written unsigned although the values are signed
    entries = item.LUTData
    if isinstance(entries, bytes):
        little = dataset.original_encoding[1] is not False
        kind = ("<u2" if little else ">u2") if len(entries) >= 2 * num_entries else "u1"
        entries = np.frombuffer(entries, kind, count=num_entries)
    table = np.atleast_1d(np.asarray(entries, np.float64))[:num_entries]
    index = np.clip(np.rint(values) - first, 0, table.size - 1).astype(np.int64)
    return table[index], max(float(2**bits - 1), float(table.max()))
