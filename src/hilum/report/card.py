"""The model card: what a model is for, how it was made and measured, and what nobody has checked.

The software fills in what it knows. What only people can know is marked so, in their words' place, and never guessed.
The card's words are in templates/card.md.j2.

Source: Mitchell et al. 2019, Model cards for model reporting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hilum.findings import said_as
from hilum.judge.audit.check import Fault
from hilum.judge.calibration import calibration_words
from hilum.judge.conformal import LEAST_FINDING_FILMS, films_needed
from hilum.judge.metrics import Performance
from hilum.judge.parts import PARTS, Metrics, distinct_parts, judged_parts
from hilum.judge.verdict import headline_chance
from hilum.report.external import sources_table
from hilum.report.page import render
from hilum.report.run_page import OVERALL, PER_FINDING, faults_by_kind
from hilum.text import percent

__all__ = ["TO_FILL_IN", "model_card_text"]

TO_FILL_IN = "*To be filled in by a person*"
_HANDLED = ("name", "findings", "fingerprint", "command", "operating_thresholds", "conformal_thresholds")


def model_card_text(
    *,
    metadata: Mapping[str, Any],
    metrics: Metrics,
    facts: Iterable[tuple[str, str]],
    faults: Sequence[Fault] | None = None,
) -> str:
    """Return the model card in Markdown.

    Args:
        metadata: Shown as it is where its values are plain (text, numbers, lists of them). The keys "name", "findings"
            and "command" (how the model was made) have places of their own; any key may lack.
        metrics: What metrics.json holds.
        facts: What was trained, as (name, value) pairs.
        faults: What the audit found; None where nobody looked.
    """
    known = [(str(key), str(value)) for key, value in facts]
    told = {key.casefold() for key, _ in known}
    plain = [(key.replace("_", " "), value) for key, value in metadata.items() if _is_plain(key, value)]
    known += [(key, _plain(value)) for key, value in plain if key not in told]
    judged = distinct_parts(judged_parts(metrics))
    conformal, coverage = metadata.get("conformal") or {}, metadata.get("coverage", 0.9)
    sources_head, sources = sources_table(metrics)
    text = render(
        "card.md.j2",
        person=Markup(TO_FILL_IN),
        metadata={"findings": (), **metadata},
        said_as=said_as,
        metrics=judged,
        known=known,
        parts=PARTS,
        overall=OVERALL,
        per_finding=PER_FINDING,
        judged=list(judged),
        analyses=[_analysis(name, figures) for name, figures in judged.items()],
        findings={name: _finding_rows(figures) for name, figures in judged.items()},
        chance=headline_chance(metrics),
        faults=None if faults is None else _fault_rows(faults),
        calibration=_calibration(metadata, metrics),
        conformal={name: values["n"] for name, values in conformal.items()},
        conformal_kinds=" and ".join(sorted({_kind(values) for values in conformal.values()})),
        coverage=coverage,
        least_promising=films_needed(coverage),
        is_shared=any("shared" in values for values in conformal.values()),
        least_films=max(LEAST_FINDING_FILMS, films_needed(coverage)),
        gate=metadata.get("gate"),
        sources_head=sources_head,
        sources=sources,
    )
    return str(text)


def _fault_rows(faults: Sequence[Fault]) -> list[tuple[str, ...]]:
    """Return severity, kind, number and first message of each kind of fault."""
    kinds = faults_by_kind(faults).items()
    return [(severity, kind, str(len(found)), found[0].message) for (severity, kind), found in kinds]


def _calibration(metadata: Mapping[str, Any], metrics: Metrics) -> str:
    """Return what the probabilities rest on; empty where it is not known."""
    if "temperature" not in metadata:
        return ""
    facts = metadata.get("calibration") or (metadata.get("ensemble") or {}).get("calibration") or {}
    words = calibration_words(metadata["temperature"], facts)
    if not facts and metrics.validation:
        words += f", set on {metrics.validation.n} validation films"
    return words


def _kind(conformal: Mapping[str, Any]) -> str:
    return "out-of-fold" if conformal.get("method") == "cross" else "validation"


def _analysis(name: str, figures: Performance) -> tuple[object, ...]:
    right = f"{figures.confusion.num_right} of {figures.n}"
    overall = (getattr(figures, figure) for figure in OVERALL)
    return (PARTS[name][0], right, figures.accuracy, *overall, percent(figures.ece))


def _finding_rows(figures: Performance) -> list[tuple[object, ...]]:
    return [
        (finding, values.n, *(getattr(values, figure) for figure in PER_FINDING))
        for finding, values in figures.per_finding.items()
    ]


def _is_plain(key: str, value: object) -> bool:
    if key in _HANDLED or value in ("", (), []):
        return False
    items = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(item, str | int | float) for item in items) and len(str(value)) <= 200


def _plain(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
