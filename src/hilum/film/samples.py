"""Reads the sample layout of a DICOM file and extracts the samples from their words.

A word of 8, 16 or 32 bits contains a sample of fewer bits at any position, with or without a sign. The other bits may
contain old overlays, copies of the sign or random data. So, for every transfer syntax, unpacked words are shifted,
masked and given their sign here.

Source: DICOM PS3.5 8.1.1 and 8.2 (pixel cells, native and compressed), PS3.3 C.7.6.3 (Image Pixel module).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset

from hilum.errors import UndecodableFilm, UnsupportedFilm
from hilum.film.elements import spellings, whole_number

__all__ = ["SampleLayout", "read_layout", "samples_of"]

_SEND_AGAIN = "Send or export it again from where it came from."
_CONVERT = "Convert it to an uncompressed DICOM file of 8 or 16 bits a pixel, for instance with dcmconv or gdcmconv."
_BITS_ALLOCATED = (8, 16, 32)
_LEAST_BITS, _MOST_BITS = 8, 16
_INTERPRETATIONS = (
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"),
    *("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"),
)
_OVERSHOOT = 8  # a lossy codec leaves the range by less than an eighth of it


@dataclass(frozen=True)
class SampleLayout:
    """The layout of samples in the words of a DICOM file.

    Attributes:
        rows, columns: Size of the picture.
        samples: Samples per pixel, 1 or 3.
        interpretation: The Photometric Interpretation, a defined term of the standard.
        planar: 1 where colours come plane by plane, 0 where pixel by pixel.
        bits_allocated: Bits of a word, 8, 16 or 32.
        bits_stored: Bits of a sample, 8 to 16.
        high_bit: The sample's highest bit in its word.
        signed: Whether a sample is a two's complement.
    """

    rows: int
    columns: int
    samples: int
    interpretation: str
    planar: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool


def read_layout(dataset: Dataset, name: str) -> SampleLayout:
    """Return the sample layout of a DICOM file.

    Raises:
        UndecodableFilm: An element is missing, unreadable, or contradicts another; the message names it.
        UnsupportedFilm: The size of words or samples is not supported.
    """
    rows, columns, samples, allocated, stored, signed = (
        _needed(dataset, keyword, name)
        for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
    )
    interpretation = _interpretation(dataset, name)
    if samples not in (1, 3):
        raise _unsupported(name, f"Samples per Pixel (0028,0002) is {samples}; expected 1, or 3 of a colour capture")
    if allocated not in _BITS_ALLOCATED:
        raise _unsupported(name, f"Bits Allocated (0028,0100) is {allocated}; expected 8, 16 or 32")
    if stored > allocated:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: Bits Stored (0028,0101) is {stored}, more than the {allocated} of Bits"
            " Allocated (0028,0100).",
            fix=_SEND_AGAIN,
        )
    if not _LEAST_BITS <= stored <= _MOST_BITS:
        said = f"Bits Stored (0028,0101) is {stored}, with Bits Allocated (0028,0100) of {allocated}"
        raise _unsupported(name, f"{said}; expected {_LEAST_BITS} to {_MOST_BITS} bits a sample")
    high_bit = whole_number(dataset, "HighBit")
    high_bit = stored - 1 if high_bit is None else high_bit
    if not stored - 1 <= high_bit < allocated:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: High Bit (0028,0102) is {high_bit}; expected {stored - 1} to"
            f" {allocated - 1}, since Bits Stored is {stored} and Bits Allocated {allocated}.",
            fix=_SEND_AGAIN,
        )
    if signed not in (0, 1):
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: Pixel Representation (0028,0103) is {signed}; expected 0 or 1.",
            fix=_SEND_AGAIN,
        )
    planar = int(samples == 3 and whole_number(dataset, "PlanarConfiguration") == 1)
    return SampleLayout(rows, columns, samples, interpretation, planar, allocated, stored, high_bit, signed == 1)


def samples_of(
    words: NDArray[Any], layout: SampleLayout, *, word_bits: int | None = None, lossy: bool = False
) -> NDArray[Any]:
    """Return the samples in words.

    Args:
        words: Integers of any shape from a decoder; negative ones are two's complements.
        layout: The sample layout.
        word_bits: Bits of a word in the compressed codestream; None for uncompressed data. A codestream with fewer bits
            than the High Bit has samples alone, at the lowest bits.
        lossy: Whether the compression may have changed values. Values just outside the range are then clipped; wrapped
            around they would be white specks on black.

    Returns:
        uint8 or uint16, or int16 where signed, of the same shape.
    """
    held = word_bits or layout.bits_allocated
    shift = layout.high_bit + 1 - layout.bits_stored if held > layout.high_bit else 0
    bits = min(layout.bits_stored, held)
    if shift == 0 and not layout.signed and held == bits and words.dtype.kind == "u" and words.dtype.itemsize <= 2:
        return words
    words = words.astype(words.dtype.newbyteorder("="), copy=False)
    words = words.view(f"u{words.dtype.itemsize}")
    mask = 2**bits - 1
    if lossy and held > bits:
        words = _brought_back(words, bits + shift, held, signed=layout.signed)
    values = ((words >> shift) & mask).astype(np.uint8 if bits <= 8 and not layout.signed else np.uint16)
    if not layout.signed:
        return values
    unused = 16 - bits
    return (values << unused).view(np.int16) >> unused


def _brought_back(words: NDArray[Any], bits: int, held: int, *, signed: bool) -> NDArray[Any]:
    """Return words (of ``held`` bits) clipped to the range of ``bits``, if all are at most slightly outside it.

    Words further outside have other data in the upper bits, which the mask removes.
    """
    values = words.astype(np.int64) & (2**held - 1)
    if signed:
        values -= (values >> (held - 1)) << held
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slack = 2**bits // _OVERSHOOT
    if values.min() < low - slack or values.max() > high + slack:
        return words
    return np.clip(values, low, high)


def _needed(dataset: Dataset, keyword: str, name: str) -> int:
    value = whole_number(dataset, keyword)
    if value is None:
        raise _missing(dataset, keyword, name)
    return value


def _missing(dataset: Dataset, keyword: str, name: str) -> UndecodableFilm:
    tag = tag_for_keyword(keyword) or 0
    said = f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
    what = f"the element {said} is empty or cannot be read" if tag in dataset else f"the element {said} is missing"
    return UndecodableFilm(f"Cannot read the film `{name}`: {what}.", fix=_SEND_AGAIN)


def _interpretation(dataset: Dataset, name: str) -> str:
    text = next(iter(spellings(dataset, "PhotometricInterpretation")), "").strip()
    if not text:
        raise _missing(dataset, "PhotometricInterpretation", name)
    term = " ".join(text.upper().split())
    term = term if "PALETTE" in term else term.replace(" ", "")
    if term not in _INTERPRETATIONS:
        said = "Photometric Interpretation (0028,0004) is not supported"
        raise _unsupported(name, f"{said}; expected MONOCHROME1, MONOCHROME2, RGB, PALETTE COLOR or YBR")
    return term


def _unsupported(name: str, said: str) -> UnsupportedFilm:
    return UnsupportedFilm(f"Cannot read the film `{name}`: {said}.", fix=_CONVERT)
