"""Measuring a model file on films with known findings, through the runtime plane: as it is served, so it is judged."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hilum.console import Console, count_of
from hilum.data.fingerprint import seen_films
from hilum.data.run_tables import write_splits
from hilum.data.scan import Scan
from hilum.data.split import clean_test
from hilum.errors import InputError
from hilum.figures import json_file_text
from hilum.files import make_folder, replace_file
from hilum.judge.audit.audit import all_checks
from hilum.judge.audit.check import AuditData, Fault, run_checks
from hilum.judge.external import pneumonia_figures, unknown_figures
from hilum.judge.in_house import EvaluationMetrics, TrainedOn, in_house_comparison
from hilum.judge.parts import Metrics, headline_parts, judged_parts
from hilum.judge.predictions import LabelledPredictions, ProbedFilms, figures_of, judge_records
from hilum.judge.prevalence import AtPrevalence, at_prevalence, check_prevalence
from hilum.judge.shortcuts.lungs_hidden import score_lungs_hidden
from hilum.judge.shortcuts.measure import Shortcuts, find_shortcuts
from hilum.judge.verdict import judge_figures
from hilum.report.external import external_section, patient_sections, prevalence_section
from hilum.report.predictions import answers_section, predictions_csv, scored_of, worst_mistakes
from hilum.report.run_page import ReportData, report_page
from hilum.report.shortcuts import shortcuts_sections, summary_line
from hilum.results import ResultFolder
from hilum.run.classifier import Classifier
from hilum.workflows.evaluated_films import EvaluatedFilms, read_evaluated

__all__ = ["EvaluateOptions", "evaluate_model"]

_FOLDER = ResultFolder(
    of="evaluation",
    finished="earlier results",
    files=("metrics.json", "predictions.csv", "splits.csv", "report.html", "shortcuts.json"),
    marks={"metrics.json": frozenset({"test", "test_clean", "trained_on"})},
    others=("config.toml",),
    is_alone=True,
)


@dataclass(frozen=True)
class EvaluateOptions:
    """What is asked for besides the figures.

    Attributes:
        mapping: Texts "Their name=Our finding", for findings that have another name in the data set.
        overwrite: Whether earlier results in the folder are replaced.
        shortcuts: Whether the model's shortcuts are measured too, into shortcuts.json and the report.
        prevalence: The share of films that have a finding, for predictive values; None for none.
    """

    mapping: Sequence[str] = ()
    overwrite: bool = False
    shortcuts: bool = False
    prevalence: float | None = None


@dataclass(frozen=True, eq=False)
class _Judged:
    """What the model says of the test films.

    Attributes:
        known: Of the m films of findings that it knows.
        unknown: Of those of other findings.
        groups: (m,) int.
        unknown_groups: Those of the unknown.
        clean: (m,) bool, films without a twin or a known patient in training.
        trained_on: The films that it was trained on; None where the model file does not tell.
        notes: What the report says of films that are left out.
    """

    known: LabelledPredictions
    unknown: LabelledPredictions
    groups: np.ndarray
    unknown_groups: np.ndarray
    clean: np.ndarray
    trained_on: TrainedOn | None
    notes: tuple[str, ...]


def evaluate_model(
    model: Path,
    data: Path,
    out: Path,
    *,
    options: EvaluateOptions = EvaluateOptions(),
    console: Console | None = None,
) -> tuple[EvaluationMetrics, int]:
    """Judge a model file on a data set and leave metrics.json, predictions.csv, splits.csv and report.html in a folder.

    Args:
        model: The model file.
        data: A data set; its test part is judged where it has one, else all of it.
        out: The folder for the results.
        options: What else is asked for.
        console: Where messages and progress go; nowhere by default.

    Returns:
        What metrics.json holds, and how many films could not be read.

    Raises:
        InputError: The data set cannot be used, or the results cannot be written.
        ModelFileError: The model file cannot be used.
    """
    console, shortcuts = console or Console(), options.shortcuts
    if options.prevalence is not None:
        check_prevalence(options.prevalence)
    if os.path.lexists(out / ".work"):
        raise InputError(
            f"`{out}` holds an unfinished training run. Nothing in it was changed.", fix="Choose another folder."
        )
    _FOLDER.check(out, overwrite=options.overwrite, reads=(model, *(() if data.is_dir() else (data,))))
    classifier = Classifier(model)
    read = read_evaluated(data, options.mapping, classifier.findings, with_traits=shortcuts, console=console)
    make_folder(out)
    judged = _judge(classifier, read, console)
    films = _probed(read, judged)
    with console.bar("Judging films again with the lungs hidden", 1.0) as done:
        hidden = score_lungs_hidden(classifier, films, done=done)
    metrics = replace(_measure(classifier, judged), lungs_hidden=hidden, subgroups=films.patient_groups())
    found = find_shortcuts(classifier, model, films, console=console) if shortcuts else None
    if found:
        console.say(summary_line(found.figures))
    faults = _faults(read, found)
    metrics = replace(
        metrics, verdict=judge_figures(metrics, faults), at_prevalence=_at_prevalence(metrics, options.prevalence)
    )
    page = _page(classifier, read.scan, judged, metrics, found, faults=faults)
    write_splits(out / "splits.csv", read.scan.dataset.records, read.splits, read.scan.groups)
    replace_file(out / "predictions.csv", predictions_csv([("test", judged.known), ("unknown", judged.unknown)]))
    replace_file(out / "report.html", page)
    if found is None:  # an earlier model's would stand beside this one's figures
        (out / "shortcuts.json").unlink(missing_ok=True)
    else:
        replace_file(out / "shortcuts.json", json_file_text(found.figures))
    replace_file(out / "metrics.json", json_file_text(metrics))
    return metrics, read.scan.num_unread


def _judge(classifier: Classifier, read: EvaluatedFilms, console: Console) -> _Judged:
    """Let the model judge the test films, and find out which of them it was trained on."""
    scan, root = read.scan, read.scan.dataset.root
    records, groups = scan.dataset.records, scan.groups
    films = [records[position] for position in np.flatnonzero(read.known)]
    known = judge_records(classifier, root, films, console=console)
    others = [records[position] for position in np.flatnonzero(read.unknown)]
    label = f"Judging {count_of(len(others), 'film')} of findings that the model does not know"
    unknown = judge_records(classifier, root, others, known_only=False, console=console, label=label)
    clean, notes, trained_on = clean_test(read.splits, groups), read.notes, None
    seen = seen_films(scan.fingerprints, classifier.metadata.training_data.get("dhash256"))
    if seen is not None:
        paths = tuple(records[position].path for position in np.flatnonzero(seen & read.known))
        trained_on = TrainedOn(len(paths), paths)
        if paths:
            clean &= ~np.isin(groups, groups[seen])
            note = (
                f"{len(paths)} of the {len(films)} films, or near twins of them, were trained on. They count in the "
                "test, but not in the clean test."
            )
            console.say(note)
            notes = (*notes, note)
    return _Judged(known, unknown, groups[read.known], groups[read.unknown], clean[read.known], trained_on, notes)


def _measure(classifier: Classifier, judged: _Judged) -> EvaluationMetrics:
    """Return every figure of metrics.json."""
    known, unknown, clean = judged.known, judged.unknown, judged.clean
    parts = Metrics(
        test=figures_of(known, judged.groups, classifier),
        test_clean=figures_of(known.part(clean), judged.groups[clean], classifier),
    )
    return EvaluationMetrics(
        test=parts.test,
        test_clean=parts.test_clean,
        in_house=in_house_comparison(classifier.metadata.figures, parts),
        trained_on=judged.trained_on,
        unknown_findings=unknown_figures(unknown.records, unknown.answers),
        pneumonia=pneumonia_figures(
            (*known.records, *unknown.records),
            (*known.answers, *unknown.answers),
            classifier.findings,
            np.concatenate((judged.groups, judged.unknown_groups)),
        ),
    )


def _at_prevalence(metrics: EvaluationMetrics, prevalence: float | None) -> AtPrevalence | None:
    """Return the predictive values on the most trustworthy films; None where none are asked for."""
    judged = judged_parts(metrics)
    if prevalence is None or not judged:
        return None
    return at_prevalence(judged[headline_parts(judged)[0]], prevalence)


def _probed(read: EvaluatedFilms, judged: _Judged) -> ProbedFilms:
    """Return the films on which shortcuts are looked for: the clean test films, or all where none is clean."""
    is_clean = bool(judged.clean.any())
    kept = judged.clean if is_clean else np.ones_like(judged.clean)
    part, root = "test_clean" if is_clean else "test", read.scan.dataset.root
    return ProbedFilms(root, judged.known.part(kept), judged.groups[kept], read.traits, part=part)


def _page(
    classifier: Classifier,
    scan: Scan,
    judged: _Judged,
    metrics: EvaluationMetrics,
    shortcuts: Shortcuts | None,
    *,
    faults: Sequence[Fault],
) -> str:
    external = external_section(metrics)
    return report_page(
        ReportData(
            title=f"{classifier.metadata.name} on {scan.dataset.name}",
            findings=classifier.findings,
            metrics=metrics,
            parts={"test": scored_of(judged.known)},
            mistakes=worst_mistakes(judged.known, classifier, scan.dataset.root),
            facts=[("Model", classifier.metadata.name), ("SHA-256", classifier.identity["sha256"])],
            faults=faults,
            notes=judged.notes,
            sections=[
                *([prevalence_section(metrics.at_prevalence)] if metrics.at_prevalence else []),
                *patient_sections(metrics.subgroups),
                *([external] if external else []),
                *(shortcuts_sections(shortcuts) if shortcuts else ()),
                answers_section({"test": judged.known}, classifier.metadata),
            ],
            caution=shortcuts.figures.verdict.words if shortcuts else "",
        )
    )


def _faults(read: EvaluatedFilms, shortcuts: Shortcuts | None) -> list[Fault]:
    """Return what is wrong with the films and, if its shortcuts were measured, with the model; without notes."""
    verdict = shortcuts.figures.verdict if shortcuts else None
    data = AuditData(read.scan, tuple(read.splits), shortcut=verdict, is_trained_on=False)
    return [fault for fault in run_checks(data, all_checks()).faults if fault.severity != "note"]
