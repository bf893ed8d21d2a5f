"""Unpacks RLE Lossless, up to the size of the picture only, since 16 MB can become a gigabyte.

Source: DICOM PS3.5 annex G.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["unpack_rle"]

_STEPS = 1024  # runs between two checks of the length; a run has at most 128 bytes


def unpack_rle(frame: bytes, size_px: tuple[int, int], num_samples: int, bits_allocated: int) -> NDArray[Any]:
    """Return the stored values of one frame.

    Args:
        frame: The frame with its header.
        size_px: (height, width).
        num_samples: Samples per pixel.
        bits_allocated: 8 or 16.

    Returns:
        (H, W), or (H, W, samples), unsigned integers of the bits allocated.

    Raises:
        ValueError: The frame has another number of segments, or a segment is too short.
    """
    num_bytes = bits_allocated // 8
    (num_segments,) = struct.unpack_from("<I", frame)
    if num_segments != num_samples * num_bytes or len(frame) < 64:
        raise ValueError("the RLE frame has another number of segments than the picture needs")
    starts = [*struct.unpack_from(f"<{num_segments}I", frame, 4), len(frame)]
    height, width = size_px
    values = np.empty((num_samples, height * width, num_bytes), np.uint8)
    for number in range(num_segments):  # the highest byte of all pixels first
        segment = _unpack_segment(frame[starts[number] : starts[number + 1]], height * width)
        values[number // num_bytes, :, num_bytes - 1 - number % num_bytes] = np.frombuffer(
            segment, np.uint8, height * width
        )
    planes = values.reshape(num_samples, -1).view(f"<u{num_bytes}").reshape(num_samples, height, width)
    return planes[0] if num_samples == 1 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _unpack_segment(segment: bytes, num_bytes: int) -> bytearray:
    unpacked, position, last = bytearray(), 0, len(segment) - 1
    extend = unpacked.extend
    while len(unpacked) < num_bytes and position < last:
        for _ in range(_STEPS):
            if position >= last:
                break
            control = segment[position]
            if control < 128:
                end = position + 2 + control
                extend(segment[position + 1 : end])
                position = end
            else:
                if control > 128:
                    extend(segment[position + 1 : position + 2] * (257 - control))
                position += 2 if control > 128 else 1
    if len(unpacked) < num_bytes:
        raise ValueError("an RLE segment is too short")
    return unpacked
