"""Drift: what is counted, when it is called different, and how often by chance."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.figures import to_json
from hilum.judge.drift import (
    LEAST_FILMS,
    AnswerCounts,
    bin_names,
    count_answers,
    counts_from_json,
    measure_drift,
    sum_counts,
)
from hilum.report.drift import drift_lines

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


def test_counts_without_a_quantity_in_common_are_not_judged() -> None:
    one, other = (AnswerCounts(100, {name: [50, 50]}) for name in ("confidence", "refused"))
    assert measure_drift(one, other).quantities == ()


def test_more_films_show_smaller_changes() -> None:
    few, many = (measure_drift(drawn(0, n), drawn(1, n)).found_difference or 0.0 for n in (60, 2000))
    assert 0 < many < few < 1


def bright(seed: int, n: int, *, level: float = 0.5) -> AnswerCounts:
    """Answers of one kind to films of some brightness, of which the outlier score is known too."""
    rng = np.random.default_rng(seed)
    return count_answers(
        np.tile([0.7, 0.2, 0.1], (n, 1)),
        [1] * n,
        [True] * n,
        FINDINGS,
        outlier_scores=rng.exponential(1.0, n).tolist(),
        exposures=rng.normal(level, 0.05, n).clip(0, 1).tolist(),
    )


def test_brighter_films_are_called_different_though_the_answers_are_the_same() -> None:
    found = measure_drift(bright(0, 100), bright(1, 100, level=0.65))
    assert [one.quantity for one in found.quantities if one.is_different] == ["exposure"]
    assert measure_drift(bright(0, 100), bright(2, 100)).is_different is False


def test_scores_and_exposures_are_counted_where_they_are_known() -> None:
    known = {"outlier_scores": [None, 0.1, 300.0], "exposures": [0.0, None, 1.0]}
    found = count_answers([[1.0, 0.0, 0.0]] * 3, [1] * 3, [True] * 3, FINDINGS, **known).counts
    scores = dict(zip(bin_names("outlier_score", FINDINGS), found["outlier_score"], strict=True))
    exposures = dict(zip(bin_names("exposure", FINDINGS), found["exposure"], strict=True))
    assert {name for name, number in scores.items() if number} == {"0-0.25", "25-"}
    assert {name for name, number in exposures.items() if number} == {"0-0.05", "0.95-1"}


def test_what_an_earlier_hilum_did_not_count_is_left_out_and_said() -> None:
    old, new = drawn(0, 100), bright(1, 100)
    for one, other, side in ((old, new, "not_in_reference"), (new, old, "not_in_today")):
        found = measure_drift(one, other)
        assert getattr(found, side) == ("outlier_score", "exposure")
        assert {one.quantity for one in found.quantities} == set(old.counts)
        (line,) = [text for text in drift_lines(found) if text.startswith("Not compared: ")]
        assert "how unlike the training films they are, how bright the films are (" in line
    both = sum_counts((old, new))
    assert (both.n, sum(both.counts["exposure"]), sum(both.counts["refused"])) == (200, 100, 200)
    assert counts_from_json(to_json(both)) == both
