"""The audit: what is wrong with a data set, found before a model can be flattered by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hilum.data.scan import Scan
from hilum.judge.fault import SEVERITIES, Fault

__all__ = ["audit_figures", "audit_films"]

SMALL_CLASS = 30
IMBALANCE_RATIO = 3.0


def audit_films(scan: Scan, splits: Sequence[str]) -> list[Fault]:
    """Return the faults of a data set, errors first.

    Args:
        scan: The films.
        splits: The split of each film that could be read.
    """
    faults = [*_twins(scan, splits), *_unreadable(scan), *_class_sizes(scan, splits)]
    return sorted(faults, key=lambda fault: (SEVERITIES.index(fault.severity), fault.kind))


def audit_figures(scan: Scan, splits: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of audit.json: films, groups and findings by split."""
    records = scan.dataset.records
    counts = Counter((split, record.finding) for split, record in zip(splits, records, strict=True))
    return {
        "num_films": len(records),
        "num_unreadable": len(scan.unread),
        "num_groups": len(set(scan.groups.tolist())),
        "num_twin_pairs": len(scan.twins),
        "films": {
            split: {finding: counts[split, finding] for finding in scan.dataset.findings}
            for split in ("train", "validation", "test")
        },
    }


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
        if findings[0] != findings[1]:
            message = f"Two films are {likeness}, but one is filed under {findings[0]}, the other under {findings[1]}."
            faults.append(Fault("label-conflict", "error", message, paths, twin.correlation))
    for test_film, others in leaks.items():
        where = "has a twin" if len(others) == 1 else f"has {len(others)} twins"
        paths = tuple(records[position].path for position in (test_film, *others))
        faults.append(Fault("leak", "error", f"A test film {where} in the training part.", paths))
    return faults


def _unreadable(scan: Scan) -> list[Fault]:
    return [Fault("unreadable", "warning", str(error), (path,)) for path, error in scan.unread]


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
