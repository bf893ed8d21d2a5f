"""A process of its own that unpacks one JPEG frame with GDCM: lossless JPEG and 12-bit JPEG, which nothing else reads.

GDCM ends the whole process when a frame is damaged (an uncaught C++ exception); here that costs one film, not a server.
Run as ``python gdcm_worker.py SYNTAX ROWS COLUMNS SAMPLES BITS_ALLOCATED BITS_STORED SIGNED INTERPRETATION``: the frame
comes on standard input, the samples go to standard output, interleaved by pixel, little-endian.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["unpack_frame"]

_MAX_SECONDS = 120


def unpack_frame(frame: bytes, syntax: str, *layout: int, photometric_interpretation: str) -> bytes:
    """Return the samples of one compressed frame, unpacked in a process of its own.

    Args:
        frame: One JPEG codestream.
        syntax: Its transfer syntax UID.
        layout: Rows, columns, samples a pixel, bits allocated, bits stored, and 1 where signed.
        photometric_interpretation: As the file states it.

    Returns:
        Rows x columns x samples little-endian integers of the bits allocated.

    Raises:
        RuntimeError: When the frame cannot be unpacked.
    """
    command = [sys.executable, str(Path(__file__)), syntax, *map(str, layout), photometric_interpretation]
    try:
        finished = subprocess.run(command, input=frame, capture_output=True, check=False, timeout=_MAX_SECONDS)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise RuntimeError("the process that unpacks JPEG frames did not answer") from error
    rows, columns, samples, bits_allocated, *_ = layout
    if finished.returncode or len(finished.stdout) != rows * columns * samples * bits_allocated // 8:
        raise RuntimeError("the JPEG frame is damaged")
    return finished.stdout


def _main(arguments: list[str]) -> None:
    import gdcm

    syntax, *numbers, interpretation = arguments
    rows, columns, samples, bits_allocated, bits_stored, signed = map(int, numbers)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(sys.stdin.buffer.read())
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(interpretation)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(samples, bits_allocated, bits_stored, bits_stored - 1, signed))
    unpacked = gdcm.ImageChangeTransferSyntax()  # GetBuffer alone gives chance memory where a frame is damaged
    unpacked.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    unpacked.SetInput(image)
    if not unpacked.Change():
        sys.exit(1)
    samples_text = unpacked.GetOutput().GetBuffer()  # GDCM gives bytes as text
    sys.stdout.buffer.write(samples_text.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    sys.path.pop(0)  # this file's folder: its modules must not shadow anyone's
    _main(sys.argv[1:])
