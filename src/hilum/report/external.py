"""Figures in house and elsewhere, by patient group, and at a prevalence: for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hilum.console import count_of
from hilum.judge.external import PneumoniaFigures, RunMetrics, SourceFacts, UnknownFinding
from hilum.judge.in_house import Change, EvaluationMetrics, InHouseComparison
from hilum.judge.intervals import Interval
from hilum.judge.parts import PARTS, Metrics, judged_parts
from hilum.judge.prevalence import MARGIN, AtPrevalence
from hilum.judge.subgroups import LEAST_FILMS, PatientGroups
from hilum.judge.verdict import chance_of
from hilum.report.page import Section, render
from hilum.text import interval_words, percent, percent_figure, percent_text, points_range, range_text

__all__ = [
    "external_lines",
    "external_section",
    "patient_lines",
    "patient_sections",
    "prevalence_lines",
    "prevalence_section",
    "source_lines",
    "sources_section",
    "sources_table",
]

_IN_HOUSE = ("cross_validation", "test_clean")
_FIGURES = {"accuracy": "Accuracy", "recall_mean": "Mean recall", "auroc_macro": "AUROC"}
_PER_FINDING = {"auroc": "AUROC", "sensitivity": "Sensitivity", "specificity": "Specificity"}


def external_lines(metrics: EvaluationMetrics | SourceFacts) -> list[str]:
    """Return what the terminal shows beside the figures: the change from in house, and films of unknown findings.

    Args:
        metrics: What metrics.json of an evaluation holds, or what it says of a source held out.
    """
    lines = []
    compared = metrics.in_house if isinstance(metrics, EvaluationMetrics) else None
    if compared:
        lines.append(_sides(compared))
        lines += [
            f"  {name}: {percent_figure(row.in_house)} in house, {percent_figure(row.here)} here, "
            f"{_changed(row.change)}"
            for name, row in _rows(compared)
            if row.change.value is not None and not name.startswith(("Sensitivity", "Specificity"))
        ]
    if metrics.pneumonia:
        lines.append(_pneumonia(metrics.pneumonia))
    lines += [_unknown(finding, figures) for finding, figures in metrics.unknown_findings.items()]
    return lines


def external_section(metrics: EvaluationMetrics) -> Section | None:
    """Return the report's section about the same; None where there is nothing to say."""
    compared, pneumonia, unknown = metrics.in_house, metrics.pneumonia, metrics.unknown_findings
    if not (compared or pneumonia or unknown):
        return None
    html = render(
        "external.html.j2",
        sides=_sides(compared) if compared else "",
        rows=list(_rows(compared)) if compared else [],
        pneumonia=_pneumonia(pneumonia) if pneumonia else "",
        unknown=[_unknown(finding, figures) for finding, figures in unknown.items()],
    )
    return Section("in-house", "In house and here", html)


def _rows(compared: InHouseComparison) -> Iterator[tuple[str, Change]]:
    for figure, row in compared.figures.items():
        yield _FIGURES[figure], row
    for finding, figures in compared.per_finding.items():
        for figure, row in figures.items():
            yield f"{_PER_FINDING[figure]}, {finding}", row


def _sides(compared: InHouseComparison) -> str:
    house, here = compared.in_house, compared.here
    text = (
        f"In house ({PARTS[house.part][0].lower()}, {count_of(house.n, 'film')}) and here "
        f"({PARTS[here.part][0].lower()}, {count_of(here.n, 'film')})."
    )
    if compared.lacking:
        them = "it" if len(compared.lacking) == 1 else "them"
        text += (
            f" No film here shows {', '.join(compared.lacking)}: the model still considers {them}, and accuracy is "
            "over another mix of findings than in house."
        )
    return text


def _pneumonia(figures: PneumoniaFigures) -> str:
    return (
        f"Pneumonia of any kind ({count_of(figures.pneumonia, 'film')}) against normal "
        f"({count_of(figures.normal, 'film')}), by the sum "
        f"of {' and '.join(figures.kinds)}: AUROC {percent_figure(figures.auroc)}, sensitivity "
        f"{percent_figure(figures.sensitivity)}, specificity {percent_figure(figures.specificity)}."
    )


def _unknown(finding: str, figures: UnknownFinding) -> str:
    answers = ", ".join(f"{name} {count}" for name, count in figures.answers.items())
    return (
        f"{finding} ({figures.n} films, unknown to the model) is answered {answers}; "
        f"{figures.accepted} are accepted, {percent_figure(figures.single_finding)} with a single finding."
    )


def _changed(change: Interval) -> str:
    difference = round(100 * (change.value or 0.0), 1) + 0.0
    words = f"{abs(difference):.1f} points {'higher' if difference > 0 else 'lower'}" if difference else "no change"
    limits = points_range(change)
    return f"{words} (change {limits})" if limits else words


def source_lines(metrics: RunMetrics) -> list[str]:
    """Return what the terminal shows of the held-out sources; nothing where none was held out.

    Args:
        metrics: What metrics.json of `train` holds.
    """
    lines = []
    for source, figures in (metrics.leave_one_source_out or {}).items():
        if figures is None:
            lines.append(f"Source {source}, held out: not judged.")
        else:
            recall, auroc = figures.balanced_accuracy, figures.auroc_macro
            lines.append(
                f"Source {source}, held out: {percent(figures.accuracy.value)} % of {figures.n} films right "
                f"({range_text(figures.accuracy)}), mean recall {percent(recall.value)} %, AUROC "
                f"{percent(auroc.value)}{' %' if auroc.value is not None else ''}"
            )
        lines += [f"  {note}" for note in _notes(metrics, source)]
    return lines


def sources_table(metrics: Metrics) -> tuple[list[str], list[list[Interval | str]]]:
    """Return head and rows of the figures in house and of each held-out source.

    Returns:
        The head's names, and rows of which the first two cells are text and the rest intervals; no rows where no
        source was held out.
    """
    sources = (metrics.leave_one_source_out or {}) if isinstance(metrics, RunMetrics) else {}
    parts = judged_parts(metrics)
    judged = {f"In house: {PARTS[name][0].lower()}": parts[name] for name in _IN_HOUSE if name in parts}
    judged |= {f"Held out: {source}": figures for source, figures in sources.items() if figures}
    findings = list(dict.fromkeys(name for figures in judged.values() for name in figures.per_finding))
    head = ["Films", "n", "Accuracy", "Mean recall", *(f"AUROC {name}" for name in findings)]
    rows: list[list[Interval | str]] = []
    for name, figures in judged.items() if sources else ():
        aurocs = [
            figures.per_finding[finding].auroc if finding in figures.per_finding else Interval() for finding in findings
        ]
        rows.append([name, str(figures.n), figures.accuracy, figures.balanced_accuracy, *aurocs])
    return head, rows


def sources_section(metrics: RunMetrics) -> Section | None:
    """Return the report's section about held-out sources; None where none was held out."""
    head, rows = sources_table(metrics)
    if not rows:
        return None
    notes = [(source, note) for source in metrics.leave_one_source_out or () for note in _notes(metrics, source)]
    return Section("sources", "Sources held out", render("sources.html.j2", head=head, rows=rows, notes=notes))


def _notes(metrics: RunMetrics, source: str) -> Sequence[str]:
    facts = (metrics.left_out_sources or {}).get(source, SourceFacts(()))
    figures = (metrics.leave_one_source_out or {}).get(source)
    chance = chance_of(figures).words if figures else ""
    return [*([chance] if chance else []), *facts.notes, *external_lines(facts)]


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
        f"{count_of(worst.n, 'film')} right{interval_words(range_text(worst.accuracy))}. {noise}."
    )


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
