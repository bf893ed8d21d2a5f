"""Drift: what is counted, when it is called different, and how often by chance."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.figures import to_json
from hilum.judge.drift import LEAST_FILMS, AnswerCounts, count_answers, counts_from_json, measure_drift

FINDINGS = ("Normal", "Covid-19", "Other")


def drawn(seed: int, n: int, *, likeliest: float = 2.0) -> AnswerCounts:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet((likeliest, 1.0, 0.5), n)
    return count_answers(shares, rng.integers(1, 4, n).tolist(), (rng.random(n) < 0.9).tolist(), FINDINGS)


def test_every_film_is_counted_once_in_every_quantity() -> None:
    shares = [[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.0, 0.0, 1.0]]
    found = count_answers(shares, [2, 1, 1], [True, False, True], FINDINGS)
    assert found.n == 3
    assert {sum(one) for one in found.counts.values()} == {3}
    assert found.counts["likeliest"] == (1, 1, 1)
    assert found.counts["set_size"] == (2, 1, 0)
    assert found.counts["refused"] == (2, 1)
    assert found.counts["probability:Other"][0] == 0
    assert found.counts["probability:Other"][-1] == 1
    assert counts_from_json(to_json(found)) == found
    assert counts_from_json({}) is None


def test_films_of_one_kind_are_rarely_called_different() -> None:
    alarms = [measure_drift(drawn(2 * n, 100), drawn(2 * n + 1, 100), seed=n).is_different for n in range(40)]
    assert sum(map(bool, alarms)) <= 3


def test_other_films_are_called_different() -> None:
    found = measure_drift(drawn(0, 100), drawn(1, 100, likeliest=0.5))
    assert found.is_different
    assert found.quantities[0].p <= 0.01 / len(found.quantities)
    assert [one.p for one in found.quantities] == sorted(one.p for one in found.quantities)
    assert found.quantities[0].reference_shares != found.quantities[0].shares


def test_the_unordered_quantity_is_compared_too() -> None:
    rows = np.full((100, 3), 0.3)
    first, second = rows.copy(), rows.copy()
    first[:, 0] = second[:, 2] = 0.4
    counts = [count_answers(one, [1] * 100, [True] * 100, FINDINGS) for one in (first, second)]
    found = {one.quantity: one for one in measure_drift(*counts).quantities}
    assert found["likeliest"].is_different
    assert found["confidence"].p == found["set_size"].p == 1.0


@pytest.mark.parametrize("sizes", [(LEAST_FILMS - 1, 500), (500, LEAST_FILMS - 1)])
def test_few_films_are_not_judged(sizes: tuple[int, int]) -> None:
    found = measure_drift(drawn(0, sizes[0]), drawn(1, sizes[1], likeliest=0.1))
    assert (found.is_different, found.quantities, found.found_difference) == (None, (), None)


def test_more_films_show_smaller_changes() -> None:
    few, many = (measure_drift(drawn(0, n), drawn(1, n)).found_difference or 0.0 for n in (60, 2000))
    assert 0 < many < few < 1
