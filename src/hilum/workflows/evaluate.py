"""Measuring a model file on films with known findings, through the runtime plane: as it is served, so it is judged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hilum.console import Console, count_of
from hilum.data.fingerprint import seen_films
from hilum.data.folder import read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.data.split import clean_test, write_splits
from hilum.errors import InconsistentDataset, InputError
from hilum.figures import json_file_text
from hilum.files import replace_file
from hilum.film.radiograph import Radiograph
from hilum.judge.external.figures import (
    in_house_comparison,
    name_hints,
    pneumonia_figures,
    rename_findings,
    unknown_figures,
)
from hilum.judge.predictions import figures_of, judge_records
from hilum.judge.shortcuts.measure import find_shortcuts
from hilum.judge.subgroups import film_key, manifest_columns, traits_of
from hilum.report.answers import answers_section
from hilum.report.external import external_section
from hilum.report.page import Section
from hilum.report.predictions import predictions_csv, scored_of, worst_mistakes
from hilum.report.run_page import ReportData, report_page
from hilum.report.shortcuts import shortcuts_sections, summary_line
from hilum.results import ResultFolder
from hilum.run.classifier import Classifier

__all__ = ["evaluate_model"]

_FOLDER = ResultFolder(
    of="evaluation",
    finished="earlier results; they were",
    files=("metrics.json", "predictions.csv", "splits.csv", "report.html", "shortcuts.json"),
    marks={"metrics.json": frozenset({"test", "test_clean", "trained_on"})},
    others=("config.toml",),
    is_alone=True,
)


def evaluate_model(
    model: Path,
    data: Path,
    out: Path,
    *,
    mapping: Sequence[str] = (),
    overwrite: bool = False,
    shortcuts: bool = False,
    console: Console | None = None,
) -> tuple[dict[str, Any], int]:
    """Judge a model file on a data set and leave metrics.json, predictions.csv, splits.csv and report.html in a folder.

    Args:
        model: The model file.
        data: A data set; its test part is judged where it has one, else all of it.
        out: The folder for the results.
        mapping: Texts "Their name=Our finding", for findings that the data set calls otherwise.
        overwrite: Whether earlier results there are replaced.
        shortcuts: Whether the model's shortcuts are measured too, into shortcuts.json and the report.
        console: Where messages and progress go; nowhere by default.

    Returns:
        What metrics.json holds, and how many films could not be read.

    Raises:
        InputError: The data set cannot be used, or the results cannot be written.
        ModelFileError: The model file cannot be used.
    """
    console = console or Console()
    if os.path.lexists(out / ".work"):
        raise InputError(f"`{out}` holds an unfinished training run; it was not touched.", fix="Choose another folder.")
    _FOLDER.check(out, overwrite=overwrite, reads=(model, *(() if data.is_dir() else (data,))))
    classifier = Classifier(model)
    dataset = rename_findings(read_dataset(data, min_findings=1), mapping, classifier.findings)
    with console.bar(f"Reading {count_of(len(dataset.records), 'film')} of {dataset.name}", 1.0) as done:
        columns = manifest_columns(data) if shortcuts else {}
        traits: dict[str, dict[str, str]] = {}

        def note(position: int, radiograph: Radiograph) -> None:
            path = dataset.records[position].path
            traits[path] = columns.get(film_key(dataset.root, path), {}) | traits_of(radiograph)

        scan = scan_films(dataset, visit=note if shortcuts else None, done=done)
    for remark in scan.dataset.remarks:
        console.say(remark.message)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder `{out}`: {error.strerror}.", fix="Choose another folder.") from error
    metrics = _evaluate(classifier, scan, out, console, probed=model if shortcuts else None, traits=traits)
    return metrics, scan.num_unread


def _evaluate(
    classifier: Classifier,
    scan: Scan,
    out: Path,
    console: Console,
    *,
    probed: Path | None,
    traits: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    records, known = scan.dataset.records, classifier.findings
    splits = ["test"] * len(records)  # without a test part all films are judged, a lone train/ too
    if scan.dataset.has_test:
        splits = [record.split or "train" for record in records]
    notes = [f"Left out, as unreadable: {count_of(scan.num_unread, 'film')}."] if scan.num_unread else []
    if scan.num_refused:
        notes.append(f"Left out, as they are no films of a chest: {count_of(scan.num_refused, 'film')}.")
    strange = sorted({record.finding for record in records} - set(known))
    if strange:
        notes.append(f"Left out, since the model does not know them: films of {', '.join(strange)}.")
        console.say(notes[-1])
        for hint in name_hints(strange, known):
            console.say(hint)
    judged = np.array([s == "test" and r.finding in known for s, r in zip(splits, records, strict=True)], dtype=bool)
    if not judged.any():
        raise InconsistentDataset(
            f"No film shows a finding that the model knows; it tells apart {', '.join(known)}.",
            fix="Rename the folders, or choose another model.",
        )
    others = np.array([split == "test" for split in splits], dtype=bool) & ~judged
    with console.bar(f"Judging {count_of(int(judged.sum()), 'film')}", 1.0) as done:
        chosen = [records[position] for position in np.flatnonzero(judged)]
        verdicts = judge_records(classifier, scan.dataset.root, chosen, done=done)
    chosen = [records[position] for position in np.flatnonzero(others)]
    unknown = verdicts.part(np.zeros(0, dtype=np.int64))
    if chosen:
        with console.bar(
            f"Judging {count_of(len(chosen), 'film')} of findings that the model does not know", 1.0
        ) as done:
            unknown = judge_records(classifier, scan.dataset.root, chosen, known_only=False, done=done)
    seen = seen_films(scan.fingerprints, classifier.metadata.training_data.get("dhash256"))
    trained_on = (
        [record.path for record, one in zip(records, seen & judged, strict=True) if one] if seen is not None else []
    )
    clean = clean_test(records, splits, scan.groups)
    if trained_on:
        clean &= ~np.isin(scan.groups, scan.groups[seen])
        notes.append(
            f"{len(trained_on)} of the {judged.sum()} films, or near twins of them, were trained on: they count in the "
            "test, not in the clean test."
        )
        console.say(notes[-1])
    clean = clean[judged]
    groups = scan.groups[judged]
    metrics: dict[str, Any] = {
        "test": figures_of(verdicts, groups, classifier),
        "test_clean": figures_of(verdicts.part(clean), groups[clean], classifier),
        "validation": None,
        "cross_validation": None,
    }
    metrics |= {
        "in_house": in_house_comparison(classifier.metadata.figures, metrics),
        "trained_on": None if seen is None else {"n": len(trained_on), "paths": trained_on},
        "unknown_findings": unknown_figures(unknown.records, unknown.answers),
        "pneumonia": pneumonia_figures(
            (*verdicts.records, *unknown.records),
            (*verdicts.answers, *unknown.answers),
            known,
            np.concatenate((groups, scan.groups[others])),
        ),
    }
    sections: tuple[Section, ...] = ()
    found: dict[str, Any] | None = None
    if probed is not None:
        part = "test_clean" if clean.any() else "test"
        kept = clean if clean.any() else np.ones_like(clean)
        shortcuts = find_shortcuts(
            classifier,
            probed,
            scan.dataset.root,
            verdicts.part(kept),
            groups=groups[kept],
            traits=traits,
            part=part,
            console=console,
        )
        found, sections = shortcuts.figures, shortcuts_sections(shortcuts)
        console.say(summary_line(found))
    page = report_page(
        ReportData(
            title=f"{classifier.metadata.name} on {scan.dataset.name}",
            findings=known,
            metrics=metrics,
            parts={"test": scored_of(verdicts)},
            mistakes=worst_mistakes(verdicts, classifier, scan.dataset.root),
            facts=[("Model", classifier.metadata.name), ("SHA-256", classifier.identity["sha256"])],
            notes=notes,
            sections=[
                *([section] if (section := external_section(metrics)) else []),
                *sections,
                answers_section({"test": verdicts}, classifier.metadata),
            ],
            caution=found["verdict"]["words"] if found else "",
        )
    )
    write_splits(out / "splits.csv", records, splits, scan.groups)
    replace_file(out / "predictions.csv", predictions_csv([("test", verdicts), ("unknown", unknown)]))
    replace_file(out / "report.html", page)
    if found is None:  # an earlier model's would stand beside this one's figures
        (out / "shortcuts.json").unlink(missing_ok=True)
    else:
        replace_file(out / "shortcuts.json", json_file_text(found))
    replace_file(out / "metrics.json", json_file_text(metrics))
    return metrics
