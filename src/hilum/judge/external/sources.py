"""Each source judged by a model that saw none of its films, beside the figures in house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hilum.console import count_of
from hilum.judge.chance import judge_chance
from hilum.judge.evaluate import Verdicts
from hilum.judge.external.figures import pneumonia_figures, unknown_figures
from hilum.judge.external.page import external_lines
from hilum.judge.page import Section
from hilum.judge.tables import PARTS, percent, range_text
from hilum.text import escape

__all__ = ["source_facts", "source_lines", "sources_section", "sources_table"]

_IN_HOUSE = ("cross_validation", "test_clean")


def source_facts(verdicts: Verdicts, unknown: Verdicts, groups: np.ndarray) -> dict[str, Any]:
    """Return what metrics.json says of a held-out source beside its figures.

    Args:
        verdicts: Of its films with findings that the model without it knows.
        unknown: Of its other films.
        groups: (n,) int, of both, in this order.

    Returns:
        {"notes": sentences, "unknown_findings", "pneumonia"}, the latter two as of `evaluate`.
    """
    present = {record.finding for record in verdicts.records}
    lacking = [name for name in verdicts.findings if name not in present]
    notes = [f"It has no film of {', '.join(lacking)}."] if lacking else []
    untaught = sorted({record.finding for record in unknown.records})
    if untaught:
        notes.append(
            f"The other sources do not teach {', '.join(untaught)}: {count_of(len(unknown.records), 'film')} "
            f"{'counts' if len(unknown.records) == 1 else 'count'} in no figure."
        )
    return {
        "notes": notes,
        "unknown_findings": unknown_figures(unknown.records, unknown.answers),
        "pneumonia": pneumonia_figures(
            (*verdicts.records, *unknown.records), (*verdicts.answers, *unknown.answers), verdicts.findings, groups
        ),
    }


def source_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return what the terminal shows of the held-out sources; nothing where none was held out.

    Args:
        metrics: What metrics.json of `train` holds.
    """
    lines = []
    for source, figures in (metrics.get("leave_one_source_out") or {}).items():
        if figures is None:
            lines.append(f"Source {source}, held out: not judged.")
        else:
            recall, auroc = figures["balanced_accuracy"], figures["auroc_macro"]
            lines.append(
                f"Source {source}, held out: {percent(figures['accuracy']['value'])} % of {figures['n']} films right "
                f"({range_text(figures['accuracy'])}), mean recall {percent(recall['value'])} %, AUROC "
                f"{percent(auroc['value'])}{' %' if auroc['value'] is not None else ''}"
            )
        lines += [f"  {note}" for note in _notes(metrics, source)]
    return lines


def sources_table(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[Mapping[str, Any] | str]]]:
    """Return head and rows of the figures in house and of each held-out source.

    Returns:
        The head's names, and rows of which the first two cells are text and the rest intervals; no rows where no
        source was held out.
    """
    sources = metrics.get("leave_one_source_out") or {}
    judged = {
        f"In house: {PARTS[name][0].lower()}": metrics[name] for name in _IN_HOUSE if (metrics.get(name) or {}).get("n")
    }
    judged |= {f"Held out: {source}": figures for source, figures in sources.items() if figures}
    findings = list(dict.fromkeys(name for figures in judged.values() for name in figures["per_finding"]))
    head = ["Films", "n", "Accuracy", "Mean recall", *(f"AUROC {name}" for name in findings)]
    rows: list[list[Mapping[str, Any] | str]] = []
    for name, figures in judged.items() if sources else ():
        aurocs = [figures["per_finding"].get(finding, {}).get("auroc") or _nothing() for finding in findings]
        rows.append([name, str(figures["n"]), figures["accuracy"], figures["balanced_accuracy"], *aurocs])
    return head, rows


def sources_section(metrics: Mapping[str, Any]) -> Section | None:
    """Return the report's section about held-out sources; None where none was held out."""
    head, rows = sources_table(metrics)
    if not rows:
        return None
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>{"".join(_cell(cell) for cell in row[1:])}</tr>' for row in rows
    )
    notes = "".join(
        f"<li><b>{escape(source)}.</b> {escape(note)}</li>"
        for source in metrics["leave_one_source_out"]
        for note in _notes(metrics, source)
    )
    listing = f'<ul class="notes">{notes}</ul>' if notes else ""
    return Section(
        "sources",
        "Sources held out",
        '<p class="lede">Each source judged by a model that saw none of its films: the nearest thing to another '
        'hospital. Test films have no part in it.</p><div class="scroll" role="region" tabindex="0" '
        'aria-label="Sources held out"><table class="wide"><caption>Per cent, 95&nbsp;% intervals beneath. Mean recall '
        "is over the findings present. A dash: these films, or the model that did not see the source, cannot give the "
        f"figure.</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{listing}",
    )


def _notes(metrics: Mapping[str, Any], source: str) -> Sequence[str]:
    told = (metrics.get("left_out_sources") or {}).get(source) or {}
    figures = (metrics.get("leave_one_source_out") or {}).get(source)
    chance = ""
    if figures:
        counts = [sum(row) for row in figures["confusion"]["counts"]]
        chance = judge_chance(figures["balanced_accuracy"], figures["auroc_macro"], counts).words
    return [*([chance] if chance else []), *told.get("notes", ()), *external_lines(told)]


def _nothing() -> dict[str, None]:
    return {"value": None, "low": None, "high": None}


def _cell(interval: Mapping[str, Any] | str) -> str:
    if isinstance(interval, str):
        return f"<td>{escape(interval)}</td>"
    limits = range_text(interval)
    return f"<td>{percent(interval['value'])}{f'<small>{limits}</small>' if limits else ''}</td>"
