"""The audit: what is wrong with a data set, found before a model can be flattered by it.

Faults come from four sides: the same picture twice, films that no model should learn from, sizes of the classes, and
figures of what is not the lung (trivial models, traits of the files, ages). ``figures`` are computed once, and the
faults are read from them. A film whose finding is one of several is no class of its own: it is looked at and compared
with its twins, and counts in no figure of findings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.console import Console, count_of
from hilum.data.ambiguous_labels import set_apart
from hilum.data.folder import read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.errors import RefusedFilm
from hilum.findings import common_kinds
from hilum.judge.audit.ages import age_confound, age_faults
from hilum.judge.audit.associations import associate_traits, association_faults
from hilum.judge.audit.fault import SEVERITIES, Fault
from hilum.judge.audit.provenance import provenance_faults
from hilum.judge.audit.traits import FilmTraits, TraitCollector
from hilum.judge.audit.trivial_scores import score_trivial_models, trivial_faults

__all__ = ["Audit", "audit_data", "audit_figures", "audit_films", "count_films"]

SMALL_CLASS = 30
IMBALANCE_RATIO = 3.0
_KINDS = {"too-small": "low-resolution"}  # the gate's code to the kind of fault, where the words differ
_UNUSABLE = {"constant"}  # nothing can be learnt from these


@dataclass(frozen=True, eq=False)
class Audit:
    """What the audit of a data set found.

    Attributes:
        scan: The films that were read.
        splits: The split of each: as the data set says, else "train".
        traits: Of each.
        faults: Errors first.
        figures: The numbers behind them, as in audit.json.
    """

    scan: Scan
    splits: tuple[str, ...]
    traits: tuple[FilmTraits, ...]
    faults: tuple[Fault, ...]
    figures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return what audit.json holds."""
        return {"faults": [fault.to_dict() for fault in self.faults], "figures": self.figures}

    @property
    def num_errors(self) -> int:
        """Return how many faults forbid training on the data set as it is."""
        return sum(fault.severity == "error" for fault in self.faults)


def audit_data(data: Path, *, seed: int = 0, console: Console | None = None) -> Audit:
    """Audit a data set as it lies on disk; nothing is written.

    Args:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV manifest.
        seed: Decides the folds of the cross-validations.
        console: Where progress goes; nowhere by default.

    Raises:
        InputError: The data set cannot be used.
        MissingExtra: scikit-learn is not installed.
    """
    console = console or Console()
    dataset = read_dataset(data)
    look = TraitCollector(len(dataset.records))
    with console.bar(f"Reading {count_of(len(dataset.records), 'film')} of {dataset.name}", 1.0) as done:
        scan = scan_films(dataset, look=look, done=done)
    traits = look.of(scan)
    splits = tuple(record.split or "train" for record in scan.dataset.records)
    with console.bar("Asking what trivial models score", 1.0) as done:
        figures = audit_figures(scan, splits, traits, seed=seed, done=done)
    return Audit(scan, splits, traits, tuple(audit_films(scan, splits, traits, figures)), figures)


def audit_films(
    scan: Scan,
    splits: Sequence[str],
    traits: Sequence[FilmTraits] = (),
    figures: Mapping[str, Any] | None = None,
) -> list[Fault]:
    """Return the faults of a data set, errors first.

    Args:
        scan: The films.
        splits: The split of each film that could be read.
        traits: Of each; without them nothing but twins, sizes and unread films is looked at.
        figures: What audit_figures returned for the same films and traits.
    """
    stated, its_splits, its_traits = _stated(scan, splits, traits)
    faults = [
        *(Fault(one.kind, one.severity, one.message, one.paths) for one in scan.dataset.remarks),
        *_twins(scan, splits),
        *provenance_faults(scan, splits),
        *_unreadable(scan),
        *_class_sizes(stated, its_splits),
    ]
    if traits and figures:
        faults += [
            *_refusals(scan, traits),
            *trivial_faults(figures["trivial_models"]),
            *association_faults(figures["traits"], stated, its_splits, its_traits, _sets(stated)),
            *age_faults(figures["ages"]),
        ]
    return sorted(faults, key=lambda fault: (SEVERITIES.index(fault.severity), fault.kind))


def audit_figures(
    scan: Scan,
    splits: Sequence[str],
    traits: Sequence[FilmTraits] = (),
    *,
    seed: int = 0,
    done: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the numbers of audit.json: films, groups and findings by split, trivial models, traits and ages.

    Args:
        scan: The films.
        splits: The split of each film that could be read.
        traits: Of each; without them the figures are counts only.
        seed: Decides the folds of the cross-validations.
        done: Called with the share of the work that has been done since the last call.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    figures: dict[str, Any] = {
        "num_films": len(scan.dataset.records),
        "num_unreadable": scan.num_unread,
        "num_refused": scan.num_refused,
        "num_groups": len(set(scan.groups.tolist())),
        "num_twin_pairs": len(scan.twins),
        "films": count_films(scan, splits),
    }
    if traits:
        stated, its_splits, its_traits = _stated(scan, splits, traits)
        figures["trivial_models"] = score_trivial_models(stated, its_splits, its_traits, seed=seed, done=done)
        figures["traits"] = associate_traits(stated, its_splits, its_traits, _sets(stated))
        figures["ages"] = age_confound(stated, its_splits, its_traits, _sets(stated))
    return figures


def count_films(scan: Scan, splits: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the number of films of each finding, by split."""
    counts = Counter((split, record.finding) for split, record in zip(splits, scan.dataset.records, strict=True))
    return {
        split: {finding: counts[split, finding] for finding in scan.dataset.findings}
        for split in ("train", "validation", "test")
    }


def _stated(
    scan: Scan, splits: Sequence[str], traits: Sequence[FilmTraits]
) -> tuple[Scan, tuple[str, ...], tuple[FilmTraits, ...]]:
    """Return the films whose finding is stated, with the split and the traits of each."""
    stated, apart = set_apart(scan)
    left_out = set(apart.positions.tolist())
    kept = [position for position in range(len(splits)) if position not in left_out]
    return stated, tuple(splits[i] for i in kept), tuple(traits[i] for i in kept) if traits else ()


def _sets(scan: Scan) -> tuple[str | None, ...]:
    """Return the public set that each film was recognised as: a source, and what ages it holds."""
    return tuple(one.set if one else None for one in scan.known)


def _twins(scan: Scan, splits: Sequence[str]) -> list[Fault]:
    records = scan.dataset.records
    leaks: dict[int, list[int]] = {}
    faults = []
    for twin in scan.twins:
        pair = (twin.first, twin.second)
        paths = tuple(records[position].path for position in pair)
        likeness = "identical" if twin.exact else f"near-identical (correlation {twin.correlation:.3f})"
        findings = [records[position].finding for position in pair]
        tested = [position for position in pair if splits[position] == "test"]
        if len(tested) == 1:
            other = twin.second if tested[0] == twin.first else twin.first
            leaks.setdefault(tested[0], []).append(other)
        else:
            message = f"Two films of the {'test' if tested else 'training'} part are {likeness}."
            faults.append(Fault("duplicate", "note", message, paths, twin.correlation))
        if not common_kinds(findings, scan.dataset.findings):
            message = f"Two films are {likeness}, but one is filed under {findings[0]}, the other under {findings[1]}."
            faults.append(Fault("label-conflict", "error", message, paths, twin.correlation))
    for test_film, others in leaks.items():
        where = "has a twin" if len(others) == 1 else f"has {len(others)} twins"
        paths = tuple(records[position].path for position in (test_film, *others))
        faults.append(Fault("leak", "error", f"A test film {where} in the training part.", paths))
    return faults


def _unreadable(scan: Scan) -> list[Fault]:
    return [
        Fault("refused" if isinstance(error, RefusedFilm) else "unreadable", "warning", str(error), (path,))
        for path, error in scan.unread
    ]


def _refusals(scan: Scan, traits: Sequence[FilmTraits]) -> list[Fault]:
    """Return one fault for each reason for which the gate would refuse films."""
    found: dict[str, list[tuple[str, str]]] = {}
    for record, one in zip(scan.dataset.records, traits, strict=True):
        for reason in one.reasons:
            found.setdefault(reason.code, []).append((record.path, reason.message))
    faults = []
    for code, films in found.items():
        first = films[0][1]
        message = first if len(films) == 1 else f"{len(films)} films would be refused; of the first: {first}"
        severity = "error" if code in _UNUSABLE else "warning"
        faults.append(Fault(_KINDS.get(code, code), severity, message, tuple(path for path, _ in films), len(films)))
    return faults


def _class_sizes(scan: Scan, splits: Sequence[str]) -> list[Fault]:
    counts = Counter(
        record.finding for record, split in zip(scan.dataset.records, splits, strict=True) if split != "test"
    )
    faults = [
        Fault("small-class", "warning", f"Only {count} training films show {finding}.", (), count)
        for finding, count in sorted(counts.items())
        if count < SMALL_CLASS
    ]
    most, least = max(counts.values(), default=0), min(counts.values(), default=0)
    if least and most / least > IMBALANCE_RATIO:
        message = f"The largest finding has {most / least:.1f} times as many training films as the smallest."
        faults.append(Fault("imbalance", "note", message, (), most / least))
    return faults
