"""Figures by age and sex in words and as a table."""

from __future__ import annotations

from hilum.judge.intervals import Interval
from hilum.judge.subgroups import PatientGroups, Subgroup
from hilum.report.patients import patient_lines, patient_sections


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
