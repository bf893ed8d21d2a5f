"""Cramér's V and chi squared, against SciPy and by known tables."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.judge.contingency import chi_squared_tail, cramers_v, cramers_v_interval


def test_cramers_v_and_its_p_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    table = np.array([[30, 5, 8], [4, 40, 9], [0, 0, 0]])
    value, p = cramers_v(table)
    expected = stats.chi2_contingency(table[:2], correction=False)
    assert p == pytest.approx(expected.pvalue)
    raw = stats.contingency.association(table[:2], method="cramer")
    assert raw * 0.95 < value < raw  # Bergsma's correction takes a little away


def test_cramers_v_is_one_where_one_gives_the_other_and_nought_by_chance() -> None:
    assert cramers_v(np.array([[50, 0, 0], [0, 50, 50]]))[0] == pytest.approx(1, abs=0.02)
    assert cramers_v(np.array([[25, 25], [25, 25]])) == (0.0, 1.0)
    assert cramers_v(np.array([[25, 25], [0, 0]])) == (0.0, 1.0)
    rng = np.random.default_rng(0)
    drawn = [cramers_v(rng.multinomial(60, [1 / 60] * 60).reshape(20, 3))[0] for _ in range(50)]
    assert np.mean(drawn) < 0.15  # without the correction 20 categories of nothing look like 0.55


def test_the_interval_holds_the_value_and_gets_narrower_with_more_films() -> None:
    table = np.array([[30, 5, 8], [4, 40, 9]])
    few, many = cramers_v_interval(table), cramers_v_interval(10 * table)
    assert few.value == cramers_v(table)[0]
    assert few.low is not None and few.high is not None and many.low is not None and many.high is not None
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 2


@pytest.mark.parametrize("degrees", [1, 2, 3, 8, 15])
def test_the_tail_of_chi_squared_agrees_with_scipy(degrees: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    for value in (0.0, 0.3, 2.0, 11.0, 60.0):
        assert chi_squared_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees))
