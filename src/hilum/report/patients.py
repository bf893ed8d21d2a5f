"""Figures by age band and by sex, for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.console import count_of
from hilum.judge.subgroups import LEAST_FILMS, PatientGroups
from hilum.report.page import Section, render
from hilum.text import percent_text, range_text

__all__ = ["patient_lines", "patient_sections"]


def patient_lines(subgroups: Mapping[str, PatientGroups] | None) -> list[str]:
    """Return a line for age and one for sex that names the worst group; none of what is not known."""
    return [f"{column.capitalize()}: {_worst_words(table)}" for column, table in (subgroups or {}).items()]


def patient_sections(subgroups: Mapping[str, PatientGroups] | None) -> list[Section]:
    """Return the report's section about the same, with every group; none where neither age nor sex is known."""
    if not subgroups:
        return []
    html = render("patients.html.j2", subgroups=subgroups, lines=patient_lines(subgroups), least=LEAST_FILMS)
    return [Section("patients", "Age and sex", html)]


def _worst_words(table: PatientGroups) -> str:
    worst = next((row for row in table.groups if row.value == table.worst), None)
    if worst is None:
        return f"too few films to compare; a group needs {LEAST_FILMS}."
    is_sure = table.is_surely_worse
    noise = "It is worse there than on other films by more than chance" if is_sure else "This may be chance"
    return (
        f"the model is worst on {worst.value}: {percent_text(worst.accuracy.value, 0)} of "
        f"{count_of(worst.n, 'film')} right (95 % interval {range_text(worst.accuracy)}). {noise}."
    )
