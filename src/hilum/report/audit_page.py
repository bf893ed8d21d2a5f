"""The audit's page: what is wrong with a data set, on one page that can be read without having heard of hilum.

It opens with one sentence of verdict and what to do next, then shows each kind of fault with what it means, what was
checked, and the figures. Pairs of films stand side by side; their number and size are bounded, so that the page of
thousands of films stays a few megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hilum.errors import HilumError
from hilum.film.decode import read_film
from hilum.judge.audit.audit import Audit
from hilum.judge.audit.check import SEVERITIES, AuditData, Check, Fault, Suggestion
from hilum.judge.audit.figures import TrivialScore
from hilum.judge.audit.trivial import TRIVIAL_MODELS, TrivialModel, black_centre
from hilum.judge.audit.trivial_scores import severity_of
from hilum.report.audit_table import group_faults, verdict_words
from hilum.report.page import render

__all__ = ["audit_page", "film_jpeg", "seen_png"]

_MOST_FIGURES = 24  # of one kind of fault
_MOST_BESIDE = 4  # films in one figure
_MOST_SAID = 12
_PICTURE_PX = 180
_TERMS = (
    ("Twin", "The same picture once more, identical or nearly so: another size, compression, contrast or mark."),
    ("Training part, test part", "The films a model learns from; the films it is judged on and must never have seen."),
    ("Guessing", "What is right if every film is given the commonest finding."),
    (
        "Grouped cross-validation",
        "The training films are divided into five parts. Each part is judged by a model that learned from the other "
        "four. Twins and films of one patient stay in one part.",
    ),
    ("95 % interval", "Values that this many films cannot rule out."),
    ("Macro-F1", "The mean over the findings of the harmonic mean of precision and recall."),
    (
        "Cramér's V",
        "How closely two properties go together: 0 not at all, 1 one decides the other. Corrected for chance.",
    ),
    ("Severity", "Error: do not train on the films as they are. Warning: know it before you believe a figure."),
)


@dataclass(frozen=True, eq=False)
class _Film:
    """A film to look at; without a picture where it can no longer be read."""

    path: str
    finding: str
    split: str
    jpeg: bytes | None
    suggestion: Suggestion | None


@dataclass(frozen=True, eq=False)
class _Group:
    """The faults of one kind at one severity; suggestions are (path, finding as filed, what it may be instead)."""

    severity: str
    check: Check
    messages: Sequence[str]
    lines: Sequence[str]
    suggestions: Sequence[tuple[str, str, Suggestion]]
    pictures: Sequence[Sequence[_Film]]
    num_not_shown: int


@dataclass(frozen=True, eq=False)
class _ModelRow:
    """What a trivial model sees and scores."""

    model: TrivialModel
    score: TrivialScore
    severity: str
    png: bytes | None


def audit_page(audit: Audit) -> str:
    """Return the audit as one self-contained HTML page; everything in the data is escaped.

    Args:
        audit: What was found. The films of its pairs are read again for their pictures; one that can no longer be
            read is shown as missing.
    """
    data, results = audit.data, audit.results
    verdict, remedy = verdict_words(results)
    films = {name: counts for name, counts in data.figures.films.items() if any(counts.values())}
    page = render(
        "audit.html.j2",
        title=data.scan.dataset.name,
        kicker="hilum audit",
        styles=("report.css", "audit.css"),
        verdict=verdict,
        remedy=remedy,
        counts={name: sum(fault.severity == name for fault in audit.faults) for name in SEVERITIES},
        parts=[f"{sum(counts.values())} {name}" for name, counts in films.items()],
        groups=[_group(data, severity, check, faults) for severity, check, faults in group_faults(results)],
        passed=[outcome.check.title for outcome in results.of_status("passed")],
        not_applied=results.of_status("not_applicable"),
        ignored=results.of_status("ignored"),
        models=_model_rows(data),
        figures=data.figures,
        films=films,
        findings=data.scan.dataset.findings,
        definitions=_TERMS,
        most_said=_MOST_SAID,
        most_beside=_MOST_BESIDE,
    )
    return str(page)


def film_jpeg(path: Path) -> bytes | None:
    """Return a film as a JPEG of a few kilobytes; None where it cannot be read."""
    try:
        pixels = read_film(path, min_side_px=_PICTURE_PX).pixels
    except HilumError:
        return None
    shrink = min(1.0, _PICTURE_PX / max(pixels.shape))
    size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
    grey = np.round(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 72])[1].tobytes()


def seen_png(thumbnail: np.ndarray, name: str) -> bytes | None:
    """Return what a trivial model sees of a film; None of a model that sees no pixels.

    Args:
        thumbnail: (32, 32) uint8, of the film.
        name: The model's.
    """
    if name.startswith("thumbnail"):
        side = 16 if name.endswith("16") else 8
        step = thumbnail.shape[0] // side
        seen = thumbnail.reshape(side, step, side, step).mean(axis=(1, 3)).astype(np.uint8)
    elif name == "center_blacked":
        seen = black_centre(thumbnail)
    elif name == "border_only":
        seen = black_centre(thumbnail, 1)
    else:
        return None
    return cv2.imencode(".png", seen)[1].tobytes()


def _group(data: AuditData, severity: str, check: Check, faults: Sequence[Fault]) -> _Group:
    messages = [fault.message for fault in faults]
    shown = [fault.paths for fault in faults if fault.paths]
    if check.shows == "pairs":
        messages, lines = [check.summary(messages)], [" = ".join(paths) for paths in shown]
    else:
        lines = [path for paths in shown for path in paths]
    if check.shows == "films":
        shown = [(path,) for path in lines]
    elif check.shows != "pairs":
        shown = []
    films = zip(data.scan.dataset.records, data.splits, strict=True)
    known = {record.path: (record.finding, split) for record, split in films}
    suggested = {path: one for fault in faults for path, one in (fault.suggestions or {}).items()}
    suggestions = [(path, known.get(path, ("", ""))[0], one) for path, one in suggested.items()]
    pictures = [
        [
            _Film(
                path,
                *known.get(path, ("", "")),
                film_jpeg(data.scan.dataset.root / path) if place < _MOST_BESIDE else None,
                suggested.get(path),
            )
            for place, path in enumerate(paths)
        ]
        for paths in shown[:_MOST_FIGURES]
    ]
    return _Group(severity, check, messages, lines, suggestions, pictures, max(0, len(shown) - _MOST_FIGURES))


def _model_rows(data: AuditData) -> list[_ModelRow]:
    scores = data.figures.trivial_models or {}
    return [
        _ModelRow(
            model,
            scores[model.name],
            severity_of(model.name, scores) or "",
            seen_png(data.traits[0].thumbnail, model.name),
        )
        for model in TRIVIAL_MODELS
        if model.name in scores and scores[model.name].cross_validation
    ]
