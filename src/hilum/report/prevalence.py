"""Predictive values at a prevalence, for the terminal and for the report."""

from __future__ import annotations

from hilum.judge.prevalence import MARGIN, AtPrevalence
from hilum.report.page import Section, render
from hilum.text import percent_text, range_text

__all__ = ["prevalence_lines", "prevalence_section"]


def prevalence_lines(values: AtPrevalence) -> list[str]:
    """Return what the terminal shows: a heading, and a line for each finding."""
    lines = [f"{_heading(values)}:"]
    for name, one in values.per_finding.items():
        if one.films_needed is None:
            lines.append(f"  {name}: these films cannot say.")
            continue
        lines.append(
            f"  {name}: of the films called positive {percent_text(one.ppv.value)} have it ({range_text(one.ppv)}), of "
            f"those called negative {percent_text(one.npv.value)} do not ({range_text(one.npv)}). About "
            f"{one.films_needed:,} local films show this within {MARGIN * 100:.0f} points."
        )
    return lines


def prevalence_section(values: AtPrevalence) -> Section:
    """Return the report's section about the same."""
    html = render("prevalence.html.j2", values=values, heading=_heading(values), margin=f"{MARGIN * 100:.0f}")
    return Section("prevalence", "Predictive values", html)


def _heading(values: AtPrevalence) -> str:
    return f"Where {percent_text(values.prevalence)} of the films have the finding"
