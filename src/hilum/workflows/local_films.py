"""Local films with findings: read, and without those that a model must not be adapted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.console import Console, count_of
from hilum.data.fingerprint import seen_films
from hilum.data.folder import read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.errors import InconsistentDataset
from hilum.judge.adaptation import LeftOut
from hilum.judge.audit.associations import associate_traits, association_faults
from hilum.judge.audit.check import Films
from hilum.judge.external.figures import name_hints, rename_findings
from hilum.run.classifier import Classifier
from hilum.train.correction import LEAST_FINDING_FILMS

__all__ = ["LEAST_FILMS", "LocalSet", "few_notes", "read_local", "source_notes", "trained_films"]

LEAST_FILMS = 20


@dataclass(frozen=True, eq=False)
class LocalSet:
    """The films that are used: the scan of them alone, how many others were left out, and sentences about it."""

    scan: Scan
    left_out: LeftOut
    notes: tuple[str, ...]


def read_local(classifier: Classifier, data: Path, mapping: Sequence[str], console: Console) -> LocalSet:
    """Read the films, and leave out those that must not be learned from.

    Raises:
        InconsistentDataset: Too few films are left.
    """
    known = classifier.findings
    dataset = rename_findings(read_dataset(data, min_findings=1), mapping, known)
    with console.bar(f"Reading {count_of(len(dataset.records), 'film')} of {dataset.name}", 1.0) as done:
        scan = scan_films(dataset, done=done)
    for remark in scan.dataset.remarks:
        console.say(remark.message)
    records = scan.dataset.records
    strange = np.array([record.finding not in known for record in records], dtype=bool)
    tested = ~strange & np.array([record.split == "test" for record in records], dtype=bool)
    trained = trained_films(classifier, scan) & ~strange & ~tested
    kept = ~(strange | tested | trained)
    notes = []
    if scan.unread:
        notes.append(f"Left out, as unreadable or no film of a chest: {count_of(len(scan.unread), 'film')}.")
    if strange.any():
        names = sorted({records[place].finding for place in np.flatnonzero(strange)})
        films = count_of(int(strange.sum()), "film")
        notes.append(f"Left out, since the model does not know their findings ({', '.join(names)}): {films}.")
        notes += name_hints(names, known)
    if tested.any():
        films = count_of(int(tested.sum()), "film")
        notes.append(f"Left out, since they are the test part: {films}. `hilum evaluate` can judge the model on them.")
    if trained.any():
        films = count_of(int(trained.sum()), "film")
        notes.append(f"Left out, since the model was trained on them, or on films of the same patients: {films}.")
    if kept.sum() < LEAST_FILMS:
        raise InconsistentDataset(
            f"{count_of(int(kept.sum()), 'film')} of `{data}` can be used; expected at least {LEAST_FILMS}. "
            f"{' '.join(notes)}".rstrip(),
            fix="Add films of your own, of every finding if you can.",
        )
    counts = LeftOut(int(trained.sum()), int(strange.sum()), int(tested.sum()), len(scan.unread))
    return LocalSet(scan.part(np.flatnonzero(kept)), counts, tuple(notes))


def trained_films(classifier: Classifier, scan: Scan) -> np.ndarray:
    """Return which films (n,) the model was trained on, or on a twin or another film of the patient."""
    seen = seen_films(scan.fingerprints, classifier.metadata.training_data.get("dhash256"))
    return np.zeros(len(scan.groups), dtype=bool) if seen is None else np.isin(scan.groups, scan.groups[seen])


def source_notes(scan: Scan, ignored: Sequence[str]) -> list[str]:
    """Return what is to be said of findings that go with the place where films come from.

    Raises:
        InconsistentDataset: They go together so closely that a correction would learn the source.
    """
    films = Films(scan, ("train",) * len(scan.dataset.records))
    faults = [fault for fault in association_faults(associate_traits(films), films) if fault.severity != "note"]
    for fault in faults:
        if fault.severity == "error" and fault.kind not in ignored:
            raise InconsistentDataset(
                f"The findings come from different sources, so a correction would learn the source. {fault.message}",
                fix=f"Take each finding from every source, or add --ignore {fault.kind} if you know better.",
            )
    return [f"A correction may learn where films come from. {fault.message}" for fault in faults]


def few_notes(scan: Scan, known: Sequence[str]) -> list[str]:
    """Return what is to be said of findings with few films or none."""
    counts = {name: sum(record.finding == name for record in scan.dataset.records) for name in known}
    there = [name for name, count in counts.items() if count]
    if len(there) == 1:
        return [
            f"All films show {there[0]}. Only its constant and the thresholds can be set: they bound how often such "
            "films are answered with another finding. How many films of the other findings are found stays unknown."
        ]
    few = [f"{name} ({counts[name]})" for name in there if counts[name] < LEAST_FINDING_FILMS]
    notes = []
    if few:
        notes.append(
            f"Fewer than {LEAST_FINDING_FILMS} films: {', '.join(few)}. No linear correction is fitted for this."
        )
    if lacking := [name for name in known if not counts[name]]:
        notes.append(
            f"No film shows {' or '.join(lacking)}. The model can still answer with that, but how well is unknown."
        )
    return notes
