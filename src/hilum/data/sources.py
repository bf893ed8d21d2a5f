"""Which films a model is trained on, and which it is judged on, when one source of a data set is held out.

A source is a hospital or a public set. Cross-validation inside a mix of sources rewards whatever tells the sources
apart; a source held out whole is the nearest thing to another hospital that a data set holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.errors import InconsistentDataset
from hilum.findings import sorted_findings

__all__ = ["HeldSource", "hold_out_sources"]

MIN_GROUPS = 5  # of a finding, for it to be taught: it must be in train and in validation


@dataclass(frozen=True, eq=False)
class HeldSource:
    """One source held out.

    Attributes:
        source: Its name.
        rest: (n,) bool, films of the other sources to train and validate on.
        held: (n,) bool, the films to judge: all of the source but those of the test part.
        findings: What the other sources teach.
        untaught: Findings of the held films that they do not.
        reason: Why no model can be made; empty where one can.
    """

    source: str
    rest: np.ndarray
    held: np.ndarray
    findings: tuple[str, ...]
    untaught: tuple[str, ...]
    reason: str


def hold_out_sources(
    records: Sequence[FilmRecord], splits: Sequence[str], groups: np.ndarray, *, seen: np.ndarray | None = None
) -> list[HeldSource]:
    """Return for each source the films to train on and to judge without it, in the order of their names.

    Films of the test part are in neither. A film whose twin is in the held source is not trained on.

    Args:
        records: The films.
        splits: The split of each film.
        groups: (n,) int, from group_films.
        seen: (n,) bool, the films that the starting weights were learned from, if any: their sources are not held out.

    Raises:
        InconsistentDataset: Films have no source, or all have the same.
    """
    open_films = np.asarray(splits, dtype=object) != "test"
    nameless = sum(record.source is None for record in records)
    if nameless:
        raise InconsistentDataset(
            f"{nameless} of {len(records)} films have no source, so that no source can be held out.",
            fix="Give a CSV manifest with a column `source`, or leave --by-source out.",
        )
    source_of = np.array([record.source for record in records], dtype=object)
    finding_of = np.array([record.finding for record in records], dtype=object)
    names = sorted(set(source_of[open_films].tolist()))
    if len(names) < 2:
        raise InconsistentDataset(
            f"All films to train on come from one source ({', '.join(names)}); expected at least two.",
            fix="Add films of another source, or leave --by-source out.",
        )
    parts = []
    for name in names:
        held = open_films & (source_of == name)
        rest = open_films & ~held & ~np.isin(groups, groups[held])
        taught = sorted_findings(
            finding
            for finding in set(finding_of[rest].tolist())
            if len(np.unique(groups[rest & (finding_of == finding)])) >= MIN_GROUPS
        )
        rest &= np.isin(finding_of, taught)
        untaught = sorted_findings(set(finding_of[held].tolist()) - set(taught))
        reason = ""
        if len(taught) < 2:
            reason = f"the other sources teach {taught[0] if taught else 'no finding'} only"
        elif seen is not None and (held & seen).any():
            reason = f"the starting weights were learned from {(held & seen).sum()} of its {held.sum()} films"
        elif not np.isin(finding_of[held], taught).any():
            reason = f"the other sources teach none of its findings ({', '.join(untaught)})"
        parts.append(HeldSource(name, rest, held, taught, untaught, reason))
    return parts
