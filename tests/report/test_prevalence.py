"""Predictive values in words and as a table."""

from __future__ import annotations

from hilum.judge.intervals import Interval
from hilum.judge.prevalence import AtPrevalence, PredictiveValues
from hilum.report.prevalence import prevalence_lines, prevalence_section

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
