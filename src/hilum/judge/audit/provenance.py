"""Checks of where films come from: the same picture twice, patients on both sides, and what their source says of them.

The sources are the public sets that `hilum.data.public_sets` recognises. Where it is not sure which set a film is
from, or where the set does not say what a film shows, nothing is held against the film's label.
"""

from __future__ import annotations

from collections import defaultdict

from hilum.console import count_of
from hilum.data.fingerprint import Twin
from hilum.data.public_sets import COLLECTIONS, compare_findings
from hilum.findings import common_kinds, standard_name
from hilum.judge.audit.check import AuditData, Check, Fault, needs_training

__all__ = ["CHECKS"]

_REPAIR = "`hilum audit DATA --repair OUT.csv` writes a list of your films in which this is corrected."


def _leaks(data: AuditData) -> list[Fault]:
    records = data.scan.dataset.records
    twins_of: dict[int, list[int]] = {}
    for twin in data.scan.twins:
        for film, other in ((twin.first, twin.second), (twin.second, twin.first)):
            if data.splits[film] == "test" and data.splits[other] != "test":
                twins_of.setdefault(film, []).append(other)
    faults = []
    for film, others in twins_of.items():
        count = "a twin" if len(others) == 1 else f"{len(others)} twins"
        paths = tuple(records[position].path for position in (film, *others))
        faults.append(Fault("leak", "error", f"A test film has {count} in the training part.", paths))
    return faults


def _duplicates(data: AuditData) -> list[Fault]:
    faults = []
    for twin in data.scan.twins:
        tested = [data.splits[position] == "test" for position in (twin.first, twin.second)]
        if all(tested) or not any(tested):
            message = f"Two films of the {'test' if all(tested) else 'training'} part are {_likeness(twin)}."
            faults.append(Fault("duplicate", "note", message, _pair(data, twin), twin.correlation))
    return faults


def _label_conflicts(data: AuditData) -> list[Fault]:
    records, faults = data.scan.dataset.records, []
    for twin in data.scan.twins:
        one, other = (records[position].finding for position in (twin.first, twin.second))
        if not common_kinds([one, other], data.scan.dataset.findings):
            message = f"Two films are {_likeness(twin)}, but one is labelled {one}, the other {other}."
            faults.append(Fault("label-conflict", "error", message, _pair(data, twin), twin.correlation))
    return faults


def _likeness(twin: Twin) -> str:
    return "identical" if twin.exact else f"near-identical (correlation {twin.correlation:.3f})"


def _pair(data: AuditData, twin: Twin) -> tuple[str, ...]:
    return tuple(data.scan.dataset.records[position].path for position in (twin.first, twin.second))


def _known_sources(data: AuditData) -> list[Fault]:
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for record, one in zip(data.scan.dataset.records, data.scan.public_films, strict=False):
        if one is not None:
            paths[one.set].append(record.path)
    return [
        Fault(
            "known-source",
            "note",
            f"{'1 film is' if len(some) == 1 else f'{len(some)} films are'} recognised as being from {name}.",
            tuple(some),
            len(some),
        )
        for name, some in sorted(paths.items())
    ]


def _source_labels(data: AuditData) -> list[Fault]:
    groups: defaultdict[tuple[str, str, str, str, str], list[str]] = defaultdict(list)
    for record, one, split in zip(data.scan.dataset.records, data.scan.public_films, data.splits, strict=False):
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
        count = count_of(len(paths), f"{split} film")
        is_, its = ("is", "its") if len(paths) == 1 else ("are", "their")
        message = f"{count} {is_} labelled {filed}, but {its} source, {name}, says {source}."
        faults.append(Fault("source-label", severity, message, tuple(paths), len(paths), instead=source))
    return faults


def _patients_on_both_sides(data: AuditData) -> list[Fault]:
    records = data.scan.dataset.records
    films: defaultdict[tuple[str | None, str], list[int]] = defaultdict(list)
    for position, record in enumerate(records):
        if (patient := record.source_and_patient) is not None:
            films[patient].append(position)
    faults = []
    for members in films.values():
        others = [records[one].path for one in members if data.splits[one] != "test"]
        for position in members:
            if data.splits[position] == "test" and others:
                message = f"The patient of a test film has {count_of(len(others), 'other film')} in the training part."
                faults.append(
                    Fault("patient-overlap", "error", message, (records[position].path, *others), len(others))
                )
    return sorted(faults, key=lambda fault: fault.paths)


def _seen_before(data: AuditData) -> Fault | None:
    if data.seen is None or not data.seen.any():
        return None
    records = data.scan.dataset.records
    return Fault(
        "seen-before",
        "warning",
        f"{int(data.seen.sum())} of {len(records)} films, or a twin or patient of theirs, are among the films that the "
        "starting weights were learned from. No test or cross-validation figure counts them; calibration and "
        "thresholds rest on validation films all the same, and are too sure where those were seen.",
        tuple(record.path for record, one in zip(records, data.seen, strict=True) if one),
        float(data.seen.mean()),
    )


def _needs_two_parts(data: AuditData) -> str:
    parts = {"test" if split == "test" else "training" for split in data.splits}
    return "" if len(parts) == 2 else "The data set has no test part of its own beside a training part."


def _needs_patients(data: AuditData) -> str:
    known = any(record.patient is not None for record in data.scan.dataset.records)
    return "" if known else "No patient is known: no column `patient`, no Patient ID in DICOM, no known public set."


def _needs_recognised_films(data: AuditData) -> str:
    return "" if any(data.scan.public_films) else "No film was recognised as being from a public set."


def _needs_starting_weights(data: AuditData) -> str:
    return "" if data.seen is not None else "No training starts here from weights that have seen chest films."


CHECKS = (
    Check(
        code="leak",
        title="Test films that are also in train",
        severity="error",
        meaning="The model has seen these test films with their findings. A score on them shows nothing.",
        remedy=_REPAIR,
        find=_leaks,
        needs=(_needs_two_parts,),
        many="{n} test films are also in train.",
        shows="pairs",
    ),
    Check(
        code="patient-overlap",
        title="Patients on both sides",
        severity="error",
        meaning="Other films of these test patients are in train. A model may recognise the patient, not the disease.",
        remedy=_REPAIR,
        find=_patients_on_both_sides,
        needs=(_needs_two_parts, _needs_patients),
        many="The patients of {n} test films also have films in train.",
        shows="pairs",
    ),
    Check(
        code="label-conflict",
        title="One picture, two findings",
        severity="error",
        meaning="The same picture has two labels. One of them is wrong.",
        remedy="Ask a radiologist. `--repair` takes the finding of the majority, or drops the films.",
        find=_label_conflicts,
        many="{n} pairs of films are the same picture, but have two labels.",
        shows="pairs",
    ),
    Check(
        code="duplicate",
        title="The same picture twice on one side",
        severity="note",
        meaning="The picture counts twice. hilum keeps such films together in every split that it draws.",
        remedy="You need not do anything.",
        find=_duplicates,
        many="{n} pairs of films on one side are the same picture.",
        shows="pairs",
    ),
    Check(
        code="source-label",
        title="The source gives another finding",
        severity="error",
        meaning="The public set from which these films come gives them another finding.",
        remedy="Ask a radiologist, or correct the label.",
        find=_source_labels,
        needs=(_needs_recognised_films,),
        many="{n} groups of films have another finding at their source; the first: {first}",
        shows="films",
    ),
    Check(
        code="known-source",
        title="Films of a known public set",
        severity="note",
        meaning="These films are in a public set. Do not test on that set what was trained on them.",
        remedy="Read which flaws of that set are known.",
        find=_known_sources,
        many="{n} public sets were recognised; the first: {first}",
    ),
    Check(
        code="seen-before",
        title="Films that the starting weights have seen",
        severity="warning",
        meaning="The starting weights were learned from these films. A figure on them would be too good.",
        remedy="Start from other weights, such as ImageNet's, if these films are most of your test films.",
        find=_seen_before,
        needs=(needs_training, _needs_starting_weights),
    ),
)
