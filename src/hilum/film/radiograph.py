"""One chest film as numbers, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Radiograph"]


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One film after decoding: nobody behind this point asks about bit depth, colour or inversion.

    Attributes:
        pixels: (H, W) float32 in [0, 1], bone bright, air dark.
        file_format: ``png``, ``jpeg`` or ``dicom``; ``array`` where Python gave the pixels.
        original_size_px: (height, width) as stored in the file, before reduced-scale decoding and EXIF rotation.
        bit_depth: Stored bits of one pixel (8 for a palette).
        view_position: PA, AP, LATERAL, ... where a DICOM file says so, else None.
        patient_key: 16 hex digits of SHA-256 over the DICOM patient ID and its issuer: a pseudonym that keeps one
            patient's films together without holding the ID. None where the file names no patient.
    """

    pixels: NDArray[np.float32]
    file_format: str
    original_size_px: tuple[int, int]
    bit_depth: int
    view_position: str | None = None
    patient_key: str | None = None
