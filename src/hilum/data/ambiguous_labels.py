"""Films whose finding is stated in part only: it is one of several. They may teach, but nothing is judged by them.

A film of pneumonia whose type nobody stated is evidence for the sum of the pneumonias, and against what is none. It is
never counted as a negative of one of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.data.fingerprint import Fingerprint
from hilum.data.folder import FilmRecord
from hilum.data.scan import Scan
from hilum.errors import InconsistentDataset, nearest_name
from hilum.findings import open_kinds

__all__ = ["PartlyStated", "set_apart"]


@dataclass(frozen=True, eq=False)
class PartlyStated:
    """The films of a data set whose finding is one of several.

    Attributes:
        records: m films.
        fingerprints: One a film.
        groups: (m,) int, numbered with those of the films that are stated in full.
        kinds: For each film the findings one of which it shows.
        positions: (m,) int, where the films stood among all that were read.
    """

    records: tuple[FilmRecord, ...]
    fingerprints: tuple[Fingerprint, ...]
    groups: np.ndarray
    kinds: tuple[tuple[str, ...], ...]
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.records)

    def teaching(self, groups: np.ndarray, *, without_sources: Collection[str] = ()) -> np.ndarray:
        """Return which films may be learned from (m,) bool.

        Args:
            groups: Groups of the films that are judged: no twin of theirs and no film of their patient may teach.
            without_sources: The sources that are held out.
        """
        named = np.array([record.split in (None, "train") for record in self.records], dtype=bool)
        other = np.array([record.source not in without_sources for record in self.records], dtype=bool)
        return named & other & ~np.isin(self.groups, groups)


def set_apart(scan: Scan) -> tuple[Scan, PartlyStated]:
    """Return the films whose finding is stated, and those of which it is one of several.

    Args:
        scan: A data set that has been read.

    Raises:
        InconsistentDataset: A film may show a finding that no film is stated to show.
    """
    names = scan.dataset.findings
    kinds = [open_kinds(record.finding, names) for record in scan.dataset.records]
    stated = {record.finding for record, open_ in zip(scan.dataset.records, kinds, strict=True) if not open_}
    for record, open_ in zip(scan.dataset.records, kinds, strict=True):
        for kind in open_:
            if kind not in stated:
                raise InconsistentDataset(
                    f"`{record.path}` shows one of {', '.join(open_)}, but no film is stated to show {kind}. "
                    f"{nearest_name(kind, sorted(stated))}",
                    fix="Add films of it, or leave it out of the film's finding.",
                )
    is_open = np.array([bool(open_) for open_ in kinds], dtype=bool)
    kept, apart = np.flatnonzero(~is_open), np.flatnonzero(is_open)
    place = {int(old): new for new, old in enumerate(kept)}
    twins = tuple(
        dataclasses.replace(twin, first=place[twin.first], second=place[twin.second])
        for twin in scan.twins
        if twin.first in place and twin.second in place
    )
    rest = dataclasses.replace(
        scan,
        dataset=dataclasses.replace(scan.dataset, records=_of(scan.dataset.records, kept)),
        fingerprints=_of(scan.fingerprints, kept),
        twins=twins,
        groups=scan.groups[kept],
        known=_of(scan.known, kept) if scan.known else (),
    )
    partial = PartlyStated(
        _of(scan.dataset.records, apart),
        _of(scan.fingerprints, apart),
        scan.groups[apart],
        tuple(kinds[i] for i in apart),
        apart,
    )
    return (rest if len(apart) else scan), partial


def _of(items: tuple[Any, ...], positions: np.ndarray) -> tuple[Any, ...]:
    return tuple(items[i] for i in positions)
