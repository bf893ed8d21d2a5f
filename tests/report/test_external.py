"""What terminal and report show of another hospital's films."""

from __future__ import annotations

import numpy as np

from hilum.judge.external.figures import (
    Change,
    EvaluationMetrics,
    InHouseComparison,
    JudgedPart,
    PneumoniaFigures,
    UnknownFinding,
)
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import performance
from hilum.report.external import external_lines, external_section

NONE = performance([], np.zeros((0, 1)), ["a"], operating_thresholds={"a": 0.5}, bootstrap=Bootstrap(num_resamples=0))


def metrics() -> EvaluationMetrics:
    row = Change(Interval(0.98, 0.9, 0.99), Interval(0.33, 0.25, 0.42), Interval(-0.65, -0.73, -0.54))
    undefined = Change(Interval(0.98), Interval(), Interval())
    better = Change(Interval(0.5), Interval(0.6), Interval(0.1))
    return EvaluationMetrics(
        test=NONE,
        test_clean=NONE,
        in_house=InHouseComparison(
            in_house=JudgedPart("test_clean", 57),
            here=JudgedPart("test", 119),
            lacking=("Viral Pneumonia",),
            figures={"accuracy": row, "recall_mean": better},
            per_finding={"<b>Odd</b>": {"auroc": row, "sensitivity": row, "specificity": undefined}},
        ),
        pneumonia=PneumoniaFigures(
            kinds=("Viral Pneumonia", "Bacterial Pneumonia"),
            pneumonia=40,
            normal=83,
            auroc=Interval(0.586, 0.477, 0.693),
            sensitivity=Interval(0.0, 0.0, 0.088),
            specificity=Interval(),
        ),
        unknown_findings={
            "Effusion": UnknownFinding(40, {"Covid-19": 39, "Normal": 1}, 38, Interval(0.875, 0.739, 0.945))
        },
    )


def test_the_terminal_shows_the_fall() -> None:
    lines = external_lines(metrics())
    assert lines[0].startswith(
        "In house (clean test, 57 films) and here (test as given, 119 films). No film here shows Vir"
    )
    assert (
        "  Accuracy: 98.0 % (90.0–99.0) in house, 33.0 % (25.0–42.0) here, 65.0 points lower (change −73.0 to −54.0)"
        in lines
    )
    assert "  Mean recall: 50.0 % in house, 60.0 % here, 10.0 points higher" in lines
    assert not any("Sensitivity" in line for line in lines)  # those are in the report
    assert "by the sum of Viral Pneumonia and Bacterial Pneumonia: AUROC 58.6 % (47.7–69.3)" in lines[-2]
    assert lines[-1] == (
        "Effusion (40 films, unknown to the model) is answered Covid-19 39, Normal 1; 38 are accepted, "
        "87.5 % (73.9–94.5) with a single finding."
    )


def test_the_report_shows_every_figure_escaped() -> None:
    section = external_section(metrics())
    assert section is not None
    assert "&lt;b&gt;Odd&lt;/b&gt;" in section.html
    assert "<b>Odd</b>" not in section.html
    assert section.html.count('<th scope="row">') == 5
    assert "−65.0<small>−73.0 to −54.0</small>" in section.html
    assert "Effusion (40 films" in section.html


def test_nothing_to_show_is_no_section() -> None:
    nothing = EvaluationMetrics(test=NONE, test_clean=NONE)
    assert external_section(nothing) is None
    assert external_lines(nothing) == []
