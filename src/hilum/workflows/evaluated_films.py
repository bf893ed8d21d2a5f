"""The films that a model is measured on: read once, and which of them are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.console import Console, count_of
from hilum.data.folder import name_hints, read_dataset, rename_findings
from hilum.data.manifest import film_key, group_columns
from hilum.data.scan import Scan, scan_films
from hilum.errors import InconsistentDataset
from hilum.film.radiograph import Radiograph
from hilum.judge.subgroups import traits_of

__all__ = ["EvaluatedFilms", "read_evaluated"]


@dataclass(frozen=True, eq=False)
class EvaluatedFilms:
    """The n films that could be read, and which of them are judged.

    Attributes:
        scan: The films.
        traits: Path to what is known of a film, by column; empty where that is not asked for.
        splits: The part of each film.
        known: (n,) bool, test films of findings that the model knows; one at least.
        unknown: (n,) bool, test films of other findings.
        notes: What the report says of films that are left out.
    """

    scan: Scan
    traits: Mapping[str, Mapping[str, str]]
    splits: list[str]
    known: np.ndarray
    unknown: np.ndarray
    notes: tuple[str, ...]


def read_evaluated(
    data: Path, mapping: Sequence[str], known: Sequence[str], *, with_traits: bool, console: Console
) -> EvaluatedFilms:
    """Read every film of a data set; judged are those of its test part, or all where there is none.

    Args:
        data: The data set.
        mapping: Texts "Their name=Our finding", for findings that have another name in the data set.
        known: The findings that the model knows.
        with_traits: Whether to note what is known of each film, for subgroups.
        console: Where messages and progress go.

    Raises:
        InconsistentDataset: The data set cannot be used, or no film shows a finding that the model knows.
    """
    dataset = rename_findings(read_dataset(data, min_findings=1), mapping, known)
    columns = group_columns(data) if with_traits else {}
    traits: dict[str, dict[str, str]] = {}

    def note(position: int, radiograph: Radiograph) -> None:
        path = dataset.records[position].path
        traits[path] = columns.get(film_key(dataset.root, path), {}) | traits_of(radiograph)

    with console.bar(f"Reading {count_of(len(dataset.records), 'film')} of {dataset.name}", 1.0) as done:
        scan = scan_films(dataset, visit=note if with_traits else None, done=done)
    for remark in scan.dataset.remarks:
        console.say(remark.message)
    records = scan.dataset.records
    splits = ["test"] * len(records)  # without a test part all films are judged, a lone train/ too
    if scan.dataset.has_test:
        splits = [record.split or "train" for record in records]
    notes = [f"Left out, because they cannot be read: {count_of(scan.num_unread, 'film')}."] if scan.num_unread else []
    if scan.num_refused:
        notes.append(f"Left out, as they are no films of a chest: {count_of(scan.num_refused, 'film')}.")
    strange = sorted({record.finding for record in records} - set(known))
    if strange:
        notes.append(f"Left out, since the model does not know them: films of {', '.join(strange)}.")
        for line in (notes[-1], *name_hints(strange, known)):
            console.say(line)
    tested = np.array([split == "test" for split in splits], dtype=bool)
    familiar = np.array([record.finding in known for record in records], dtype=bool)
    if not (tested & familiar).any():
        raise InconsistentDataset(
            f"No film shows a finding that the model knows. It knows {', '.join(known)}.",
            fix="Rename the folders, or choose another model.",
        )
    return EvaluatedFilms(scan, traits, splits, tested & familiar, tested & ~familiar, tuple(notes))
