"""RLE frames come back as pydicom packed them, and never grow beyond the picture."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from hilum.film.rle import unpack_rle


def packed(pixels: np.ndarray) -> bytes:
    """Return one frame as pydicom packs it."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit, made.PixelRepresentation, made.PlanarConfiguration = made.BitsStored - 1, 0, 0
    made.compress(RLELossless, pixels, generate_instance_uid=False)
    return next(generate_frames(made.PixelData, number_of_frames=1))


@pytest.mark.parametrize("shape", [(30, 41), (30, 41, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_come_back_as_they_were_packed(shape: tuple[int, ...], dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 2 ** (8 * np.dtype(dtype).itemsize), shape).astype(dtype)
    pixels[5:20] = pixels[5, 0]  # runs
    found = unpack_rle(packed(pixels), shape[:2], 1 if len(shape) == 2 else 3, pixels.dtype.itemsize * 8)
    np.testing.assert_array_equal(found, pixels)


def frame(segment: bytes) -> bytes:
    return struct.pack("<16I", 1, 64, *[0] * 14) + segment


def test_a_segment_is_not_unpacked_beyond_the_picture() -> None:
    data = frame(b"\x81\x10" * (8 * 2**20))  # 16 MB, a gigabyte unpacked
    start = time.process_time()
    assert (unpack_rle(data, (64, 64), 1, 8) == 16).all()
    assert time.process_time() - start < 1


def test_bytes_that_stand_for_nothing_are_passed_over() -> None:
    assert (unpack_rle(frame(b"\x80" * 1000 + b"\xf1\x07" * 2), (4, 8), 1, 8) == 7).all()


@pytest.mark.parametrize("data", [frame(b"\x81\x10"), frame(b""), frame(b"\x05abc"), b"\2\0\0\0" + bytes(60), b"\1\0"])
def test_damaged_frames_are_refused(data: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        unpack_rle(data, (64, 64), 1, 8)
