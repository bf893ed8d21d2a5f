"""Predictions for people to look at: predictions.csv, the scores that curves are drawn from, and the worst mistakes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hilum.console import count_of
from hilum.data.run_tables import SplitRow
from hilum.judge.conformal import LEAST_FINDING_FILMS, set_figures
from hilum.judge.intervals import Interval, proportion
from hilum.judge.parts import PARTS
from hilum.judge.predictions import LabelledPredictions
from hilum.report.charts import Scored
from hilum.report.page import Section, render
from hilum.report.run_page import Mistake
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.heatmap import overlay
from hilum.run.modelfile import Metadata
from hilum.text import percent_text, write_csv

__all__ = ["answers_section", "held_out_csv", "predictions_csv", "scored_of", "sets_fact", "worst_mistakes"]

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


# The report's section on answers that are no single finding: refused films with their reasons, and conformal sets.


def sets_fact(metadata: Metadata) -> str:
    """Return what stands behind the conformal sets: the coverage asked for and the films behind each threshold."""
    films = _set_films(metadata)
    return f"coverage {percent_text(metadata.coverage)}, set on {films}" if films else "none"


def _set_films(metadata: Metadata) -> str:
    """Return the films that the conformal limits were set on; empty if there are no limits."""
    parts: list[str] = []
    for finding, limit in metadata.conformal.items():
        kind = "out-of-fold" if limit.get("method") == "cross" else "validation"
        if "shared" in limit:
            few = "" if limit["shared_n"] >= LEAST_FINDING_FILMS else ", which are few"
            words = f"{count_of(limit['shared_n'], f'{kind} film')} of {_listed(limit['shared'])} together{few}"
            parts += [words] if words not in parts else []
        else:
            few = "" if limit.get("n", 0) >= LEAST_FINDING_FILMS else ", which are few"
            parts.append(f"{count_of(limit.get('n', 0), f'{kind} film')} of {finding}{few}")
    return "; ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@dataclass(frozen=True)
class _Row:
    """The sets and refusals of one part of the films."""

    part: str
    n: int
    refused: Interval
    covered: Interval
    mean_size: float
    single: float
    empty: float


def answers_section(parts: Mapping[str, LabelledPredictions], metadata: Metadata) -> Section:
    """Return the section on refused films and conformal sets.

    Args:
        parts: LabelledPredictions by the names of the report's parts.
        metadata: The model's, with the conformal thresholds.
    """
    judged = {PARTS[name][0]: parts[name] for name in PARTS if name in parts and parts[name].answers}
    refused, codes = _refused(judged.values())
    html = render(
        "answers.html.j2",
        rows=[_row(name, verdicts, metadata) for name, verdicts in judged.items()],
        coverage=metadata.coverage,
        sets=_set_films(metadata),
        refused=refused,
        codes=codes,
    )
    return Section("answers", "Sets and refusals", html)


def _row(part: str, verdicts: LabelledPredictions, metadata: Metadata) -> _Row:
    figures = set_figures(verdicts.probabilities, verdicts.truth, verdicts.findings, metadata.conformal)
    num = figures.n
    return _Row(
        part=part,
        n=num,
        refused=proportion(sum(not answer.accepted for answer in verdicts.answers), num),
        covered=proportion(figures.num_covered, num),
        mean_size=figures.mean_size,
        single=figures.num_single / num,
        empty=figures.num_empty / num,
    )


def _refused(parts: Iterable[LabelledPredictions]) -> tuple[dict[str, str], Counter[str]]:
    """Return path -> reasons of the refused films, each once, and how often each reason's code was given."""
    reasons: dict[str, str] = {}
    codes: Counter[str] = Counter()
    for verdicts in parts:
        for record, answer in zip(verdicts.records, verdicts.answers, strict=True):
            if not answer.accepted and record.path not in reasons:
                codes.update(reason.code for reason in answer.reasons)
                reasons[record.path] = " ".join(reason.message for reason in answer.reasons)
    return reasons, codes
