"""Holds out one source (a hospital or a public set) of a data set for evaluation and trains on the others.

Cross-validation within a mixture of sources rewards a model that recognises the source. A source that is held out
completely is the best substitute for films of another hospital.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.errors import InconsistentDataset
from hilum.findings import sorted_findings

__all__ = ["HeldSource", "hold_out_sources"]

MIN_GROUPS = 5  # groups that a finding needs, so that train and validation both have it


@dataclass(frozen=True, eq=False)
class HeldSource:
    """One source held out.

    Attributes:
        source: Its name.
        rest: (n,) bool, films of the other sources, to train and validate on.
        held: (n,) bool, films of the source outside the test part, to evaluate on.
        findings: The findings that a model can learn from the other sources.
        untaught: The findings of the held films that it cannot learn.
        reason: The reason why no model can be trained; empty where one can.
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
    """Return for each source, by name, the films to train on and those to evaluate on.

    Films of the test part are in neither. Twins of films of the held source are not trained on.

    Args:
        records: The films.
        splits: The split of each film.
        groups: (n,) int, from group_films.
        seen: (n,) bool, the films that the starting weights were trained on, if any; their sources are not held out.

    Raises:
        InconsistentDataset: Films have no source, or all have the same one.
    """
    open_films = np.asarray(splits, dtype=object) != "test"
    nameless = sum(record.source is None for record in records)
    if nameless:
        raise InconsistentDataset(
            f"{nameless} of {len(records)} films have no source, so no source can be held out.",
            fix="Give a CSV manifest with a column `source`, or omit --by-source.",
        )
    source_of = np.array([record.source for record in records], dtype=object)
    finding_of = np.array([record.finding for record in records], dtype=object)
    names = sorted(set(source_of[open_films].tolist()))
    if len(names) < 2:
        raise InconsistentDataset(
            f"All films to train on come from one source ({', '.join(names)}); expected at least two.",
            fix="Add films of another source, or omit --by-source.",
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
            reason = f"the other sources have enough films of {f'{taught[0]} only' if taught else 'no finding'}"
        elif seen is not None and (held & seen).any():
            reason = f"the starting weights were trained on {(held & seen).sum()} of its {held.sum()} films"
        elif not np.isin(finding_of[held], taught).any():
            reason = f"the other sources have too few films of its findings ({', '.join(untaught)})"
        parts.append(HeldSource(name, rest, held, taught, untaught, reason))
    return parts
