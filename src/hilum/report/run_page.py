"""One page that says how good a model is, how sure that is, and what speaks against it.

The page opens with a verdict and what to do next. Problems in the data stand above the figures. The clean test is
headlined; the nominal one stands beside it and is never hidden. The words are in templates/run.html.j2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hilum.console import count_of
from hilum.findings import OTHER_ABNORMALITY, said_as
from hilum.judge.audit.check import SEVERITIES, Fault
from hilum.judge.curves import expected_calibration_error
from hilum.judge.history import count_epochs, kept_words
from hilum.judge.in_house import EvaluationMetrics
from hilum.judge.metrics import Performance
from hilum.judge.parts import PARTS, Metrics, distinct_parts, headline_parts, judged_parts
from hilum.report import charts as plots
from hilum.report.audit_table import summary_of
from hilum.report.charts import Scored
from hilum.report.page import Section, render
from hilum.report.verdict import verdict_words
from hilum.text import percent

__all__ = ["DEFINITIONS", "OVERALL", "PER_FINDING", "Mistake", "ReportData", "Scored", "faults_by_kind", "report_page"]

OVERALL = {"balanced_accuracy": "Balanced accuracy", "macro_f1": "Macro F1", "auroc_macro": "AUROC"}
PER_FINDING = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auroc": "AUROC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}

DEFINITIONS: tuple[tuple[str, str], ...] = (
    ("Accuracy", "The share of films whose most probable finding is the true one."),
    (
        "95 % interval",
        "The range in which the true value probably lies, given the number of films. Wilson's method for accuracy, a "
        "bootstrap over groups for all other figures.",
    ),
    ("Clean test", "The test films that remain when all with a twin or a known patient in training are left out."),
    ("Balanced accuracy", "The mean of the findings' recalls: a rare finding counts as much as a frequent one."),
    ("Precision", "Of the films answered with a finding, the share that has it."),
    ("Recall", "Of the films that have a finding, the share answered with it."),
    ("F1", "The harmonic mean of precision and recall; macro F1 is its mean over the findings."),
    ("AUROC", "How often a film with the finding gets a higher probability than one without it; 50 % is chance."),
    ("Operating threshold", "From this probability on, a finding is called present. It is chosen on validation films."),
    ("Sensitivity", "Of the films that have a finding, the share at or above its operating threshold."),
    ("Specificity", "Of the films without a finding, the share below its operating threshold."),
    (
        "Calibration error",
        "The mean difference between the probability of an answer and how often such answers are right (15 bins). "
        "Below 5 % it is good, below 10 % fair, else poor; below 100 films they are too few to say.",
    ),
    ("Reference standard", "The labels of the data set, taken as the truth. They may be wrong."),
)
_OTHER = ((OTHER_ABNORMALITY, f"The film is {said_as(OTHER_ABNORMALITY)}."),)


@dataclass(frozen=True, eq=False)
class Mistake:
    """One film answered wrongly, with its heat map.

    Attributes:
        path: As in predictions.csv.
        finding: The true finding.
        predicted: The answer.
        probability: Of the answer, in [0, 1].
        image_png: The film as the network saw it.
        heatmap_png: The same with the heat map over it.
    """

    path: str
    finding: str
    predicted: str
    probability: float
    image_png: bytes
    heatmap_png: bytes


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that a report shows.

    Attributes:
        title: The page's heading.
        findings: The K names, in the order of the columns.
        metrics: What metrics.json holds.
        parts: Truth and probabilities of parts by the same names, for the curves; a part may lack.
        history: Rows of history.csv (stage, epoch, loss, accuracy, validation_loss, validation_accuracy, ...).
        first_batch_png: The first films that the network trained on; empty for none.
        mistakes: Worst first.
        facts: How the model was made, as (name, value) pairs.
        faults: What the audit found.
        notes: What else the reader must know, a sentence each.
        sections: More sections, after the figures and curves.
        caution: A sentence without which the verdict must not be read; empty for none.
    """

    title: str
    findings: tuple[str, ...]
    metrics: Metrics
    parts: Mapping[str, Scored] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    first_batch_png: bytes = b""
    mistakes: Sequence[Mistake] = ()
    facts: Sequence[tuple[str, str]] = ()
    faults: Sequence[Fault] = ()
    notes: Sequence[str] = ()
    sections: Sequence[Section] = ()
    caution: str = ""


@dataclass(frozen=True)
class _FaultRow:
    """The faults of one kind: what is wrong, and every case."""

    severity: str
    words: str
    summary: str
    lines: Sequence[str]


@dataclass(frozen=True)
class _Curves:
    """The plots of the most trustworthy part, with the test as given behind its clean films."""

    parts: Sequence[str]
    roc: Sequence[str]
    precision_recall: Sequence[str]
    reliability: str
    error_before: float | None


def report_page(data: ReportData) -> str:
    """Return the report as one self-contained HTML page; everything in the data is escaped."""
    judged = distinct_parts(judged_parts(data.metrics))
    shown, headline = list(judged), headline_parts(judged)
    faults = _fault_rows(data.faults)
    is_clean_empty = headline == ["test"]
    lowest = min((figures.accuracy.low or 0.0 for figures in judged.values()), default=0.0)
    page = render(
        "run.html.j2",
        title=data.title,
        kicker="hilum report",
        data=data,
        parts=PARTS,
        overall=OVERALL,
        per_finding=PER_FINDING,
        definitions=DEFINITIONS + _OTHER * (OTHER_ABNORMALITY in data.findings),
        plots=plots,
        shown=shown,
        headline=headline,
        verdict=verdict_words(data.metrics),
        is_clean_empty=is_clean_empty,
        is_evaluation=isinstance(data.metrics, EvaluationMetrics),
        faults=faults,
        right={name: figures.confusion.num_right for name, figures in judged.items()},
        commonest={name: max(figures.confusion.num_with) / figures.n for name, figures in judged.items()},
        floor=min(int(lowest * 10) / 10, 0.9),
        curves=_curves(data, judged),
        kept=kept_words(data.history),
        learning=_learning(data.history),
    )
    return str(page)


def faults_by_kind(faults: Sequence[Fault]) -> dict[tuple[str, str], list[Fault]]:
    """Return the faults by severity and kind."""
    alike: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        alike.setdefault((fault.severity, fault.kind), []).append(fault)
    return alike


def _fault_rows(faults: Sequence[Fault]) -> list[_FaultRow]:
    """Return the faults, those of one kind together, the worst first."""
    rows, alike = [], faults_by_kind(faults).items()
    for (severity, kind), group in sorted(alike, key=lambda item: SEVERITIES.index(item[0][0])):
        if len(group) == 1:
            lines, noun = list(group[0].paths), "path"
        else:
            lines = [" = ".join(fault.paths) or fault.message for fault in group]
            noun = "case"
        rows.append(
            _FaultRow(
                severity,
                summary_of(kind, [fault.message for fault in group]),
                count_of(len(lines), noun),
                lines,
            )
        )
    return rows


def _curves(data: ReportData, judged: Mapping[str, Performance]) -> _Curves | None:
    available = [name for name in judged if name in data.parts]
    if not available:
        return None
    first = available[0]
    names = [first, *(name for name in available[1:] if first.startswith("test") and name == "test")]
    parts, figures = [data.parts[name] for name in names], judged[first]
    raw = parts[0].uncalibrated
    roc = []
    for index, name in enumerate(data.findings):
        values = figures.per_finding[name]
        words = f"ROC curve of {name}: AUROC {percent(values.auroc.value)} %."
        roc.append(plots.roc_plot(parts, index, words, values.operating_threshold))
    return _Curves(
        parts=names,
        roc=roc,
        precision_recall=[
            plots.precision_recall_plot(parts, index, f"Precision-recall curve of {name}.")
            for index, name in enumerate(data.findings)
        ],
        reliability=plots.reliability_plot(
            parts[0], f"Reliability diagram: calibration error {percent(figures.ece)} %."
        ),
        error_before=None if raw is None else expected_calibration_error(raw, parts[0].truth),
    )


def _learning(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the plots of loss and accuracy over the epochs; none of no history."""
    over = f"over {count_of(count_epochs(history), 'epoch')}, training and validation."
    return [
        (name, plots.learning_plot(history, name.lower(), f"{name} {over}"))
        for name in (("Loss", "Accuracy") if history else ())
    ]
