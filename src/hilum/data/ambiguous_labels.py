"""Films with an ambiguous label, which names several findings. Models train on them but are not judged by them.

A film of pneumonia of unstated type counts for the sum of all pneumonias and against all other findings. It is never
a negative example of one type of pneumonia.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.data.fingerprint import Fingerprint
from hilum.data.folder import FilmRecord
from hilum.data.scan import Scan
from hilum.errors import InconsistentDataset, nearest_name
from hilum.findings import open_kinds

__all__ = ["AmbiguousFilms", "set_apart"]


@dataclass(frozen=True, eq=False)
class AmbiguousFilms:
    """The m films of a data set that have an ambiguous label.

    Attributes:
        records: The films.
        fingerprints: One per film.
        groups: (m,) int; the same numbers as for the films with one finding.
        kinds: For each film the findings that its label names.
        positions: (m,) int, the positions of the films in the scan.
    """

    records: tuple[FilmRecord, ...]
    fingerprints: tuple[Fingerprint, ...]
    groups: np.ndarray
    kinds: tuple[tuple[str, ...], ...]
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.records)

    def teaching(self, groups: np.ndarray, *, without_sources: Collection[str] = ()) -> np.ndarray:
        """Return which films a model may train on, (m,) bool.

        Args:
            groups: Groups of the films that the model is judged on; films of these groups are left out.
            without_sources: Sources that are held out; their films are left out.
        """
        named = np.array([record.split in (None, "train") for record in self.records], dtype=bool)
        other = np.array([record.source not in without_sources for record in self.records], dtype=bool)
        return named & other & ~np.isin(self.groups, groups)


def set_apart(scan: Scan) -> tuple[Scan, AmbiguousFilms]:
    """Return the scan of the films with one finding, and the films with an ambiguous label.

    Raises:
        InconsistentDataset: A label names a finding that no film has as its only finding.
    """
    names = scan.dataset.findings
    kinds = [open_kinds(record.finding, names) for record in scan.dataset.records]
    stated = {record.finding for record, open_ in zip(scan.dataset.records, kinds, strict=True) if not open_}
    for record, open_ in zip(scan.dataset.records, kinds, strict=True):
        for kind in open_:
            if kind not in stated:
                raise InconsistentDataset(
                    f"The label of `{record.path}` names {', '.join(open_)}, but no film has {kind} alone. "
                    f"{nearest_name(kind, sorted(stated))}",
                    fix="Add films with this finding, or remove the finding from the label.",
                )
    is_open = np.array([bool(open_) for open_ in kinds], dtype=bool)
    kept, apart = np.flatnonzero(~is_open), np.flatnonzero(is_open)
    ambiguous = AmbiguousFilms(
        _of(scan.dataset.records, apart),
        _of(scan.fingerprints, apart),
        scan.groups[apart],
        tuple(kinds[i] for i in apart),
        apart,
    )
    return (scan.part(kept) if len(apart) else scan), ambiguous


def _of(items: tuple[Any, ...], positions: np.ndarray) -> tuple[Any, ...]:
    return tuple(items[i] for i in positions)
