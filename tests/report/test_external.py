"""What terminal and report show of another hospital's films."""

from __future__ import annotations

import numpy as np

from hilum.judge.external import PneumoniaFigures, UnknownFinding
from hilum.judge.in_house import Change, EvaluationMetrics, InHouseComparison, JudgedPart
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import performance
from hilum.judge.prevalence import AtPrevalence, PredictiveValues
from hilum.judge.subgroups import PatientGroups, Subgroup
from hilum.report.external import (
    external_lines,
    external_section,
    patient_lines,
    patient_sections,
    prevalence_lines,
    prevalence_section,
)

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
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in external_lines(metrics())]
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


def group(value: str, n: int, accuracy: Interval) -> Subgroup:
    return Subgroup(value, n, {"Normal": n}, accuracy, Interval(), n < 30)


FOUND = {
    "age": PatientGroups(
        (group("under 18 years", 20, Interval(0.4, 0.2, 0.6)), group("18-39 years", 40, Interval(0.9, 0.8, 0.95))),
        "under 18 years",
        True,
        3,
    ),
    "sex": PatientGroups((group("female", 9, Interval()),), None, False, 0),
}


def test_the_lines_name_the_worst_group() -> None:
    age, sex = (line.replace("\N{NO-BREAK SPACE}", " ") for line in patient_lines(FOUND))
    assert age == (
        "Age: the model is worst on under 18 years: 40 % of 20 films right (95 % interval 20.0–60.0). It is worse "
        "there than on other films by more than chance."
    )
    assert sex == "Sex: too few films to compare; a group needs 10."
    assert patient_lines(None) == []


def test_the_section_has_a_row_for_each_group() -> None:
    (section,) = patient_sections(FOUND)
    assert section.heading == "Age and sex"
    assert section.html.count('<th scope="row">') == 3
    assert section.html.count("too few films</small>") == 1
    assert "not known of 3 films" in section.html
    assert patient_sections({}) == []


VALUES = AtPrevalence(
    0.05,
    {
        "Covid-19": PredictiveValues(Interval(0.5, 0.4, 0.6), Interval(0.99, 0.98, 1.0), 2820),
        "Normal": PredictiveValues(Interval(), Interval(), None),
    },
)


def test_the_lines_say_what_an_answer_is_worth() -> None:
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in prevalence_lines(VALUES)]
    assert lines[0] == "Where 5.0 % of the films have the finding:"
    assert "positive 50.0 % have it (40.0–60.0)" in lines[1]
    assert "About 2,820 local films show this within 5 points." in lines[1]
    assert lines[2] == "  Normal: these films cannot say."


def test_the_section_has_a_row_for_each_finding() -> None:
    html = prevalence_section(VALUES).html
    assert html.count('<th scope="row">') == 2
    assert "2,820" in html
    assert "50.0" in html
