"""Held-out sources beside the figures in house, on the terminal and in the report."""

from __future__ import annotations

import numpy as np

from hilum.judge.external import RunMetrics, SourceFacts
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Performance, performance
from hilum.report.external import source_lines, sources_section, sources_table


def figures(findings: list[str], num: int, wrong: int) -> Performance:
    truth = np.arange(num) % 2
    answers = np.where(np.arange(num) < wrong, 1 - truth, truth)
    probabilities = 0.1 + 0.7 * np.eye(len(findings))[answers]
    return performance(
        truth,
        probabilities,
        findings,
        operating_thresholds=dict.fromkeys(findings, 0.5),
        bootstrap=Bootstrap(num_resamples=50),
    )


def metrics() -> RunMetrics:
    test = figures(["Normal", "Covid-19", "Tuberculosis"], 40, 0)
    return RunMetrics(
        test=test,
        test_clean=test,
        cross_validation=figures(["Normal", "Covid-19", "Tuberculosis"], 200, 10),
        leave_one_source_out={"<a>": figures(["Normal", "Covid-19"], 60, 30), "b": None},
        left_out_sources={
            "<a>": SourceFacts(("It has no film of x.",)),
            "b": SourceFacts(("It was not judged: the other sources teach Normal only.",)),
        },
    )


def test_terminal_shows_every_source_and_its_notes() -> None:
    lines = source_lines(metrics())
    assert lines[0].startswith(
        "Source <a>, held out: 50.0 % of 60 films right (37.7–62.3), mean recall 50.0 %, AUROC 50.0 %"
    )
    assert lines[1].startswith("  Not above chance: balanced accuracy 50.0\N{NO-BREAK SPACE}% of 2 findings")
    assert lines[2:] == [
        "  It has no film of x.",
        "Source b, held out: not judged.",
        "  It was not judged: the other sources teach Normal only.",
    ]


def test_table_puts_them_beside_the_figures_in_house() -> None:
    head, rows = sources_table(metrics())
    assert head == ["Films", "n", "Accuracy", "Mean recall", "AUROC Normal", "AUROC Covid-19", "AUROC Tuberculosis"]
    assert [row[:2] for row in rows] == [
        ["In house: cross-validation", "200"],
        ["In house: clean test", "40"],
        ["Held out: <a>", "60"],
    ]
    held_out = (metrics().leave_one_source_out or {})["<a>"]
    assert held_out is not None and rows[2][2] == held_out.accuracy
    assert rows[2][6] == Interval()  # a finding its model did not know


def test_report_is_escaped_and_says_what_was_not_judged() -> None:
    section = sources_section(metrics())
    assert section is not None
    assert "<a>" not in section.html
    assert "Held out: &lt;a&gt;" in section.html
    assert "the other sources teach Normal only" in section.html


def test_runs_without_held_out_sources_say_nothing() -> None:
    judged = figures(["Normal", "Covid-19"], 10, 0)
    plain = RunMetrics(test=judged, test_clean=judged)
    assert source_lines(plain) == []
    assert sources_section(plain) is None
