"""Films are counted once; every figure of every resample comes from those counts."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.judge.intervals import Bootstrap
from hilum.judge.tally import OVERALL, PER_FINDING, Tally, mean_f1

LABELS = np.array([0, 0, 1, 1, 2])
SCORES = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.6, 0.1, 0.3]])


def tally(groups: list[int]) -> Tally:
    return Tally.of(LABELS, SCORES, np.array(groups), np.full(3, 0.5))


def test_films_are_counted_by_truth_and_answer_whatever_their_groups() -> None:
    for groups in ([0, 1, 2, 3, 4], [7, 7, 3, 3, 3]):
        assert tally(groups).confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_a_resample_that_draws_a_group_twice_counts_its_films_twice() -> None:
    counted = tally([0, 0, 1, 1, 2])
    figures = counted.figures(np.array([[2.0], [0.0], [1.0]]))
    assert figures["recall"][0].tolist() == pytest.approx([0.5, np.nan, 0.0], nan_ok=True)
    assert figures["exclusion"][0].tolist() == pytest.approx([0.0, 0.6, 1.0])


def test_every_figure_has_an_interval_that_holds_it() -> None:
    measured = tally([0, 1, 2, 3, 4]).measured(Bootstrap(num_resamples=50))
    places = [(figure, (index,)) for figure in PER_FINDING for index in range(3)] + [(figure, ()) for figure in OVERALL]
    for figure, finding in places:
        found = measured.interval(figure, *finding)
        if found.value is not None:
            assert found.low <= found.value <= found.high


def test_the_mean_f1_is_over_the_findings_that_occur() -> None:
    sums = np.array([[2.0, 2.0, 0.0, 2.0, 2.0, 0.0, 1.0, 1.0, 0.0]])
    assert mean_f1(sums, np.array([True, True, False])).tolist() == [0.5]
    assert np.isnan(mean_f1(sums, np.array([True, True, True]))).all()
