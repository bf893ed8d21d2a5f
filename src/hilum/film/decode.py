"""Decodes the bytes of a file into a Radiograph: PNG, JPEG or DICOM, recognised by content, not by the file's name.

JPEG is decoded by simplejpeg (libjpeg-turbo), at reduced scale where the caller allows it; PNG by OpenCV (libpng). Both
refuse truncated data and release Python's lock. Size bombs, checksums and animation are checked before; EXIF
orientation, transparency and colour are handled after.

Only PNG and JPEG from a trusted sender are decoded in this process. DICOM, lossless and arithmetic-coded JPEG, and all
files from untrusted senders are decoded in a separate process: pool.py.
"""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.errors import UndecodableFilm, UnsupportedFilm
from hilum.film.foreign import foreign_kind
from hilum.film.headers import (
    JPEG_MAGIC,
    MAX_BYTES,
    MAX_PIXELS,
    PNG_MAGIC,
    is_dicom,
    read_jpeg_header,
    read_png,
)
from hilum.film.jpeg import jpeg_grey
from hilum.film.pool import decode_apart
from hilum.film.radiograph import Radiograph, grey_from_bgr, range_of_film, reduced
from hilum.text import printable
from hilum.timings import Part, in_part

__all__ = [
    "DECODER_VERSION",
    "MAX_BYTES",
    "MAX_PIXELS",
    "decode",
    "decode_here",
    "read_bytes",
    "read_film",
    "to_unit",
]

DECODER_VERSION: int = 3  # increased when the pixels of any film may change; stored in model files

_UNIT_FROM_BYTE = np.arange(256, dtype=np.float32) / np.float32(255)
_SEND_AGAIN = "Copy or export it again from where it came from."
_EXPORT_AGAIN = "Export the film as DICOM, PNG or JPEG."
_JPEG_KINDS = {
    **dict.fromkeys((0xC0, 0xC1, 0xC2), "JPEG"),
    0xC3: "lossless JPEG",
    **dict.fromkeys((0xC9, 0xCA), "arithmetic-coded JPEG"),
    0xCB: "lossless, arithmetic-coded JPEG",
    0xF7: "JPEG-LS picture outside DICOM",
}
_READABLE_JPEG = (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA)


def decode(data: bytes, *, name: str = "film", min_side_px: int | None = None, apart: bool = False) -> Radiograph:
    """Return the film in a file's bytes.

    Ordinary JPEG and PNG are decoded in this process, all other kinds in a separate process: see hilum.film.pool.

    Args:
        data: The whole file.
        name: The film's name for messages, best its path.
        min_side_px: The side that the caller needs, in pixels. A large JPEG is then decoded at 1/2, 1/4 or 1/8 of its
            size, several times faster; both sides stay at least this long. None: full size.
        apart: Whether the sender is not trusted; then JPEG and PNG are decoded in a separate process, too.

    Returns:
        The film, pixels (H, W) float32 in [0, 1], bone bright if the file states its polarity correctly.

    Raises:
        UndecodableFilm: The bytes are not a picture, truncated, damaged, or larger than any film.
        UnsupportedFilm: The picture has another format, is in colour or a series, or is a DICOM file of another
            modality or body part.

    Example:
        >>> decode(b"no picture", name="notes.png")
        Traceback (most recent call last):
        hilum.errors.UndecodableFilm: Cannot read the film `notes.png`: ...
    """
    if not data:
        raise UndecodableFilm(f"Cannot read the film `{name}`: the file is empty.", fix=_SEND_AGAIN)
    if len(data) > MAX_BYTES:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it is larger than {MAX_BYTES // 2**20} MB.", fix=_EXPORT_AGAIN
        )
    kind = _kind(data, name)
    if apart or kind == "dicom" or (kind == "jpeg" and not read_jpeg_header(data, name).is_plain):
        return decode_apart(data, name=name, min_side_px=min_side_px)
    return decode_here(data, name=name, min_side_px=min_side_px)


def decode_here(data: bytes, *, name: str, min_side_px: int | None = None) -> Radiograph:
    """Return the film in a file's bytes, decoded in this process; arguments and errors as in `decode`."""
    kind = _kind(data, name)
    if kind == "png":
        return _decode_png(data, name)
    if kind == "jpeg":
        return _decode_jpeg(data, name, min_side_px)
    from hilum.film.dicom import decode_dicom  # importing pydicom takes time

    return decode_dicom(data, name=name)


def _kind(data: bytes, name: str) -> str:
    """Return ``png``, ``jpeg`` or ``dicom``; raise an error that names any other kind."""
    for kind, magic in (("png", PNG_MAGIC), ("jpeg", JPEG_MAGIC)):
        if data.startswith(magic):
            return kind
    if is_dicom(data):
        return "dicom"
    if foreign := foreign_kind(data):
        what, fix = foreign
        raise UnsupportedFilm(f"Cannot read the film `{name}`: it is {what}; expected DICOM, PNG or JPEG.", fix=fix)
    found = "plain text" if data[:512].isascii() and b"\0" not in data[:512] else "not a known kind of picture"
    raise UndecodableFilm(
        f"Cannot read the film `{name}`: its content is {found}; expected DICOM, PNG or JPEG.", fix=_EXPORT_AGAIN
    )


def read_film(path: Path, *, min_side_px: int | None = None) -> Radiograph:
    """Return the film in a file; ``min_side_px`` as in `decode`.

    Raises:
        UndecodableFilm: The file does not exist, cannot be read, or cannot be decoded.
        UnsupportedFilm: As in decode.
    """
    return decode(read_bytes(path), name=printable(str(path)), min_side_px=min_side_px)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a film's file, at most one more than MAX_BYTES.

    Raises:
        UndecodableFilm: The file does not exist or cannot be read.
    """
    name = printable(str(path))
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):  # reading a pipe could block forever
            raise OSError(errno.EINVAL, "it is not a regular file")
        with in_part(Part.disk), path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UndecodableFilm(f"Cannot read the film `{name}`: it does not exist.", fix="Check the path.") from error
    except IsADirectoryError as error:
        raise UndecodableFilm(f"Cannot read the film `{name}`: it is a folder.", fix="Give a file.") from error
    except PermissionError as error:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: this user may not read it.", fix="Change the file's permissions."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: {reason}.", fix="Check the path and the disk."
        ) from error


def _decode_png(data: bytes, name: str) -> Radiograph:
    header, clean = read_png(data, name)
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(clean, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UndecodableFilm(f"Cannot read the film `{name}`: it is a truncated or damaged PNG file.", fix=_SEND_AGAIN)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _on_black(pixels)
    grey = pixels if pixels.ndim == 2 else grey_from_bgr(pixels, name)
    if header.transparent_grey is not None and pixels.ndim == 2:  # OpenCV leaves it as it is
        grey[grey == header.transparent_grey * (255 // (2**header.bit_depth - 1) or 1)] = 0
    return Radiograph(_upright(to_unit(grey), header.orientation), "png", header.size_px, header.bit_depth)


def _decode_jpeg(data: bytes, name: str, min_side_px: int | None) -> Radiograph:
    header = read_jpeg_header(data, name)
    kind = _JPEG_KINDS.get(header.process, "hierarchical JPEG")
    if header.bit_depth != 8:
        raise UnsupportedFilm(
            f"Cannot read the film `{name}`: it is a {kind} of {header.bit_depth} bits; expected 8.", fix=_EXPORT_AGAIN
        )
    if header.num_components not in (1, 3, 4) or header.process not in _READABLE_JPEG:
        said = f"{kind} of {header.num_components} channels" if header.process in _READABLE_JPEG else kind
        raise UnsupportedFilm(f"Cannot read the film `{name}`: it is a {said}.", fix=_EXPORT_AGAIN)
    try:
        grey = jpeg_grey(data, header, name, min_side_px)
    except UnsupportedFilm:
        raise
    except (ValueError, RuntimeError, OverflowError, OSError, SyntaxError) as error:
        raise UndecodableFilm(
            f"Cannot read the film `{name}`: it is a truncated or damaged {kind} file.", fix=_SEND_AGAIN
        ) from error
    pixels = _upright(to_unit(grey), header.orientation)
    if min_side_px:
        pixels = reduced(pixels, min_side_px)  # for kinds and factors that libjpeg cannot reduce
    return Radiograph(pixels, "jpeg", header.size_px, header.bit_depth)


def _on_black(bgra: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W, 3) from (H, W, 4), blended with black by its transparency, in its own dtype.

    An alpha channel of one value says nothing: programs that do not know it leave it at 0.
    """
    *channels, alpha = cv2.split(bgra)
    full_scale = float(np.iinfo(bgra.dtype).max)
    if alpha.min() < alpha.max():
        channels = [cv2.multiply(channel, alpha, scale=1 / full_scale) for channel in channels]
    return cv2.merge(channels)


def to_unit(grey: NDArray[Any]) -> NDArray[np.float32]:
    """Return uint8 or uint16 as float32 in [0, 1]; 16-bit values are divided by the range of the bits in use.

    Marks of 16 bits on a film of fewer bits are white.
    """
    if grey.dtype == np.uint8:
        return np.asarray(cv2.LUT(grey, _UNIT_FROM_BYTE), np.float32)  # five times as fast as dividing
    counts = cv2.calcHist([grey], [0], None, [2**16], [0, 2**16])
    bits_used = max(8, int(range_of_film(np.flatnonzero(counts))[1]).bit_length())
    unit = grey.astype(np.float32)
    unit /= np.float32(2**bits_used - 1)
    return np.minimum(unit, np.float32(1), out=unit)


def _upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Return the picture turned and mirrored by EXIF orientation 1 to 8."""
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
