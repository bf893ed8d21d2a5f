"""Drift in words."""

from __future__ import annotations

from hilum.judge.drift import Drift, QuantityDrift
from hilum.report.drift import drift_lines


def test_the_answer_comes_first_and_the_power_is_said() -> None:
    one = QuantityDrift("probability:Covid-19", 0.0001, True, (0.5, 0.5), (0.1, 0.9))
    other = QuantityDrift("refused", 0.4, False, (1.0, 0.0), (0.9, 0.1))
    lines = drift_lines(Drift(100, 300, (one, other), 0.25))
    assert lines[0].startswith("The films of today are answered differently.")
    assert "  Probability of Covid-19: different (p below 0.001)" in lines
    assert "  Films refused: no difference found (p 0.4)" in lines
    assert "a change of 25 % of all films" in lines[-2].replace("\u00a0", " ")
    assert drift_lines(Drift(20, 300, (), None))[0].startswith("There are too few films to say")
    calm = drift_lines(Drift(100, 300, (other,), 0.25))
    assert calm[0].startswith("No difference found")
