"""One page that says how good a model is, how sure that is, and what speaks against it.

The page is one file: style and plots inside, no script, nothing loaded from anywhere (its own content policy forbids
it). Faults stand above figures; the clean test is headlined, the nominal one stands beside it and is never hidden.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hilum.judge.calibrate import expected_calibration_error
from hilum.judge.chance import headline_chance
from hilum.judge.history import count_epochs, kept_words
from hilum.judge.parts import PARTS, correct_films, headline_parts, judged_parts
from hilum.report import charts as plots
from hilum.report.audit_kinds import summary_of
from hilum.report.charts import Scored
from hilum.report.page import Section, html_page
from hilum.report.tables import figures_section
from hilum.text import escape, percent, range_text

__all__ = ["DEFINITIONS", "Mistake", "ReportData", "Scored", "report_page"]

DEFINITIONS: tuple[tuple[str, str], ...] = (
    ("Accuracy", "Films whose most probable finding is the true one, of all films."),
    (
        "95 % interval",
        "Values that this many films cannot rule out. Wilson's for accuracy, else a bootstrap of groups.",
    ),
    ("Clean test", "The test films left when each with a twin or a known patient in training is dropped."),
    ("Balanced accuracy", "The mean of the findings' recalls: a rare finding counts as much as a frequent one."),
    ("Precision", "Of the films answered with a finding, those that have it."),
    ("Recall", "Of the films that have a finding, those answered with it."),
    ("F1", "The harmonic mean of precision and recall; macro F1 is its mean over the findings."),
    ("AUROC", "How often a film with the finding gets a higher probability than one without; 50 % is chance."),
    ("Operating threshold", "The probability from which on a finding is called present, chosen on validation films."),
    ("Sensitivity", "Of the films that have a finding, those at or above its operating threshold."),
    ("Specificity", "Of the films without a finding, those below its operating threshold."),
    ("Calibration error", "The mean gap between how sure the answers were and how often they were right (15 bins)."),
    ("Reference standard", "The labels of the data set, taken as the truth; they may be wrong."),
)
_SEVERITIES = {"error": "Error", "warning": "Warning", "note": "Note"}
_MAX_PATHS = 50
_STYLES = ("report.css",)
_LIMITS = (
    "Figures are per cent with 95&nbsp;% intervals, and hold for films like those judged here; another hospital's may "
    "be answered worse."
)


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
        metrics: What metrics.json holds: parts by name, each P or None.
        parts: Truth and probabilities of parts by the same names, for the curves; a part may lack.
        history: Rows of history.csv (stage, epoch, loss, accuracy, validation_loss, validation_accuracy, ...).
        mistakes: Worst first.
        facts: What was trained, as (name, value) pairs.
        faults: What the audit found: {"kind", "severity", "message", "paths", "figure"}.
        notes: What else the reader must know, a sentence each.
        sections: More sections, after the figures and curves.
    """

    title: str
    findings: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, Any] | None]
    parts: Mapping[str, Scored] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    mistakes: Sequence[Mistake] = ()
    facts: Sequence[tuple[str, str]] = ()
    faults: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    sections: Sequence[Section] = ()


def report_page(data: ReportData) -> str:
    """Return the report as one self-contained HTML page; everything in the data is escaped."""
    sections = [
        Section("figures", "Figures", figures_section(data.metrics)),
        Section("curves", "Curves", _curves(data)),
        *data.sections,
        Section("training", "Training", _training(data.history)),
        Section("mistakes", "Worst mistakes", _mistakes(data.mistakes)),
        Section("facts", "What was trained", _facts(data)),
        Section("terms", "Terms", _terms("terms", DEFINITIONS)),
    ]
    return html_page(
        data.title,
        "hilum report",
        _faults(data.faults) + _chance(data) + _headline(data),
        sections,
        footer=_LIMITS,
        styles=_STYLES,
    )


def _faults(faults: Sequence[Mapping[str, Any]]) -> str:
    if not faults:
        return ""
    alike: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for fault in faults:
        severity = str(fault["severity"])
        kind = severity if severity in _SEVERITIES else "note"
        alike.setdefault((kind, str(fault["kind"])), []).append(fault)
    order = list(_SEVERITIES)
    rows = [
        f'<li class="{severity}"><span class="severity">{_SEVERITIES[severity]}</span><div>{_fault(group)}</div></li>'
        for (severity, _), group in sorted(alike.items(), key=lambda item: order.index(item[0][0]))
    ]
    return (
        '<section id="faults" aria-labelledby="faults-heading">'
        '<h2 id="faults-heading">What speaks against these figures</h2>'
        '<p class="lede">Found in the data before anything was trained. Read it before the figures.</p>'
        f'<ul class="faults">{"".join(rows)}</ul></section>'
    )


def _fault(group: Sequence[Mapping[str, Any]]) -> str:
    """Return one row for the faults of one kind: the message of one, or the first message and every case."""
    message = escape(str(group[0]["message"]))
    if len(group) == 1:
        lines = [str(path) for path in group[0].get("paths") or ()]
        noun, text = "path", message
    else:
        lines = [" = ".join(str(path) for path in fault.get("paths") or ()) or str(fault["message"]) for fault in group]
        noun, text = "case", escape(summary_of(str(group[0]["kind"]), group))
    listing = "".join(f"<li>{escape(line)}</li>" for line in lines[:_MAX_PATHS])
    if len(lines) > _MAX_PATHS:
        listing += f"<li>and {len(lines) - _MAX_PATHS} more, in audit.json</li>"
    films = f"<details><summary>{_count(len(lines), noun)}</summary><ul>{listing}</ul></details>" if lines else ""
    return f"<p>{text}</p>{films}"


def _chance(data: ReportData) -> str:
    words = headline_chance(data.metrics)
    return f'<section aria-label="Chance"><p class="lede"><b>{escape(words)}</b></p></section>' if words else ""


def _headline(data: ReportData) -> str:
    """Return the first figure, and the nominal one beside it."""
    chosen = headline_parts(data.metrics)
    blocks = []
    for order, name in enumerate(chosen):
        figures = data.metrics[name] or {}
        accuracy = figures["accuracy"]
        heading, meaning = PARTS[name]
        blocks.append(
            f'<div class="{"first" if order == 0 else "second"}"><h2>{heading}</h2>'
            f'<p class="numeral" aria-hidden="true">{percent(accuracy["value"])}<span class="unit">%</span></p>'
            f'<p class="said">{correct_films(figures)} of {figures["n"]} films right: '
            f'<span class="nowrap">{percent(accuracy["value"])} %</span> '
            f'<span class="nowrap">(95 % interval {range_text(accuracy)})</span></p>'
            f'<p class="lede">{meaning[0].upper()}{meaning[1:]}.</p></div>'
        )
    if not blocks:
        blocks.append("<p>No film was judged: there is no figure to show.</p>")
    elif chosen == ["test"] and "test_clean" in data.metrics and data.metrics["test_clean"] is not None:
        blocks.append(
            '<p class="lede">No clean test film is left: every test film has a twin or a known patient in training, '
            "so this figure says little about new films.</p>"
        )
    return f'<section class="headline" aria-label="Headline">{"".join(blocks)}</section>'


def _curves(data: ReportData) -> str:
    available = [name for name in judged_parts(data.metrics) if name in data.parts]
    if not available:
        return ""
    first = available[0]
    compared = [name for name in available[1:] if first.startswith("test") and name == "test"]
    parts = [data.parts[name] for name in (first, *compared)]
    figures = (data.metrics[first] or {})["per_finding"]
    keys = f'<span><i class="key"></i>{PARTS[first][0]} (n = {parts[0].truth.size})</span>' + "".join(
        f'<span><i class="key second"></i>{PARTS[name][0]} (n = {data.parts[name].truth.size})</span>'
        for name in compared
    )
    roc, precision_recall = [], []
    for index, name in enumerate(data.findings):
        values = figures[name]
        auroc = percent(values["auroc"]["value"])
        said = f"<b>{escape(name)}</b>"
        roc.append(
            f"<figure><figcaption>{said} · AUROC {auroc} {_bracketed(values['auroc'])}</figcaption>"
            + plots.roc_plot(parts, index, f"ROC curve of {name}: AUROC {auroc} %.", values["operating_threshold"])
            + "</figure>"
        )
        precision_recall.append(
            f"<figure><figcaption>{said} · {values['n']} of {parts[0].truth.size} films</figcaption>"
            + plots.precision_recall_plot(parts, index, f"Precision-recall curve of {name}.")
            + "</figure>"
        )
    error = percent((data.metrics[first] or {})["ece"])
    raw = parts[0].uncalibrated
    before = (
        ""
        if raw is None
        else f", {percent(expected_calibration_error(raw, parts[0].truth))} % before calibration (the muted line)"
    )
    reliability = plots.reliability_plot(parts[0], f"Reliability diagram: calibration error {error} %{before}.")
    return (
        f'<p class="fine keys">{keys}</p>'
        '<h3>ROC</h3><p class="fine">The ring is the operating threshold, the diagonal is chance.</p>'
        f'<div class="multiples">{"".join(roc)}</div>'
        '<h3>Precision and recall</h3><p class="fine">The dotted line is the share of films that have the finding: '
        f'what guessing reaches.</p><div class="multiples">{"".join(precision_recall)}</div>'
        '<h3>Reliability</h3><p class="fine">On the diagonal, an answer given with 80&nbsp;% confidence is right '
        f"80&nbsp;% of the time. Dots carry 95&nbsp;% intervals, bars count the films. "
        f"Calibration error {error}&nbsp;%{before}.</p>"
        f"<figure>{reliability}</figure>"
    )


def _training(history: Sequence[Mapping[str, Any]]) -> str:
    if not history:
        return ""
    panels = []
    for figure, name in (("loss", "Loss"), ("accuracy", "Accuracy")):
        words = f"{name} over {_count(count_epochs(history), 'epoch')}, training and validation."
        drawn = plots.learning_plot(history, figure, words)
        panels.append(f"<figure><figcaption><b>{name}</b></figcaption>{drawn}</figure>")
    kept = kept_words(history)
    return (
        (f'<p class="lede">{escape(kept)}</p>' if kept else "")
        + '<p class="fine keys"><span><i class="key"></i>Validation</span>'
        '<span><i class="key second"></i>Training</span></p>'
        f'<div class="pair">{"".join(panels)}</div>'
    )


def _mistakes(mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return ""
    figures = []
    for mistake in mistakes:
        said = f"{mistake.finding}, answered {mistake.predicted} at {percent(mistake.probability)} %"
        figures.append(
            f'<figure><div class="films">{_image(mistake.image_png, f"Film {mistake.path}: {said}")}'
            f"{_image(mistake.heatmap_png, f'Heat map for {mistake.predicted} on film {mistake.path}')}</div>"
            f"<figcaption><b>{escape(mistake.finding)}</b>, answered <b>{escape(mistake.predicted)}</b> at "
            f'{percent(mistake.probability)} %<span class="path">{escape(mistake.path)}</span></figcaption></figure>'
        )
    return (
        '<p class="lede">Wrong answers, the most confident first. The heat map shows where the network looked, '
        f'not why.</p><div class="mistakes">{"".join(figures)}</div>'
    )


def _facts(data: ReportData) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in data.notes)
    return (f'<ul class="notes">{notes}</ul>' if notes else "") + (_terms("facts", data.facts) if data.facts else "")


def _terms(kind: str, pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in pairs)
    return f'<dl class="{kind}">{rows}</dl>'


def _image(png: bytes, words: str) -> str:
    return (
        f'<img alt="{escape(words, quote=True)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'
    )


def _bracketed(interval: Mapping[str, float | None]) -> str:
    limits = range_text(interval)
    return f'<span class="nowrap">({limits})</span>' if limits else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
