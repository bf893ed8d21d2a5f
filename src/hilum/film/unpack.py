"""The samples of a DICOM film out of its Pixel Data, whatever its transfer syntax.

Compressed pictures that contradict the file around them or end too early are refused before a decoder is asked: it
unpacks what they say, and not what the file says. What comes out are whole words; samples.py takes the samples out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
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
from hilum.film.gdcm_frame import unpack_frame
from hilum.film.headers import check_scans
from hilum.film.jpeg import read_strictly
from hilum.film.rle import unpack_rle
from hilum.film.samples import SampleLayout, samples_of

__all__ = ["TRANSFER_SYNTAXES", "unpack_samples"]

_SEND_AGAIN = "Send or export it again from where it came from."

_PROGRESSIVE_JPEG = (UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55"))  # retired: read where 8 bits grey
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
_MAY_BE_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, *_PROGRESSIVE_JPEG)
_CORRECTIONS = ("correct_unused_bits", "apply_jls_sign_correction", "apply_j2k_sign_correction")
TRANSFER_SYNTAXES: tuple[UID, ...] = (  # those hilum reads, and asks others for, the plainest first
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    *dict.fromkeys((*_PLUGINS, *_FOR_GDCM, RLELossless)),
)


def unpack_samples(
    picture: bytes, syntax: UID, layout: SampleLayout, name: str, *, representation: str = ""
) -> tuple[NDArray[Any], str]:
    """Return the samples of a picture, and the photometric interpretation that they have now.

    Args:
        picture: The value of Pixel Data, compressed or not.
        syntax: Its transfer syntax.
        layout: What the file says of its samples.
        name: The film's name, for messages.
        representation: The value representation of Pixel Data; it matters for bytes in big-endian files.

    Returns:
        (H, W), or (H, W, 3), of uint8, uint16 or int16; colours are as they were stored, but for JPEG 2000.

    Raises:
        UndecodableFilm: When the picture contradicts the file around it or is cut short.
        RuntimeError, NotImplementedError: When it cannot be unpacked.
    """
    if not syntax.is_encapsulated:
        words, interpretation = _words(picture, syntax, layout, pixel_vr=representation or "OW")
        return samples_of(words, layout), interpretation
    frame = next(generate_frames(picture, number_of_frames=1))
    interpretation = layout.interpretation
    if syntax == RLELossless:
        words = unpack_rle(frame, (layout.rows, layout.columns), layout.samples, layout.bits_allocated)
        return samples_of(words, layout), interpretation
    is_known = syntax in TRANSFER_SYNTAXES or syntax in _PROGRESSIVE_JPEG
    bits = _checked_bits(frame, layout, name) if is_known else None
    if syntax in _EIGHT_BIT_JPEG and bits == 8:
        words = _grey_of_jpeg(frame, name)
        if layout.samples == 3:  # it is whole; pydicom says which colours they are
            words, interpretation = _words(picture, syntax, layout)
    else:
        _refuse_without_end(frame, name)
        if syntax in _FOR_GDCM:
            words = _words_by_gdcm(frame, syntax, layout, bits or layout.bits_stored)
        else:
            words, interpretation = _words(picture, syntax, layout)
    return samples_of(words, layout, word_bits=bits, lossy=syntax in _MAY_BE_LOSSY), interpretation


def _grey_of_jpeg(frame: bytes, name: str) -> NDArray[np.uint8]:
    try:
        grey = read_strictly(frame, lambda whole, strict: simplejpeg.decode_jpeg(whole, "GRAY", strict=strict))
    except ValueError as error:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture is a JPEG cut short or damaged.", fix=_SEND_AGAIN
        ) from error
    return np.asarray(grey)[..., 0]


def _words(picture: bytes, syntax: UID, layout: SampleLayout, *, pixel_vr: str = "OB") -> tuple[NDArray[Any], str]:
    """Return the words of a picture by pydicom's decoder, which corrects none of their bits, and what they show."""
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
    """Refuse a JPEG, lossless or not, or JPEG-LS without its last mark, which no scan's data hold; decoders do not."""
    last_scan = max(frame.rfind(b"\xff\xda"), 0)
    if frame.startswith(b"\xff\xd8") and b"\xff\xd9" not in frame[last_scan:]:
        raise UndecodableFilm(f"Cannot read the film `{name}`: its picture is cut short.", fix=_SEND_AGAIN)


def _checked_bits(frame: bytes, layout: SampleLayout, name: str) -> int:
    """Return the bits of a codestream's samples; refuse one that is not what the file states."""
    said = read_frame(frame)
    if said is None:
        raise UndecodableFilm(f"Cannot read the film `{name}`: its picture is damaged.", fix=_SEND_AGAIN)
    if said.size_px != (layout.rows, layout.columns):
        raise UndecodableFilm(f"Cannot read the film `{name}`: its picture is not of the size stated.", fix=_SEND_AGAIN)
    if said.num_components != layout.samples or said.bit_depth > layout.bits_allocated:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: its picture has {said.num_components} channels of {said.bit_depth} bits;"
            f" the file states {layout.samples} of {layout.bits_stored}.",
            fix=_SEND_AGAIN,
        )
    check_scans(frame, name)
    return said.bit_depth
