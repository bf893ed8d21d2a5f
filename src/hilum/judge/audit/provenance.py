"""Where films came from, and what that gives away: findings that their source contradicts, patients on both sides.

The sources are those that data.known recognises; what it cannot tell for sure, or what a source does not say, accuses
nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hilum.data.public_sets import COLLECTIONS, compare_findings
from hilum.data.scan import Scan
from hilum.findings import standard_name
from hilum.judge.audit.fault import Fault

__all__ = ["provenance_faults"]


def provenance_faults(scan: Scan, splits: Sequence[str]) -> list[Fault]:
    """Return what the sources of films say against a data set.

    The kinds are ``known-source`` (a note for each public set), ``source-label`` (films filed under one finding whose
    source says another, one fault for each pair of findings and part of the data set) and ``patient-overlap`` (a test
    film whose patient also has films in the other parts). A ``source-label`` is an error where the set that the films
    first came from says another finding; a warning where it does not say which type of pneumonia, or where only a
    collection of other sets is known.

    Args:
        scan: The films.
        splits: The split of each film that could be read.

    Returns:
        The faults, by kind.
    """
    return [*_sources(scan), *_labels(scan, splits), *_patients(scan, splits)]


def _sources(scan: Scan) -> list[Fault]:
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for record, one in zip(scan.dataset.records, scan.known, strict=False):
        if one is not None:
            paths[one.set].append(record.path)
    return [
        Fault("known-source", "note", f"{_films(len(some))} recognised as being from {name}.", tuple(some), len(some))
        for name, some in sorted(paths.items())
    ]


def _labels(scan: Scan, splits: Sequence[str]) -> list[Fault]:
    groups: defaultdict[tuple[str, str, str, str, str], list[str]] = defaultdict(list)
    for record, one, split in zip(scan.dataset.records, scan.known, splits, strict=False):
        if one is None or one.ambiguous:
            continue
        relation = compare_findings(record.finding, one.finding)
        if relation not in {"disagrees", "less specific"}:
            continue
        sure = relation == "disagrees" and one.set not in COLLECTIONS
        severity = "error" if sure else "warning"
        groups[severity, record.finding, standard_name(one.finding), one.set, split].append(record.path)
    faults = []
    for (severity, filed, source, name, split), paths in sorted(groups.items()):
        message = (
            f"{len(paths)} {split} film{'s' if len(paths) > 1 else ''} filed under {filed}: "
            f"the source, {name}, says {source}."
        )
        faults.append(Fault("source-label", severity, message, tuple(paths), len(paths)))
    return faults


def _patients(scan: Scan, splits: Sequence[str]) -> list[Fault]:
    films: defaultdict[tuple[str | None, str], list[int]] = defaultdict(list)
    for position, record in enumerate(scan.dataset.records):
        if record.patient is not None:
            films[record.source, record.patient].append(position)
    faults = []
    for members in films.values():
        others = [scan.dataset.records[one].path for one in members if splits[one] != "test"]
        for position in members:
            if splits[position] == "test" and others:
                count = f"{len(others)} other film{'s' if len(others) > 1 else ''}"
                message = f"The patient of a test film has {count} in the training part."
                paths = (scan.dataset.records[position].path, *others)
                faults.append(Fault("patient-overlap", "error", message, paths, len(others)))
    return sorted(faults, key=lambda fault: fault.paths)


def _films(count: int) -> str:
    return "1 film is" if count == 1 else f"{count} films are"
