"""Films that the starting weights have learned from already: no figure may be taken on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hilum.data.fingerprint import Fingerprint, seen_films
from hilum.run.modelfile import read_model_file
from hilum.run.models import DEFAULT_MODEL

__all__ = ["films_seen_before", "hashes_behind"]


def hashes_behind(weights: str) -> str | None:
    """Return what the films that starting weights were learned from have left; None without any.

    See data/fingerprint.py.

    Args:
        weights: The setting; only `chest` has seen chest films.
    """
    return read_model_file(Path(DEFAULT_MODEL)).metadata.training_data.get("dhash256") if weights == "chest" else None


def films_seen_before(weights: str, fingerprints: Sequence[Fingerprint], groups: np.ndarray) -> np.ndarray:
    """Return which films, or films of their group, the weights that a run starts from were learned from.

    Args:
        weights: The setting.
        fingerprints: One a film, n of them.
        groups: (n,) int; a twin, or another film of the same patient, counts as seen.

    Returns:
        (n,) bool.
    """
    seen = seen_films(fingerprints, hashes_behind(weights))
    if seen is None:
        return np.zeros(len(fingerprints), dtype=bool)
    return np.isin(groups, groups[seen])
