"""Films that the starting weights have learned from already: no figure may be taken on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hilum.data.fingerprint import Fingerprint, seen_films
from hilum.data.folder import FilmRecord
from hilum.judge.audit.fault import Fault
from hilum.run.modelfile import read_model_file
from hilum.run.models import DEFAULT_MODEL

__all__ = ["films_seen_before", "imprint_behind", "seen_before_fault"]


def imprint_behind(weights: str) -> str | None:
    """Return what the films that starting weights were learned from have left; None without any.

    See data/training_hashes.py.

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
    seen = seen_films(fingerprints, imprint_behind(weights))
    if seen is None:
        return np.zeros(len(fingerprints), dtype=bool)
    return np.isin(groups, groups[seen])


def seen_before_fault(seen: np.ndarray, records: Sequence[FilmRecord]) -> list[Fault]:
    """Return the fault that says so, for the audit of a run; nothing where no film was seen."""
    if not seen.any():
        return []
    return [
        Fault(
            "seen-before",
            "warning",
            f"{int(seen.sum())} of {len(records)} films, or a twin or patient of theirs, are among the films that the "
            "starting weights were learned from. No test or cross-validation figure counts them; calibration and "
            "thresholds rest on validation films all the same, and are too sure where those were seen.",
            tuple(record.path for record, one in zip(records, seen, strict=True) if one),
            float(seen.mean()),
        )
    ]
