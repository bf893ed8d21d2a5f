"""Reads the headers of JPEG, JPEG-LS and JPEG 2000 codestreams, alone or inside a DICOM file.

A decoder allocates what the codestream asks for, whatever the DICOM file states. So the markers of the codestream are
read here first, in pure Python and in time linear in the length of the file.

Source: ITU-T T.81 annex B (JPEG), T.87 annex C (JPEG-LS), T.800 annexes A and I (JPEG 2000, JP2).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MAX_JPEG_SEGMENTS", "Frame", "jpeg_segments", "max_jpeg_scans", "num_jpeg_scans", "read_frame"]

MAX_JPEG_SEGMENTS = 100_000  # before the picture; a file has about twenty, one with large profiles some hundreds
_MAX_JPEG_SCANS = 100  # a progressive file has about ten; each scan costs a pass over the whole picture
_MAX_SCANNED_PIXELS = 2_500_000_000  # of all scans together: 100 of the largest radiograph, 25 of the largest picture
_MAX_BOXES = 10_000
_MARKER = re.compile(rb"\xff[^\xff]", re.DOTALL)  # behind any number of fill bytes
_AFTER_ENTROPY_CODED = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # a marker; in coded data a byte 0xff is escaped
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_START_OF_SCAN = b"\xff\xda"


@dataclass(frozen=True)
class Frame:
    """Size and samples that a codestream states.

    Attributes:
        size_px: (height, width).
        num_components: 1 for grey; JPEG 2000 allows 16,384.
        bit_depth: Bits of one sample, of the deepest component.
        process: The last byte of JPEG's frame marker, 0xC0 for baseline; None for JPEG 2000.
        end: Where JPEG's frame header ends.
    """

    size_px: tuple[int, int]
    num_components: int
    bit_depth: int
    process: int | None = None
    end: int = 0


def read_frame(codestream: bytes) -> Frame | None:
    """Return the frame of a JPEG, JPEG-LS or JPEG 2000 codestream, or of a JP2 file.

    Returns:
        None for other data, truncated or damaged ones, and components of several sizes.
    """
    if codestream[:2] == b"\xff\xd8":
        for marker, start, end in jpeg_segments(codestream):
            if _is_frame_header(marker) and end - start >= 6:
                bit_depth, height, width, num_components = struct.unpack_from(">BHHB", codestream, start)
                return Frame((height, width), num_components, bit_depth, marker, end)
        return None
    return _jpeg_2000_frame(codestream)


def _jpeg_2000_frame(codestream: bytes) -> Frame | None:
    start = _jpeg_2000_start(codestream)
    if start is None or codestream[start : start + 4] != b"\xff\x4f\xff\x51" or start + 42 > len(codestream):
        return None
    length, _, right, bottom, left, top = struct.unpack_from(">HHIIII", codestream, start + 4)
    num_components = struct.unpack_from(">H", codestream, start + 40)[0]
    components = codestream[start + 42 : start + 42 + 3 * num_components]
    if length != 38 + 3 * num_components or len(components) != 3 * num_components or not num_components:
        return None
    if any(step != 1 for step in components[1::3] + components[2::3]):
        return None
    return Frame((bottom - top, right - left), num_components, max(depth & 0x7F for depth in components[::3]) + 1)


def jpeg_segments(data: bytes, position: int = 2) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start of body, end of body) of a JPEG's segments from position up to the first scan or the end.

    At most MAX_JPEG_SEGMENTS markers are read.
    """
    for _ in range(MAX_JPEG_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found.end() + 2 > len(data):
            return
        marker, position = data[found.end() - 1], found.end()
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # no body
            continue
        if marker in (0xD9, 0xDA):  # end of image, start of scan
            return
        end = position + struct.unpack_from(">H", data, position)[0]
        if end > len(data) or end < position + 2:
            return
        yield marker, position + 2, end
        position = end


def num_jpeg_scans(data: bytes, frame: Frame) -> int:
    """Return the number of scans of a JPEG, at most one more than max_jpeg_scans allows.

    A picture that is not progressive and has all components in its first scan has one scan. Else the start-of-scan
    bytes are counted. If they are too many, the segments are walked, since the bytes also occur in thumbnails and
    colour profiles.
    """
    if frame.process not in _PROGRESSIVE and _first_scan_components(data, frame) == frame.num_components:
        return 1
    most = max_jpeg_scans(frame)
    if (count := data.count(_START_OF_SCAN)) <= most:
        return count
    count, position = 0, frame.end
    for _ in range(MAX_JPEG_SEGMENTS):
        found = _AFTER_ENTROPY_CODED.search(data, position)
        if count > most or found is None or data[found.start() + 1] == 0xD9:
            return count
        position, marker = found.start(), data[found.start() + 1]
        count += marker == 0xDA
        length = struct.unpack_from(">H", data, position + 2)[0] if position + 4 <= len(data) else 0
        position += 2 + (length if marker not in (0x01, 0xD8) else 0)
    return most + 1


def _first_scan_components(data: bytes, frame: Frame) -> int:
    """Return the number of components in the first scan of a JPEG; 0 without a scan."""
    end = frame.end
    for _, _, end in jpeg_segments(data, frame.end):  # noqa: B007
        pass
    start = data.find(_START_OF_SCAN, end)
    return data[start + 4] if start == end and start + 4 < len(data) else 0


def max_jpeg_scans(frame: Frame) -> int:
    """Return the allowed number of scans: 100, or fewer for pictures larger than any radiograph."""
    height, width = frame.size_px
    return max(1, min(_MAX_JPEG_SCANS, _MAX_SCANNED_PIXELS // max(1, height * width)))


def _jpeg_2000_start(data: bytes) -> int | None:
    """Return where the codestream starts: at 0, or in a box of a JP2 file."""
    if data[:2] == b"\xff\x4f":
        return 0
    position = 0
    for _ in range(_MAX_BOXES):
        if position + 8 > len(data):
            return None
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == 1 and position + 16 <= len(data):
            length, start = struct.unpack_from(">Q", data, start)[0], position + 16
        end = len(data) if length == 0 else position + length
        if kind == b"jp2c":
            return start
        if end < start or (kind == b"jp2h" and b"pclr" in data[start:end]):  # a palette makes components of one
            return None
        position = end
    return None


def _is_frame_header(marker: int) -> bool:
    return marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))
