"""What a model file keeps of its training films, so that they are recognised when the model is judged on them.

Each film leaves its difference hash, 32 bytes, too few to draw it from: 11 kB of text for 251 films, 290 kB for 6,800.
Without the thumbnail the distance alone decides, so its limit is narrower than that of the twin search. It is measured:
among the 23 million pairs of 6,800 films from four public sources, 48 pairs differ in at most 12 of the 256
bits, and all of them are twins by the full search, which finds 55; the first other film has a distance of 14.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import numpy as np

from hilum.data.fingerprint import Fingerprint

__all__ = ["MAX_IMPRINT_DISTANCE", "imprint_of", "joined_imprints", "seen_films"]

MAX_IMPRINT_DISTANCE = 12  # of 256 bits
_BLOCK_PAIRS = 2_000_000


def imprint_of(fingerprints: Sequence[Fingerprint]) -> str:
    """Return the hashes of films as text, sorted so that they tell nothing of the films' order.

    Args:
        fingerprints: One a film.

    Returns:
        Base64 of 32 bytes a film.
    """
    words = sorted(tuple(one.dhash256.tolist()) for one in fingerprints)
    return base64.b64encode(np.array(words, dtype=">u8").tobytes()).decode("ascii")


def joined_imprints(imprint: str, earlier: object) -> str:
    """Return the imprint of all films that left one of two.

    Args:
        imprint: What `imprint_of` returned.
        earlier: Another, or None; one that cannot be read adds nothing.
    """
    known = _words_of(earlier)
    if known is None:
        return imprint
    words = np.unique(np.concatenate([np.frombuffer(base64.b64decode(imprint), ">u8").reshape(-1, 4), known]), axis=0)
    return base64.b64encode(words.astype(">u8").tobytes()).decode("ascii")


def seen_films(fingerprints: Sequence[Fingerprint], imprint: object) -> np.ndarray | None:
    """Return which films, or near twins of them, have left an imprint.

    Args:
        fingerprints: One a film, n of them.
        imprint: What `imprint_of` returned; model files of earlier versions hold none.

    Returns:
        (n,) bool; None where there is no imprint, or none that can be read.
    """
    known = _words_of(imprint)
    if known is None:
        return None
    seen = np.zeros(len(fingerprints), dtype=bool)
    rows = max(1, _BLOCK_PAIRS // max(1, len(known)))
    for start in range(0, len(fingerprints), rows):
        words = np.stack([one.dhash256 for one in fingerprints[start : start + rows]])  # (r, 4)
        distance = np.zeros((len(words), len(known)), dtype=np.uint16)
        for column in range(4):
            distance += np.bitwise_count(words[:, None, column] ^ known[None, :, column])
        seen[start : start + rows] = (distance <= MAX_IMPRINT_DISTANCE).any(axis=1)
    return seen


def _words_of(imprint: object) -> np.ndarray | None:
    """Return the hashes (m, 4) uint64 behind an imprint; None where it cannot be read."""
    if not isinstance(imprint, str) or not imprint:
        return None
    try:
        data = base64.b64decode(imprint, validate=True)
        return np.frombuffer(data, dtype=">u8").astype(np.uint64).reshape(-1, 4)
    except (binascii.Error, ValueError):
        return None
