"""Fingerprints of films, and the search for twins: two files that show the same picture.

A twin is the same exposure with another compression, size or contrast, mirrored, cropped by up to a tenth of its
sides, or with a narrow margin or a small mark added. Two different films of one patient are not twins. Candidates are
the nearest neighbours of every film (data.neighbours); those that a small move can bring near each other are aligned,
and a pair counts if the two agree after alignment (data.alignment). A pair also counts if the two agree without
alignment in their difference hashes and in the correlation of their thumbnails; these two measures tolerate a small
mark.

The thresholds were measured: see "Twins" in docs/results.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from hilum.data.alignment import Alignment, align, even_contrast, without_margins
from hilum.data.neighbours import SIDE_PX, WINDOWS, nearest_neighbours
from hilum.film.radiograph import Radiograph

__all__ = [
    "MAX_DHASH_DISTANCE",
    "MAX_HASH_DISTANCE",
    "MIN_CORRELATION",
    "Fingerprint",
    "Twin",
    "find_twins",
    "fingerprint",
    "joined_hashes",
    "seen_films",
    "training_hashes",
]

MAX_DHASH_DISTANCE = 12  # of 256 bits, for films that agree without alignment
MIN_CORRELATION = 0.91
_CROPPED = 0.015  # share of a side; less is within the resolution of a thumbnail
_DETAIL_PX = SIDE_PX // 2
_LEAST_REACH = 0.77  # pairs below it are not aligned; the lowest of 4,258 pairs of changed copies was 0.80
_CHUNK = 256  # pairs per task of a thread
_MANY_COPIES = 32  # of more copies than this, each is paired with the first one only


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Hashes and a thumbnail by which a film is recognised.

    Attributes:
        file_sha256: SHA-256 of the file's bytes, 64 hex digits.
        dhash256: (4,) uint64, the difference hash: whether each of 16 x 16 pixels is brighter than its left neighbour.
        thumbnail: (64, 64) uint8, area-averaged.
        pixel_sha256: SHA-256 of the 8-bit grey pixels and the text "(W, H)", 64 hex digits; a lossless copy has the
            same.
        shorter_side_px: Of the film as it is stored; 0 where it is not known.
    """

    file_sha256: str
    dhash256: np.ndarray
    thumbnail: np.ndarray
    pixel_sha256: str = ""
    shorter_side_px: int = 0


@dataclass(frozen=True)
class Twin:
    """Two films that show the same picture.

    Attributes:
        first: Position of one film, the lower of the two.
        second: Position of the other.
        exact: Whether the files, or all their pixels, are the same.
        dhash_distance: Number of the 256 bits that differ; large where one film is mirrored or cropped.
        correlation: Correlation after alignment, without coarse shading, at most 1.
        likeness: "identical", "near", "mirrored" (and perhaps cropped), or "cropped" (or with margins).
    """

    first: int
    second: int
    exact: bool
    dhash_distance: int
    correlation: float
    likeness: str = "near"


def fingerprint(data: bytes, radiograph: Radiograph) -> Fingerprint:
    """Return the fingerprint of a film.

    Args:
        data: The file's bytes.
        radiograph: The decoded film, at full or reduced scale; the scale changes only a few bits.

    Returns:
        The fingerprint. Its hash is that of the index of public sets: Pillow, 8-bit grey, 17 x 16 pixels by LANCZOS,
        each pixel compared with its left neighbour, row by row, the highest bit first.
    """
    grey = np.round(radiograph.pixels * 255).astype(np.uint8)
    small = np.asarray(Image.fromarray(grey).resize((17, 16), Image.Resampling.LANCZOS))
    bits = np.packbits(small[:, 1:] > small[:, :-1])  # (32,)
    return Fingerprint(
        file_sha256=hashlib.sha256(data).hexdigest(),
        dhash256=bits.view(">u8").astype(np.uint64),
        thumbnail=cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA),
        pixel_sha256=hashlib.sha256(grey.tobytes() + repr(grey.shape[::-1]).encode()).hexdigest(),
        shorter_side_px=min(radiograph.original_size_px),
    )


def find_twins(fingerprints: Sequence[Fingerprint]) -> list[Twin]:
    """Return the pairs of films that show the same picture, sorted by first and second.

    The time grows with less than the power 1.7 of the number of films. Of more than 32 copies of one picture, each is
    paired with the first only; of many near copies, each is paired with a few of the nearest.
    """
    copies: dict[str, list[int]] = {}
    for position, one in enumerate(fingerprints):
        copies.setdefault(one.pixel_sha256 or one.file_sha256, []).append(position)
    twins: list[Twin] = []
    for members in copies.values():
        twins += [Twin(first, second, True, 0, 1.0, "identical") for first, second in _pairs_among(members)]
    originals = list(copies.values())
    chosen = [fingerprints[members[0]] for members in originals]
    for left, right, distance, correlation, likeness in _near_pairs(chosen):
        exact = chosen[left].file_sha256 == chosen[right].file_sha256
        twins += [
            Twin(min(pair), max(pair), exact, distance, correlation, "identical" if exact else likeness)
            for pair in itertools.product(originals[left][:_MANY_COPIES], originals[right][:_MANY_COPIES])
        ]
    return sorted(twins, key=lambda twin: (twin.first, twin.second))


def _pairs_among(members: list[int]) -> list[tuple[int, int]]:
    if len(members) > _MANY_COPIES:
        return [(members[0], other) for other in members[1:]]
    return list(itertools.combinations(members, 2))


def _near_pairs(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int, int, float, str]]:
    """Return (first, second, distance, correlation, likeness) of the pairs that are twins."""
    trimmed = [without_margins(one.thumbnail) for one in fingerprints]
    evened = np.zeros((len(trimmed), SIDE_PX, SIDE_PX), np.float16)  # 0.8 GB for 100,000 films
    for position, picture in enumerate(trimmed):
        evened[position] = even_contrast(picture)
    near = nearest_neighbours(evened)
    low, high = np.minimum(near.first, near.second), np.maximum(near.first, near.second)
    order = np.argsort(-near.likeness, kind="stable")
    kept = order[np.unique((low * len(trimmed) + high)[order], return_index=True)[1]]  # the better of both directions

    def judge(chunk: slice) -> list[tuple[int, int, int, float, str]]:
        some, found = kept[chunk], []
        pairs = np.stack([low[some], high[some]], axis=1)
        distances, plain = _as_they_are(fingerprints, pairs)
        for place in np.flatnonzero((near.reach[some] >= _LEAST_REACH) | (plain >= MIN_CORRELATION)).tolist():
            number, pair, distance = some[place], pairs[place].tolist(), int(distances[place])
            cut_out, other = int(near.first[number]), int(near.second[number])
            window, mirrored = WINDOWS[near.window[number]], bool(near.mirrored[number])
            as_it_is, correlation = bool(plain[place] >= MIN_CORRELATION), float(plain[place])
            view = np.s_[:, ::-1] if mirrored else np.s_[:, :]
            laid = align(
                np.ascontiguousarray(trimmed[cut_out][view]),
                trimmed[other],
                _seen(window, mirrored),
                evened=(evened[cut_out][view].astype(np.float32), evened[other].astype(np.float32)),
            )
            if as_it_is or laid.agrees:
                value = max(laid.correlation, correlation if as_it_is else 0.0)
                found.append((pair[0], pair[1], distance, min(1.0, value), _likeness(laid, as_it_is, mirrored)))
        return found

    chunks = [slice(begin, begin + _CHUNK) for begin in range(0, len(kept), _CHUNK)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return [one for found in pool.map(judge, chunks) for one in found]


def _seen(window: tuple[float, float, float, float], mirrored: bool) -> tuple[float, float, float, float]:
    left, right, top, bottom = window
    return (right, left, top, bottom) if mirrored else window


def _likeness(laid: Alignment, as_it_is: bool, mirrored: bool) -> str:
    if mirrored and not as_it_is:
        return "mirrored"
    return "cropped" if laid.cut > _CROPPED and laid.agrees else "near"


def _as_they_are(fingerprints: Sequence[Fingerprint], pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how pairs (p, 2) agree without alignment: the distances of their hashes (p,) and their correlations (p,).

    Pairs whose hashes differ much have the correlation 0.
    """
    words = np.stack([[fingerprints[film].dhash256 for film in pair] for pair in pairs.tolist()])  # (p, 2, 4)
    distances = np.bitwise_count(words[:, 0] ^ words[:, 1]).sum(axis=1)
    plain, near = np.zeros(len(pairs), np.float32), np.flatnonzero(distances <= MAX_DHASH_DISTANCE)
    if len(near):
        left, right = (_details([fingerprints[film].thumbnail for film in pairs[near, side]]) for side in (0, 1))
        plain[near] = np.einsum("ij,ij->i", left, right)
    return distances, plain


def _details(thumbnails: list[np.ndarray]) -> np.ndarray:
    """Return thumbnails without their coarse shading, each with mean 0 and length 1: (n, 1024) float32."""
    images = np.stack(thumbnails).astype(np.float32).reshape(-1, _DETAIL_PX, 2, _DETAIL_PX, 2).mean(axis=(2, 4))
    images -= _BLUR @ images @ _BLUR.T
    vectors = images.reshape(len(images), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 1e-3, length, np.inf)  # a film without detail correlates with no other


def _gaussian_matrix(sigma_px: float) -> np.ndarray:
    """Return the (32, 32) float32 matrix that blurs a row of pixels, with weights that sum to 1 at the borders too."""
    steps = np.arange(_DETAIL_PX)
    weights = np.exp(-0.5 * np.square((steps[:, None] - steps[None, :]) / sigma_px))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


_BLUR = _gaussian_matrix(3.0)


# --- training-set hashes --------------------------------------------------------------------------------------------
#
# A model file keeps the difference hashes of its training films, 32 bytes each, so that these films are recognised
# later; a film cannot be drawn from its hash. The limit was measured on 23 million pairs of 6,800 films of four public
# sources: 48 pairs differ in at most 12 bits, all of them twins; the nearest other pair differs in 14 bits.

MAX_HASH_DISTANCE = 12  # of 256 bits
_BLOCK_PAIRS = 2_000_000


def training_hashes(fingerprints: Sequence[Fingerprint]) -> str:
    """Return the sorted difference hashes of films as base64 text, 32 bytes per film."""
    words = sorted(tuple(one.dhash256.tolist()) for one in fingerprints)
    return base64.b64encode(np.array(words, dtype=">u8").tobytes()).decode("ascii")


def joined_hashes(hashes: str, earlier: object) -> str:
    """Return two texts of `training_hashes` as one; ``earlier`` adds nothing where it is None or cannot be read."""
    old = _words_of(earlier)
    if old is None:
        return hashes
    words = np.unique(np.concatenate([np.frombuffer(base64.b64decode(hashes), ">u8").reshape(-1, 4), old]), axis=0)
    return base64.b64encode(words.astype(">u8").tobytes()).decode("ascii")


def seen_films(fingerprints: Sequence[Fingerprint], hashes: object) -> np.ndarray | None:
    """Return which films, or near twins of them, are among the training films of a model.

    Args:
        fingerprints: One per film, n of them.
        hashes: The text of `training_hashes`; model files of earlier versions have none.

    Returns:
        (n,) bool; None where there are no hashes or they cannot be read.
    """
    trained = _words_of(hashes)
    if trained is None:
        return None
    seen = np.zeros(len(fingerprints), dtype=bool)
    rows = max(1, _BLOCK_PAIRS // max(1, len(trained)))
    for start in range(0, len(fingerprints), rows):
        words = np.stack([one.dhash256 for one in fingerprints[start : start + rows]])  # (r, 4)
        distance = np.zeros((len(words), len(trained)), dtype=np.uint16)
        for column in range(4):
            distance += np.bitwise_count(words[:, None, column] ^ trained[None, :, column])
        seen[start : start + rows] = (distance <= MAX_HASH_DISTANCE).any(axis=1)
    return seen


def _words_of(hashes: object) -> np.ndarray | None:
    """Return the hashes (m, 4) uint64 of a text; None where it cannot be read."""
    if not isinstance(hashes, str) or not hashes:
        return None
    try:
        data = base64.b64decode(hashes, validate=True)
        return np.frombuffer(data, dtype=">u8").astype(np.uint64).reshape(-1, 4)
    except (binascii.Error, ValueError):
        return None
