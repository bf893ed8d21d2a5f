"""Decodes JPEG files to grey, also files with stray bytes or without the end marker.

libjpeg is used strictly, so that a truncated file never becomes a half-grey film. Files that it refuses are repaired if
their picture is complete: stray bytes between segments are removed, and stray bytes after a scan's data are accepted.
A file whose scans end too early is refused.

Source: ITU-T T.81 annex B (segments, fill bytes, restart intervals) and G (the scans of a progressive file).
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.film.codestream import MAX_JPEG_SEGMENTS
from hilum.film.headers import JpegHeader
from hilum.film.radiograph import grey_from_bgr, is_neutral, reduction_factor, refuse_colour

__all__ = ["jpeg_grey", "read_strictly", "tidied"]

_Result = TypeVar("_Result")
_START, _END = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN = 0xDA
_PROGRESSIVE = (0xC2, 0xCA)
_LOSSLESS, _ARITHMETIC = (0xC3, 0xCB), (0xC9, 0xCA, 0xCB)
_FRAME_HEADERS = (0xC0, 0xC1, 0xC2, *_LOSSLESS, 0xC9, 0xCA)
_MARKER = re.compile(rb"\xff[^\xff]", re.DOTALL)
_AFTER_SCAN = re.compile(rb"(?<!\xff)\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)  # a marker that is not a restart
_RESTART = re.compile(rb"(?<!\xff)\xff+[\xd0-\xd7]")
_TOO_MUCH = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker")
_JPEG_FACTOR = 8  # the largest factor by which libjpeg reduces a film
_UNMIRRORED = (1, 5)  # EXIF orientations that keep the upper left corner in place
_MORE = (b"\xaa" * 64, b"\x55" * 64)  # extra data; a truncated scan would read it
_LEFT_OUT = b"\0" * 64  # an arithmetic coder may leave out zeros at the end of a scan (T.81 D.1.8)
_MOST_TIDIED_BYTES = 64 * 1024 * 1024  # several copies are in memory


def read_strictly(data: bytes, read: Callable[[bytes, bool], _Result]) -> _Result:
    """Return the result of a reader of JPEG files, after `tidied` if the file is not valid as it is.

    Args:
        data: The file.
        read: The reader; takes the bytes and whether it is strict, in which case it raises ValueError for any fault.

    Raises:
        ValueError: The file is damaged or truncated.
    """
    try:
        return read(data, True)
    except HilumError:
        raise
    except ValueError:
        return read(*tidied(data))


def tidied(data: bytes) -> tuple[bytes, bool]:
    """Return a JPEG file without stray bytes and with an end marker.

    Args:
        data: A Huffman-coded file of DCT coefficients (SOF0 to SOF2) with its start marker.

    Returns:
        The file, and whether it can be read strictly; it cannot with stray bytes after a scan's data.

    Raises:
        ValueError: The file is damaged in another way, or its picture is not complete.
    """
    pieces = _pieces(data)
    whole = b"".join((_START, *pieces, _END))
    try:
        _picture(whole, strict=True)
    except ValueError as error:
        if _TOO_MUCH.match(str(error)) is None:
            raise
    else:
        return whole, True
    _check_whole(pieces, _MORE, _picture)
    return whole, False


def _check_whole(pieces: list[bytes], mores: Iterable[bytes], checksum: Callable[[bytes], int]) -> None:
    """Raise ValueError if extra data after the scans change the picture, which shows that a scan is truncated.

    Args:
        pieces: The file, from _pieces.
        mores: The extra data to try.
        checksum: Returns the checksum of a file's picture.
    """
    picture = checksum(b"".join((_START, *pieces, _END)))
    for more in mores:
        longer = [_with_more(piece, more) if i % 2 else piece for i, piece in enumerate(pieces)]
        if checksum(b"".join((_START, *longer, _END))) != picture:
            raise ValueError("a scan has too little data")


def _with_more(scan: bytes, more: bytes) -> bytes:
    """Return a scan's data with extra bytes after each restart interval, and with one extra interval."""
    restarts = _RESTART.findall(scan)
    next_restart = bytes((0xFF, 0xD0 + (restarts[-1][-1] + 1) % 8 if restarts else 0xD0))
    return _RESTART.sub(lambda restart: more + restart[0], scan) + more + next_restart + more


def _picture(data: bytes, *, strict: bool = False) -> int:
    """Return a checksum of the picture in all its colours."""
    _, _, colours, _ = simplejpeg.decode_jpeg_header(data)
    space = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colours, "BGR")
    return zlib.crc32(simplejpeg.decode_jpeg(data, space, strict=strict))


def _pieces(data: bytes) -> list[bytes]:
    """Return a file without stray bytes: the segments up to a scan, the scan's data, the segments up to the next, ...

    Raises:
        ValueError: A segment is truncated, scans are missing, or there are too many segments.
    """
    if len(data) > _MOST_TIDIED_BYTES:
        raise ValueError("too large to be looked through")
    pieces: list[bytes] = []
    segments: list[bytes] = []  # since the last scan
    position = len(_START)
    scans: list[bytes] = []
    frame: tuple[int, bytes] | None = None  # its marker and its body
    for _ in range(MAX_JPEG_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found.end() + 2 > len(data) or found[0] == _END:
            break
        position, marker = found.start(), data[found.start() + 1]
        if marker <= 0x01 or 0xD0 <= marker <= 0xD7:  # without a body, and out of place here
            position += 2
            continue
        end = position + 2 + int(struct.unpack_from(">H", data, position + 2)[0])
        if end > len(data) or marker == _START[1]:
            raise ValueError("a segment is cut short")
        body = data[position + 4 : end]
        segments.append(data[position:end])
        if marker in _FRAME_HEADERS:
            frame = marker, body
        if marker == _START_OF_SCAN:
            scans.append(body)
            behind = _AFTER_SCAN.search(data, end)
            start, end = end, behind.start() if behind else len(data.rstrip(b"\xff"))
            pieces += [b"".join(segments), data[start:end]]
            segments.clear()
        position = end
    else:
        raise ValueError("more segments than any film has")
    if frame is None or not _are_all_there(*frame, scans):
        raise ValueError("scans are missing")
    return [*pieces, b"".join(segments)]


def _are_all_there(frame_marker: int, frame: bytes, scans: list[bytes]) -> bool:
    """Return whether the scans contain all bits of all coefficients of all components."""
    components = set(frame[6 : 6 + 3 * frame[5] : 3]) if len(frame) > 5 else set()
    final = {(component, coefficient) for component in components for coefficient in range(64)}
    is_lossless = frame_marker in _LOSSLESS  # its scans have a predictor and a shift in these fields
    for scan in scans:
        num = scan[0] if scan else 0
        if len(scan) < 4 + 2 * num:
            return False
        first, last, approximation = scan[1 + 2 * num :][:3]
        if is_lossless or frame_marker not in _PROGRESSIVE:
            first, last, approximation = 0, 63, 0
        if approximation & 15 == 0:
            named = set(scan[1 : 1 + 2 * num : 2])
            final -= {(component, coefficient) for component in named for coefficient in range(first, last + 1)}
    return bool(components) and not final


def jpeg_grey(data: bytes, header: JpegHeader, name: str, min_side_px: int | None) -> NDArray[np.uint8]:
    """Return the luma of an 8-bit JPEG, (H, W) uint8, at reduced scale where ``min_side_px`` allows it, as in decode.

    Raises:
        UnsupportedFilm: The picture is in colour.
        ValueError, OSError: The file is damaged or truncated.
    """
    if not header.is_plain:
        return _rare_jpeg_grey(data, header, name)
    return read_strictly(data, lambda whole, strict: _plain_jpeg_grey(whole, header, name, min_side_px, strict=strict))


def _rare_jpeg_grey(data: bytes, header: JpegHeader, name: str) -> NDArray[np.uint8]:
    """Return the luma of a lossless or arithmetic-coded JPEG, (H, W) uint8, in full size; in a decoder process only.

    simplejpeg overruns its memory with such files at reduced scale. Pillow does not, but accepts truncated scans, so
    these are checked here.
    """
    pieces = _pieces(data)
    left_out = _LEFT_OUT if header.process in _ARITHMETIC else b""
    _check_whole(pieces, [left_out + more for more in _MORE], lambda whole: zlib.crc32(_by_pillow(whole, header).data))
    pixels = _by_pillow(b"".join((_START, *pieces, _END)), header)
    if header.num_components == 1:
        return pixels
    bgr = _bgr_from_cmyk(pixels, inverted=False) if pixels.shape[2] == 4 else np.ascontiguousarray(pixels[..., ::-1])
    return grey_from_bgr(bgr, name)


def _by_pillow(data: bytes, header: JpegHeader) -> NDArray[np.uint8]:
    from PIL import Image  # importing it takes time, and such files are rare

    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        if (picture.height, picture.width) != header.size_px:
            raise ValueError("two sizes")
        return np.ascontiguousarray(picture)


def _plain_jpeg_grey(
    data: bytes, header: JpegHeader, name: str, min_side_px: int | None, *, strict: bool
) -> NDArray[np.uint8]:
    """Return the luma of a JPEG, (H, W) uint8, at reduced scale where allowed.

    libjpeg's means of blocks equal those of `reduced`, except for CMYK and for mirrored or turned films with incomplete
    blocks; these are decoded in full size.

    Colour must be checked, too. A reduced picture is decoded in colour at once: nearly always its channels are equal.
    In full size, colour takes longer than grey, so it is checked in a second pass at one eighth. A progressive picture
    takes nearly all its time for a pass at any size, so one in colour comes first.
    """
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    if (height, width) != header.size_px:
        raise ValueError("two sizes")
    factor = min(reduction_factor(header.size_px, min_side_px), _JPEG_FACTOR) if min_side_px else 1
    if header.orientation not in _UNMIRRORED and any(side % factor for side in header.size_px):
        factor = 1
    height, width = (-(-side // factor) for side in header.size_px)
    least_px = {"min_height": height, "min_width": width} if factor > 1 else {}
    scale: dict[str, Any] = {"strict": strict} | least_px
    if header.num_components == 4:
        cmyk = simplejpeg.decode_jpeg(data, "CMYK", strict=strict)
        return grey_from_bgr(_bgr_from_cmyk(cmyk, inverted=header.adobe), name)
    if header.num_components == 3:
        if factor > 1 or header.process in _PROGRESSIVE:
            bgr = simplejpeg.decode_jpeg(data, "BGR", **scale)
            if is_neutral(bgr):
                return np.asarray(cv2.extractChannel(bgr, 0), np.uint8)
        if factor == 1:
            bgr = simplejpeg.decode_jpeg(data, "BGR", strict=strict, min_height=1, min_width=1, min_factor=8)
        refuse_colour(bgr, name)
    grey: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "GRAY", **scale)[..., 0]
    return grey


def _bgr_from_cmyk(cmyk: NDArray[np.uint8], *, inverted: bool) -> NDArray[Any]:
    """Return (H, W, 3) uint8 from CMYK (H, W, 4); ``inverted`` samples count light, not ink."""
    light = cmyk if inverted else np.uint8(255) - cmyk
    return cv2.merge([cv2.multiply(light[..., channel], light[..., 3], scale=1 / 255) for channel in (2, 1, 0)])
