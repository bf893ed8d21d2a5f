"""Unpacks the samples of a DICOM film from its Pixel Data, for all supported transfer syntaxes.

Compressed pictures that are truncated or contradict the DICOM file are refused before they are decoded. Decoders return
words; samples.py extracts the samples.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import gdcm
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from hilum.errors import UndecodableFilm
from hilum.film.codestream import read_frame
from hilum.film.headers import check_scans
from hilum.film.jpeg import read_strictly
from hilum.film.rle import unpack_rle
from hilum.film.samples import SampleLayout, samples_of

__all__ = ["TRANSFER_SYNTAXES", "unpack_frame", "unpack_samples"]

# --- GDCM: lossless and 12-bit JPEG. A damaged frame ends the process, so only decoder processes (pool.py) use it.

_CUT_SHORT = b"premature end of data"  # libjpeg in GDCM writes this to standard error and fills the rest with grey
_MOST_SAID_BYTES = 1024 * 1024


def unpack_frame(frame: bytes, syntax: str, *layout: int, photometric_interpretation: str) -> bytes:
    """Return the samples of one compressed frame.

    Args:
        frame: One JPEG codestream.
        syntax: Its transfer syntax UID.
        layout: Rows, columns, samples per pixel, bits allocated, bits stored, and 1 if signed, else 0.
        photometric_interpretation: As the file states it.

    Returns:
        Rows x columns x samples little-endian integers of the bits allocated, interleaved by pixel.

    Raises:
        RuntimeError: The frame cannot be unpacked.
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
    unpacked = gdcm.ImageChangeTransferSyntax()  # GetBuffer alone returns uninitialised memory for a damaged frame
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
    """Return the result of a function, and what its C code writes to standard error."""
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


# --- all transfer syntaxes

_SEND_AGAIN = "Send or export it again from where it came from."
_PROGRESSIVE_JPEG = (UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55"))  # retired; read if 8-bit grey
_EIGHT_BIT_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, *_PROGRESSIVE_JPEG)
_FOR_GDCM = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_PLUGINS = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
}
_HIGH_THROUGHPUT = (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)  # read, but not requested from archives
_MAY_BE_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K, *_PROGRESSIVE_JPEG)
_CORRECTIONS = ("correct_unused_bits", "apply_jls_sign_correction", "apply_j2k_sign_correction")
TRANSFER_SYNTAXES: tuple[UID, ...] = (  # those that hilum reads and requests from archives, uncompressed first
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    *dict.fromkeys((*_PLUGINS, *_FOR_GDCM, RLELossless)),
)
_COMPRESSED = (*TRANSFER_SYNTAXES, *_PROGRESSIVE_JPEG, *_HIGH_THROUGHPUT)  # a frame of any other is not touched


def unpack_samples(
    picture: bytes, syntax: UID, layout: SampleLayout, name: str, *, representation: str = ""
) -> tuple[NDArray[Any], str]:
    """Return the samples of a picture, and their photometric interpretation after decoding.

    Args:
        picture: The value of Pixel Data, compressed or not.
        syntax: Its transfer syntax.
        layout: The sample layout that the file states.
        name: The film's name, for messages.
        representation: The value representation of Pixel Data, for bytes in big-endian files.

    Returns:
        (H, W), or (H, W, 3), of uint8, uint16 or int16; colours as stored, except for JPEG 2000.

    Raises:
        UndecodableFilm: The picture is truncated or contradicts the file.
        RuntimeError, NotImplementedError, ValueError: The picture cannot be unpacked.
    """
    if not syntax.is_encapsulated:
        _refuse_truncated(picture, layout, name)
        words, interpretation = _words(picture, syntax, layout, pixel_vr=representation or "OW")
        return samples_of(words, layout), interpretation
    if syntax not in _COMPRESSED:
        raise NotImplementedError("the transfer syntax is not one that hilum reads")
    frame = next(generate_frames(picture, number_of_frames=1))
    interpretation = layout.interpretation
    if syntax == RLELossless:
        words = unpack_rle(frame, (layout.rows, layout.columns), layout.samples, layout.bits_allocated)
        return samples_of(words, layout), interpretation
    bits = _checked_bits(frame, layout, name)
    if syntax in _EIGHT_BIT_JPEG and bits == 8:
        words = _grey_of_jpeg(frame, name)
        if layout.samples == 3:  # the file is complete; pydicom finds the colours
            words, interpretation = _words(picture, syntax, layout)
    else:
        _refuse_without_end(frame, name)
        if syntax in _FOR_GDCM:
            words = _words_by_gdcm(frame, syntax, layout, bits)
        else:
            words, interpretation = _words(picture, syntax, layout)
    return samples_of(words, layout, word_bits=bits, lossy=syntax in _MAY_BE_LOSSY), interpretation


def _refuse_truncated(picture: bytes, layout: SampleLayout, name: str) -> None:
    """Raise UndecodableFilm for an uncompressed picture of fewer bytes than the file states."""
    samples = 2 if layout.interpretation == "YBR_FULL_422" else layout.samples
    needed = layout.rows * layout.columns * samples * layout.bits_allocated // 8
    if len(picture) < needed:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture is truncated. It has {len(picture):,} bytes; expected"
            f" {needed:,}.",
            fix=_SEND_AGAIN,
        )


def _grey_of_jpeg(frame: bytes, name: str) -> NDArray[np.uint8]:
    try:
        grey = read_strictly(frame, lambda whole, strict: simplejpeg.decode_jpeg(whole, "GRAY", strict=strict))
    except ValueError as error:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture is a truncated or damaged JPEG.", fix=_SEND_AGAIN
        ) from error
    return np.asarray(grey)[..., 0]


def _words(picture: bytes, syntax: UID, layout: SampleLayout, *, pixel_vr: str = "OB") -> tuple[NDArray[Any], str]:
    """Return the words of a picture from pydicom's decoder, uncorrected, and their photometric interpretation."""
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.interpretation,
        "planar_configuration": layout.planar,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": 0,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
        "pixel_vr": pixel_vr,
    }
    options |= dict.fromkeys(_CORRECTIONS, False)
    plugin = _PLUGINS.get(syntax, "")
    words, found = get_decoder(syntax).as_array(picture, raw=True, decoding_plugin=plugin, **options)
    return words, str(found["photometric_interpretation"])


def _words_by_gdcm(frame: bytes, syntax: UID, layout: SampleLayout, bits: int) -> NDArray[Any]:
    shape, allocated = (layout.rows, layout.columns), 8 if bits <= 8 else 16
    sizes = (*shape, layout.samples, allocated, bits, 0)
    words = unpack_frame(frame, str(syntax), *sizes, photometric_interpretation=layout.interpretation)
    return np.frombuffer(words, f"<u{allocated // 8}").reshape(shape if layout.samples == 1 else (*shape, 3))


def _refuse_without_end(frame: bytes, name: str) -> None:
    """Raise UndecodableFilm for a JPEG or JPEG-LS without its end marker, which decoders would accept."""
    last_scan = max(frame.rfind(b"\xff\xda"), 0)
    if frame.startswith(b"\xff\xd8") and b"\xff\xd9" not in frame[last_scan:]:
        raise UndecodableFilm(f"Cannot read the film `{name}`: its picture is truncated.", fix=_SEND_AGAIN)


def _checked_bits(frame: bytes, layout: SampleLayout, name: str) -> int:
    """Return the bits of a codestream's samples; raise UndecodableFilm if it contradicts the file."""
    said = read_frame(frame)
    if said is None:
        raise UndecodableFilm(f"Cannot read the film `{name}`: its picture is damaged.", fix=_SEND_AGAIN)
    if said.size_px != (layout.rows, layout.columns):
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture does not have the stated size.", fix=_SEND_AGAIN
        )
    if said.num_components != layout.samples or said.bit_depth > layout.bits_allocated:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture has {said.num_components} channels of {said.bit_depth} bits;"
            f" the file states {layout.samples} of {layout.bits_stored}.",
            fix=_SEND_AGAIN,
        )
    check_scans(frame, name)
    return said.bit_depth
