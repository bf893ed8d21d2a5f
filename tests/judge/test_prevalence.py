"""Predictive values at a prevalence, against the textbook's formula."""

from __future__ import annotations

import pytest

from hilum.errors import InputError
from hilum.judge.intervals import Interval, films_for, wilson_interval
from hilum.judge.metrics import Confusion, FindingFigures, Performance
from hilum.judge.prevalence import at_prevalence

NONE = Interval()


def figures(sensitivity: Interval, specificity: Interval) -> Performance:
    one = FindingFigures(NONE, NONE, NONE, NONE, sensitivity, specificity, 0.5, 50)
    return Performance(100, NONE, NONE, NONE, NONE, 0.0, {"Covid-19": one}, Confusion(("Covid-19",), ((100,),)))


def test_predictive_values_follow_bayes() -> None:
    found = at_prevalence(figures(Interval(0.9, 0.8, 0.95), Interval(0.9, 0.85, 1.0)), 0.1).per_finding["Covid-19"]
    assert found.ppv.value == pytest.approx(0.5)  # 9 of 18 called positive
    assert found.npv.value == pytest.approx(81 / 82)
    assert found.ppv.low == pytest.approx(0.08 / (0.08 + 0.135))
    assert (found.ppv.high, found.npv.high) == (1.0, pytest.approx(0.9 / 0.905))
    assert found.films_needed == 10 * films_for(0.9)


def test_films_for_is_the_least_number() -> None:
    for value in (0.5, 0.93, 1.0):
        n = films_for(value)
        wide, narrow = (wilson_interval(value * films, films) for films in (n - 1, n))
        assert narrow[1] - narrow[0] <= 0.1 < wide[1] - wide[0]


def test_what_cannot_be_said_is_undefined() -> None:
    found = at_prevalence(figures(NONE, Interval(0.9, 0.8, 1.0)), 0.1).per_finding["Covid-19"]
    assert (found.ppv, found.npv, found.films_needed) == (NONE, NONE, None)
    never = at_prevalence(figures(Interval(0.0, 0.0, 0.1), Interval(1.0, 0.9, 1.0)), 0.1).per_finding["Covid-19"]
    assert never.ppv.value is None
    for share in (0.0, 1.0, 5.0):
        with pytest.raises(InputError, match="above 0 and below 1"):
            at_prevalence(figures(NONE, NONE), share)
