"""Predictions for people to look at: predictions.csv, the scores that curves are drawn from, and the worst mistakes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from hilum.data.split import SplitRow
from hilum.judge.predictions import LabelledPredictions
from hilum.report.charts import Scored
from hilum.report.run_page import Mistake
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.heatmap import overlay
from hilum.text import write_csv

__all__ = ["held_out_csv", "predictions_csv", "scored_of", "worst_mistakes"]

_PICTURE_PX = 320


def scored_of(verdicts: LabelledPredictions) -> Scored:
    """Return what the report's curves are drawn from, with the probabilities before calibration too."""
    return Scored(verdicts.truth, verdicts.probabilities, softmax(verdicts.logits))


def predictions_csv(parts: Sequence[tuple[str, LabelledPredictions]]) -> str:
    """Return predictions.csv: path, part, finding, predicted, accepted, reasons, and the probability of every finding.

    The reasons are the codes of a refused film's reasons, with spaces between.
    """
    findings = parts[0][1].findings if parts else ()
    rows: list[list[object]] = []
    for part, verdicts in parts:
        for record, answer in zip(verdicts.records, verdicts.answers, strict=True):
            known = answer.probabilities  # a model that did not see a source may not know all findings
            probabilities = (f"{known[name]:.6f}" if name in known else "" for name in findings)
            accepted = str(answer.accepted).lower()
            reasons = " ".join(reason.code for reason in answer.reasons)
            rows.append([record.path, part, record.finding, answer.likeliest, accepted, reasons, *probabilities])
    return _csv(findings, rows)


def held_out_csv(
    findings: Sequence[str],
    rows: Sequence[SplitRow],
    answered: Mapping[str, tuple[np.ndarray, np.ndarray, list[str]]],
) -> str:
    """Return predictions.csv of an ensemble, as a run has it.

    Args:
        findings: The K names.
        rows: All films.
        answered: Part to positions (m,), probabilities (m, K) and the codes why each film is refused, "" if it is not.
    """
    lines: list[list[object]] = []
    for part in ("test", "validation", "cross_validation"):
        for position, values, reasons in zip(*answered.get(part, ((), (), ())), strict=True):
            row = rows[position]
            cells = [row.path, part, row.finding, findings[int(values.argmax())], str(not reasons).lower(), reasons]
            lines.append([*cells, *(f"{value:.6f}" for value in values)])
    return _csv(findings, lines)


def _csv(findings: Sequence[str], rows: list[list[object]]) -> str:
    text = io.StringIO()
    columns = ["path", "part", "finding", "predicted", "accepted", "reasons"]
    write_csv(text, [*columns, *(f"probability_{name}" for name in findings)], rows)
    return text.getvalue()


def worst_mistakes(
    verdicts: LabelledPredictions, classifier: Classifier, root: Path, *, most: int = 12
) -> tuple[Mistake, ...]:
    """Return the surest wrong answers with film and heat map, surest first."""
    predicted = verdicts.probabilities.argmax(axis=1)
    sureness = verdicts.probabilities.max(axis=1, initial=0)
    wrong = np.flatnonzero(predicted != verdicts.truth)
    mistakes = []
    for position in wrong[np.argsort(-sureness[wrong], kind="stable")][:most]:
        record = verdicts.records[position]
        radiograph = classifier.read_for_display(root / record.path)
        answer = verdicts.answers[position]
        activation = answer.activation[predicted[position]]
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


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
