"""What a model is adapted to: the options, local films as they are read, and those that are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.console import Console, count_of
from hilum.data.fingerprint import seen_films
from hilum.data.folder import FilmRecord, name_hints, read_dataset, rename_findings
from hilum.data.scan import Scan, scan_films
from hilum.errors import InconsistentDataset, InputError
from hilum.judge.adaptation import LeftOut
from hilum.judge.audit.associations import associate_traits, association_faults
from hilum.judge.audit.check import Films
from hilum.judge.conformal import films_needed
from hilum.results import ResultFolder
from hilum.run.classifier import Classifier
from hilum.train.correction import LEAST_FINDING_FILMS

__all__ = [
    "ADAPTED_FOLDER",
    "LEAST_FILMS",
    "AdaptOptions",
    "LocalSet",
    "few_notes",
    "read_local",
    "sample_films",
    "source_notes",
    "trained_films",
]

LEAST_FILMS = 20
_COVERAGE = 0.9  # that sets promise where nothing else is asked for
_LOWEST_COVERAGE, _HIGHEST_COVERAGE = 0.5, 0.99
_CHECKED_FILMS = 32
ADAPTED_FOLDER = ResultFolder(
    of="adapted model",
    finished="an adapted model",
    files=("model.onnx", "metrics.json", "predictions.csv", "report.html", "config.toml"),
    marks={"metrics.json": frozenset({"adaptation", "cross_validation"})},
    others=("splits.csv", "history.csv", "audit.json"),
    is_alone=True,
)


@dataclass(frozen=True)
class AdaptOptions:
    """How films are read, and what is put up with.

    Attributes:
        mapping: Texts "Their name=Our finding", for findings that have another name in the data set.
        ignore: Kinds of faults that do not count; ``class-by-source`` for films whose finding goes with their source.
        overwrite: Whether an earlier adapted model in the folder is replaced.
        coverage: Share of local films whose set of possible findings is made to hold the true one; None for 0.9. It is
            not taken over from the model: a shipped model leaves a margin for hospitals that it does not know.
    """

    mapping: Sequence[str] = ()
    ignore: Sequence[str] = ()
    overwrite: bool = False
    coverage: float | None = None

    @property
    def promised(self) -> float:
        """Return the coverage that holds."""
        return _COVERAGE if self.coverage is None else self.coverage

    def __post_init__(self) -> None:
        if not _LOWEST_COVERAGE <= self.promised <= _HIGHEST_COVERAGE:
            raise InputError(
                f"The coverage must lie between {_LOWEST_COVERAGE} and {_HIGHEST_COVERAGE}; received {self.coverage}.",
                fix="Write 0.95 for 95 % of the films.",
            )

    def check_promise(self, num_films: int) -> None:
        """Refuse a coverage that so few films cannot carry: every set would hold every finding."""
        coverage = self.promised
        if num_films < films_needed(coverage):
            raise InputError(
                f"A coverage of {coverage:g} needs at least {films_needed(coverage)} films; received {num_films}.",
                fix="Add films, or ask for a smaller share.",
            )


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


def sample_films(classifier: Classifier, root: Path, records: Sequence[FilmRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Return a few films as a model's graph takes them, (m, 1, S, S), and their places among the records, (m,)."""
    places = np.linspace(0, len(records) - 1, min(_CHECKED_FILMS, len(records))).astype(int)
    return np.stack([classifier.preprocess(classifier.read(root / records[one].path)) for one in places]), places
