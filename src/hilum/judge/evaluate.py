"""Measuring a model file on films with known findings, through the runtime plane: as it is served, so it is judged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hilum.console import Console
from hilum.data.folder import FilmRecord, read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.data.split import clean_test
from hilum.errors import InconsistentDataset, InputError
from hilum.files import replace_file
from hilum.judge.metrics import performance
from hilum.judge.plots import Scored
from hilum.judge.report import Mistake, ReportData, report_page
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier
from hilum.run.heatmap import overlay
from hilum.run.stream import judge_films

__all__ = ["Verdicts", "evaluate_model", "figures_of", "judge_records", "predictions_csv", "worst_mistakes"]

_PICTURE_PX = 320
_RESULTS = ("metrics.json", "predictions.csv", "report.html")


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What a model says of films whose findings are known.

    Attributes:
        records: The films, n of them.
        findings: The model's findings, K of them.
        truth: (n,) int, index of the true finding.
        logits: (n, K) float32, before calibration.
        probabilities: (n, K) float64.
        answers: One a film.
    """

    records: tuple[FilmRecord, ...]
    findings: tuple[str, ...]
    truth: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    answers: tuple[Answer, ...]

    def part(self, chosen: np.ndarray) -> Verdicts:
        """Return some of the verdicts, by a mask (n,) or by positions."""
        positions = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Verdicts(
            tuple(self.records[i] for i in positions),
            self.findings,
            self.truth[positions],
            self.logits[positions],
            self.probabilities[positions],
            tuple(self.answers[i] for i in positions),
        )


def judge_records(
    classifier: Classifier, root: Path, records: Sequence[FilmRecord], *, done: Callable[[float], None] = lambda _: None
) -> Verdicts:
    """Let a model judge films that are known to be readable.

    Args:
        classifier: The model.
        root: The folder the records' paths are relative to.
        records: Films whose findings the model knows.
        done: Called after each film with the share of all films it makes up.

    Raises:
        InconsistentDataset: A finding is none of the model's, or a film can no longer be read.
    """
    findings = classifier.findings
    unknown = sorted({record.finding for record in records} - set(findings))
    if unknown:
        raise InconsistentDataset(
            f"The model does not know the findings {', '.join(unknown)}; it tells apart {', '.join(findings)}.",
            fix="Leave those films out, or rename the folders.",
        )
    answers = []
    for answer in judge_films(classifier, (root / record.path for record in records)):
        if isinstance(answer, UnreadFilm):
            raise answer.error
        answers.append(answer)
        done(1 / len(records))
    shape = (len(answers), len(findings))
    return Verdicts(
        tuple(records),
        findings,
        np.array([findings.index(record.finding) for record in records], dtype=np.int64),
        np.array([answer.logits for answer in answers], dtype=np.float32).reshape(shape),
        np.array([list(answer.probabilities.values()) for answer in answers]).reshape(shape),
        tuple(answers),
    )


def figures_of(verdicts: Verdicts, groups: np.ndarray, classifier: Classifier, *, seed: int = 0) -> dict[str, Any]:
    """Return the figures of one part as metrics.json holds them; refused films count with their likeliest finding."""
    thresholds = {name: classifier.metadata.operating_thresholds.get(name, 0.5) for name in verdicts.findings}
    return performance(
        verdicts.truth,
        verdicts.probabilities,
        verdicts.findings,
        groups=groups,
        operating_thresholds=thresholds,
        seed=seed,
    )


def predictions_csv(parts: Sequence[tuple[str, Verdicts]]) -> str:
    """Return predictions.csv: path, part, finding, predicted, accepted, and the probability of every finding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    findings = parts[0][1].findings if parts else ()
    writer.writerow(["path", "part", "finding", "predicted", "accepted", *(f"probability_{name}" for name in findings)])
    for part, verdicts in parts:
        for record, answer in zip(verdicts.records, verdicts.answers, strict=True):
            probabilities = (f"{answer.probabilities[name]:.6f}" for name in findings)
            accepted = str(answer.accepted).lower()
            writer.writerow([record.path, part, record.finding, answer.likeliest, accepted, *probabilities])
    return text.getvalue()


def worst_mistakes(verdicts: Verdicts, classifier: Classifier, root: Path, *, most: int = 12) -> tuple[Mistake, ...]:
    """Return the surest wrong answers with film and heat map, surest first."""
    predicted = verdicts.probabilities.argmax(axis=1)
    sureness = verdicts.probabilities.max(axis=1, initial=0)
    wrong = np.flatnonzero(predicted != verdicts.truth)
    mistakes = []
    for position in wrong[np.argsort(-sureness[wrong], kind="stable")][:most]:
        record = verdicts.records[position]
        radiograph = classifier.read_for_display(root / record.path)
        activation = verdicts.answers[position].activation[predicted[position]]
        warm = overlay(radiograph, activation, max_side_px=_PICTURE_PX)
        plain = overlay(radiograph, np.zeros_like(activation), max_side_px=_PICTURE_PX)
        mistakes.append(
            Mistake(
                path=record.path,
                finding=record.finding,
                predicted=verdicts.findings[predicted[position]],
                probability=float(sureness[position]),
                image_png=_png(plain[..., 0]),
                heatmap_png=_png(warm[..., ::-1]),
            )
        )
    return tuple(mistakes)


def evaluate_model(
    model: Path, data: Path, out: Path, *, overwrite: bool = False, console: Console | None = None
) -> tuple[dict[str, Any], int]:
    """Judge a model file on a data set and leave metrics.json, predictions.csv and report.html in a folder.

    Args:
        model: The model file.
        data: A data set; its test part is judged where it has one, else all of it.
        out: The folder for the results.
        overwrite: Whether earlier results there are replaced.
        console: Where messages and progress go; nowhere by default.

    Returns:
        What metrics.json holds, and how many films could not be read.

    Raises:
        InputError: The data set cannot be used, or the results cannot be written.
        ModelFileError: The model file cannot be used.
    """
    console = console or Console()
    try:
        found = {path.name for path in out.iterdir()}
    except OSError:  # there is no such folder yet; making it says what is wrong
        found = set()
    if ".work" in found:
        raise InputError(f"`{out}` holds an unfinished training run; it was not touched.", fix="Choose another folder.")
    if not overwrite and not found.isdisjoint(_RESULTS):
        raise InputError(
            f"`{out}` holds earlier results; they were not touched.", fix="Choose another folder, or add --overwrite."
        )
    classifier = Classifier(model)
    dataset = read_dataset(data, min_findings=1)
    with console.bar(f"Reading {len(dataset.records)} films of {dataset.name}", 1.0) as done:
        scan = scan_films(dataset, done=done)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder `{out}`: {error.strerror}.", fix="Choose another folder.") from error
    return _evaluate(classifier, scan, out, console), len(scan.unread)


def _evaluate(classifier: Classifier, scan: Scan, out: Path, console: Console) -> dict[str, Any]:
    records, known = scan.dataset.records, classifier.findings
    splits = [record.split or "test" for record in records]
    if scan.dataset.has_test:
        splits = [record.split or "train" for record in records]
    notes = [f"{len(scan.unread)} films could not be read and were left out."] if scan.unread else []
    strange = sorted({record.finding for record in records} - set(known))
    if strange:
        notes.append(f"Left out, since the model does not know them: films of {', '.join(strange)}.")
        console.say(notes[-1])
    judged = np.array([s == "test" and r.finding in known for s, r in zip(splits, records, strict=True)], dtype=bool)
    if not judged.any():
        raise InconsistentDataset(
            f"No film shows a finding that the model knows; it tells apart {', '.join(known)}.",
            fix="Rename the folders, or choose another model.",
        )
    with console.bar(f"Judging {judged.sum()} films", 1.0) as done:
        chosen = [records[position] for position in np.flatnonzero(judged)]
        verdicts = judge_records(classifier, scan.dataset.root, chosen, done=done)
    clean = clean_test(records, splits, scan.groups)[judged]
    groups = scan.groups[judged]
    metrics: dict[str, Any] = {
        "test": figures_of(verdicts, groups, classifier),
        "test_clean": figures_of(verdicts.part(clean), groups[clean], classifier),
        "validation": None,
        "cross_validation": None,
    }
    page = report_page(
        ReportData(
            title=f"{classifier.metadata.name} on {scan.dataset.name}",
            findings=known,
            metrics=metrics,
            parts={"test": Scored(verdicts.truth, verdicts.probabilities)},
            mistakes=worst_mistakes(verdicts, classifier, scan.dataset.root),
            facts=[("Model", classifier.metadata.name), ("SHA-256", classifier.identity["sha256"])],
            notes=notes,
        )
    )
    replace_file(out / "predictions.csv", predictions_csv([("test", verdicts)]))
    replace_file(out / "report.html", page)
    replace_file(out / "metrics.json", json.dumps(metrics, ensure_ascii=False, indent=1) + "\n")
    return metrics


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
