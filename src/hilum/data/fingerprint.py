"""Fingerprints of films, and the twins they give away: the same picture twice, byte for byte or nearly so.

A near twin is the same exposure after another compression, size, contrast, or with a small mark or a narrow margin
more. Two films of one patient are no twins, nor are two films that merely look alike; a cut-out or a mirrored copy is
not found. Two measures must agree: the difference hash, whose bits compare neighbours, and the correlation of two
thumbnails from which the coarse shading, common to all chests, has been taken.

The thresholds are measured. On the 317 films of the Kaggle COVID-19 Image Dataset every near twin has a distance of at
most 12 and a correlation of at least 0.94; of the pairs of different films the nearest has 25 and 0.85. Among the 23
million pairs of 6,800 films from four public sources 32 pass besides exact copies; of those near the thresholds, viewed
one by one, one shows two different films. Between the thresholds and the crowd lie a few true twins that were cropped
or written on: they are missed, as a looser threshold lets different films pass.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from hilum.film.radiograph import Radiograph

__all__ = ["MAX_DHASH_DISTANCE", "MIN_CORRELATION", "Fingerprint", "Twin", "find_twins", "fingerprint"]

MAX_DHASH_DISTANCE = 20  # of 256 bits
MIN_CORRELATION = 0.91
_THUMBNAIL_PX = 32
_BLOCK_PAIRS = 2_000_000  # pairs compared at once: about 40 MB
_MANY_COPIES = 32  # from here on copies are paired with the first of them only, not each with each


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a film to recognise it by.

    Attributes:
        file_sha256: Of the file's bytes, 64 hex digits.
        dhash256: (4,) uint64, whether each of 16 x 16 pixels is brighter than its left neighbour.
        thumbnail: (32, 32) uint8, area-averaged.
        pixel_sha256: Of the 8-bit grey pixels and their size, 64 hex digits; the same for a PNG and its lossless copy.
    """

    file_sha256: str
    dhash256: np.ndarray
    thumbnail: np.ndarray
    pixel_sha256: str = ""


@dataclass(frozen=True)
class Twin:
    """Two films that show the same picture.

    Attributes:
        first: The position of one film, the lower of the two.
        second: The position of the other.
        exact: Whether the files, or all their pixels, are the same.
        dhash_distance: Bits that differ, 0 to 20 of 256.
        correlation: Of the thumbnails without their coarse shading, 0.91 to 1.
    """

    first: int
    second: int
    exact: bool
    dhash_distance: int
    correlation: float


def fingerprint(data: bytes, radiograph: Radiograph) -> Fingerprint:
    """Return the fingerprint of a film.

    Args:
        data: The file's bytes.
        radiograph: The same file decoded; at full or reduced scale, which moves only a few bits.

    Returns:
        The fingerprint. Its hash is the one that indexes of public sets use: Pillow, 8-bit grey, 17 x 16 pixels by
        LANCZOS, each pixel greater than its left neighbour, row by row, the first bit highest.
    """
    grey = np.round(radiograph.pixels * 255).astype(np.uint8)
    small = np.asarray(Image.fromarray(grey).resize((17, 16), Image.Resampling.LANCZOS))
    bits = np.packbits(small[:, 1:] > small[:, :-1])  # (32,)
    return Fingerprint(
        file_sha256=hashlib.sha256(data).hexdigest(),
        dhash256=bits.view(">u8").astype(np.uint64),
        thumbnail=cv2.resize(grey, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA),
        pixel_sha256=hashlib.sha256(grey.tobytes() + repr(grey.shape).encode()).hexdigest(),
    )


def find_twins(fingerprints: Sequence[Fingerprint]) -> list[Twin]:
    """Return the pairs of films that show the same picture.

    Every pair is compared, with flat memory: 7,000 films take a fraction of a second, 100,000 about half a minute. Of
    more than 32 copies of one picture, each is paired with the first only.

    Args:
        fingerprints: One a film.

    Returns:
        The twins, sorted by first and second.
    """
    copies: dict[str, list[int]] = {}
    for position, one in enumerate(fingerprints):
        copies.setdefault(one.pixel_sha256 or one.file_sha256, []).append(position)
    twins: list[Twin] = []
    for members in copies.values():
        twins += [Twin(first, second, True, 0, 1.0) for first, second in _pairs_among(members)]
    originals = list(copies.values())
    chosen = [fingerprints[members[0]] for members in originals]
    for left, right, distance, correlation in _near_pairs(chosen):
        exact = chosen[left].file_sha256 == chosen[right].file_sha256
        twins += [
            Twin(min(pair), max(pair), exact, distance, correlation)
            for pair in itertools.product(originals[left][:_MANY_COPIES], originals[right][:_MANY_COPIES])
        ]
    return sorted(twins, key=lambda twin: (twin.first, twin.second))


def _pairs_among(members: list[int]) -> list[tuple[int, int]]:
    if len(members) > _MANY_COPIES:
        return [(members[0], other) for other in members[1:]]
    return list(itertools.combinations(members, 2))


def _near_pairs(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int, int, float]]:
    """Return (first, second, distance, correlation) of the pairs that pass both thresholds."""
    if len(fingerprints) < 2:
        return []
    words = np.ascontiguousarray(np.stack([one.dhash256 for one in fingerprints]).T)  # (4, n)
    num_films = words.shape[1]
    rows = max(1, _BLOCK_PAIRS // num_films)
    found: list[tuple[int, int, int, float]] = []
    for start in range(0, num_films, rows):
        stop = min(start + rows, num_films)
        # Half of the bits rule out nearly all pairs; the other half is counted for the rest only.
        distance = np.bitwise_count(words[0, start:stop, None] ^ words[0, None, start:])
        distance += np.bitwise_count(words[1, start:stop, None] ^ words[1, None, start:])
        left, right = np.nonzero(distance <= MAX_DHASH_DISTANCE)
        later = left < right
        left, right = left[later] + start, right[later] + start
        whole = np.bitwise_count(words[:, left] ^ words[:, right]).sum(axis=0, dtype=np.int64)  # (pairs,)
        near = whole <= MAX_DHASH_DISTANCE
        left, right, whole = left[near], right[near], whole[near]
        for begin in range(0, len(left), 4096):
            part = slice(begin, begin + 4096)
            one = _details([fingerprints[position].thumbnail for position in left[part]])
            other = _details([fingerprints[position].thumbnail for position in right[part]])
            correlation = np.einsum("ij,ij->i", one, other)
            for pair in np.flatnonzero(correlation >= MIN_CORRELATION) + begin:
                value = min(1.0, float(correlation[pair - begin]))
                found.append((int(left[pair]), int(right[pair]), int(whole[pair]), value))
    return found


def _details(thumbnails: list[np.ndarray]) -> np.ndarray:
    """Return thumbnails without their coarse shading, each with mean 0 and length 1: (n, 1024) float32."""
    images = np.stack(thumbnails).astype(np.float32)
    images -= _BLUR @ images @ _BLUR.T
    vectors = images.reshape(len(images), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 1e-3, length, np.inf)  # a film without any detail resembles none


def _gaussian_matrix(sigma_px: float) -> np.ndarray:
    """Return the (32, 32) float32 matrix that blurs a row of pixels, with weights that sum to 1 at the borders too."""
    steps = np.arange(_THUMBNAIL_PX)
    weights = np.exp(-0.5 * np.square((steps[:, None] - steps[None, :]) / sigma_px))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


_BLUR = _gaussian_matrix(3.0)
