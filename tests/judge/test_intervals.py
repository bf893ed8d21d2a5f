"""Intervals of means: right on average, wider for groups, never without width, none where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import InputError
from hilum.judge.intervals import Interval, grouped_mean


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        found = grouped_mean(rng.random(60), np.arange(60), seed=trial, num_resamples=400)
        assert found.low is not None and found.high is not None
        held += found.low <= 0.5 <= found.high
    assert 180 <= held <= 199


def test_films_of_one_group_count_as_one() -> None:
    values = np.repeat(np.random.default_rng(1).random(20), 10)
    alone = grouped_mean(values, np.arange(200))
    together = grouped_mean(values, np.repeat(np.arange(20), 10))
    assert together.value == alone.value == pytest.approx(values.mean())
    widths = [found.high - found.low for found in (alone, together)]
    assert widths[1] > 2 * widths[0]


def test_no_variation_is_no_certainty() -> None:
    found = grouped_mean(np.zeros(20), np.arange(20), limits=(-1, 1))
    assert found.value == 0
    assert found.low == pytest.approx(-found.high)
    assert 0.1 < found.high < 0.5
    assert grouped_mean(np.ones(5), np.zeros(5)) == Interval(1.0, pytest.approx(0.2, abs=0.05), 1.0)


def test_films_without_a_value_are_left_out() -> None:
    found = grouped_mean([0.2, np.nan, 0.4], [0, 1, 2])
    assert found.value == pytest.approx(0.3)
    assert grouped_mean([np.nan], [0]) == grouped_mean([], []) == Interval()
    with pytest.raises(InputError, match="one group a value"):
        grouped_mean([1.0, 2.0], [0])
