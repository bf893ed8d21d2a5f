"""One JPEG frame unpacked by GDCM: lossless and 12-bit JPEG in DICOM files, which nothing else reads.

GDCM ends the whole process when a frame is damaged (an uncaught C++ exception). So this runs only in a decoder process
(pool.py), where that costs one film.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

import gdcm

__all__ = ["unpack_frame"]

_CUT_SHORT = b"premature end of data"  # libjpeg within GDCM says so, on standard error alone, and fills with grey
_MOST_SAID_BYTES = 1024 * 1024


def unpack_frame(frame: bytes, syntax: str, *layout: int, photometric_interpretation: str) -> bytes:
    """Return the samples of one compressed frame.

    Args:
        frame: One JPEG codestream.
        syntax: Its transfer syntax UID.
        layout: Rows, columns, samples a pixel, bits allocated, bits stored, and 1 where signed.
        photometric_interpretation: As the file states it.

    Returns:
        Rows x columns x samples little-endian integers of the bits allocated, interleaved by pixel.

    Raises:
        RuntimeError: When the frame cannot be unpacked.
    """
    rows, columns, samples, bits_allocated, bits_stored, signed = layout
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(photometric_interpretation)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(samples, bits_allocated, bits_stored, bits_stored - 1, signed))
    unpacked = gdcm.ImageChangeTransferSyntax()  # GetBuffer alone gives chance memory where a frame is damaged
    unpacked.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    unpacked.SetInput(image)
    changed, said = _with_what_is_said(unpacked.Change)
    if not changed or _CUT_SHORT in said:
        raise RuntimeError("the JPEG frame is damaged")
    samples_text = unpacked.GetOutput().GetBuffer()  # GDCM gives bytes as text
    values: bytes = samples_text.encode("utf-8", "surrogateescape")
    if len(values) != rows * columns * samples * bits_allocated // 8:
        raise RuntimeError("the JPEG frame is damaged")
    return values


def _with_what_is_said(call: Callable[[], bool]) -> tuple[bool, bytes]:
    """Return what a function gives, and what C code within it writes to standard error."""
    with tempfile.TemporaryFile() as file:
        standard_error = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            result = call()
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
        file.seek(0)
        return result, file.read(_MOST_SAID_BYTES)
