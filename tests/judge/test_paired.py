"""Paired tests agree with pair counting, with known tables and with resampling, and claim nothing without films."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hilum.errors import InputError
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import performance
from hilum.judge.paired import accuracy_difference, delong, macro_f1_difference, mcnemar


def scores_of(rng: np.random.Generator, positive: np.ndarray, help_: float) -> np.ndarray:
    return np.round(rng.normal(size=positive.size) + help_ * positive, 1)  # rounding makes ties


def area(positive: np.ndarray, scores: np.ndarray) -> float:
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


# --- McNemar --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(0, 0, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (1, 8, 0.0390625), (6, 16, 0.0524790), (10, 10, 1.0)],
)
def test_mcnemar_is_the_binomial_test(only_first: int, only_second: int, p_value: float) -> None:
    first = np.repeat([True, False, True, False], [only_first, only_second, 7, 3])
    second = np.repeat([False, True, True, False], [only_first, only_second, 7, 3])
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second, result.exact) == (only_first, only_second, True)
    assert result.p_value == pytest.approx(p_value, abs=1e-6)
    assert mcnemar(second, first).p_value == result.p_value


def test_mcnemar_of_very_many_films_is_close_to_the_exact_one() -> None:
    def p_value(num: int, more: int) -> float:
        first = np.repeat([True, False], [num, num + more])
        return mcnemar(first, ~first).p_value

    assert not mcnemar(np.ones(1200, bool), np.zeros(1200, bool)).exact
    assert p_value(470, 59) == pytest.approx(p_value(471, 59), rel=0.02)  # 999 and 1,001 discordant


# --- DeLong ---------------------------------------------------------------------------------------------------------


def test_delong_is_the_variance_of_counted_pairs() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(80) < 0.4
    scores = [scores_of(rng, positive, strength) for strength in (0.6, 1.2)]
    ten, one = [], []  # DeLong's V10 and V01, by comparing every pair
    for values in scores:
        above = values[positive][:, None] - values[~positive][None, :]
        wins = (above > 0) + 0.5 * (above == 0)
        ten.append(wins.mean(axis=1))
        one.append(wins.mean(axis=0))
    covariance = np.cov(ten) / positive.sum() + np.cov(one) / (~positive).sum()
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    result = delong(positive, *scores)
    assert result is not None
    assert (result.first, result.second) == (
        pytest.approx(area(positive, scores[0])),
        pytest.approx(area(positive, scores[1])),
    )
    difference = result.second - result.first
    assert result.difference.value == pytest.approx(difference)
    assert result.difference.high == pytest.approx(difference + 1.959964 * error)
    assert result.p_value == pytest.approx(math.erfc(abs(difference) / error / math.sqrt(2)))


@pytest.mark.parametrize("num_findings", [1, 3])
@pytest.mark.parametrize("films_a_group", [1, 3])
def test_delong_agrees_with_a_bootstrap_of_groups(num_findings: int, films_a_group: int) -> None:
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(90), films_a_group)
    truth = np.repeat(rng.integers(3, size=90), films_a_group)  # a patient's films share the finding
    positive = truth[:, None] == np.arange(num_findings)
    common = np.repeat(rng.normal(size=(90, num_findings)), films_a_group, axis=0)  # and much of the score
    first, second = (common * share + rng.normal(size=positive.shape) * 0.3 + 1.0 * positive for share in (1.0, 0.2))
    result = delong(positive, first, second, groups)
    assert result is not None
    assert result.first == pytest.approx(np.mean([area(p, s) for p, s in zip(positive.T, first.T, strict=True)]))
    drawn = []
    for _ in range(1500):
        films = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(90, size=90)])
        difference = [
            area(positive[films, k], second[films, k]) - area(positive[films, k], first[films, k])
            for k in range(num_findings)
        ]
        drawn.append(np.mean(difference))
    error = (result.difference.high - result.difference.low) / (2 * 1.959964)  # type: ignore[operator]
    assert error == pytest.approx(np.std(drawn), rel=0.12)
    if films_a_group == 3:  # as if each film stood for itself: too sure
        alone = delong(positive, first, second)
        assert alone is not None
        assert (alone.difference.high - alone.difference.low) / (2 * 1.959964) < 0.85 * error  # type: ignore[operator]


def test_delong_claims_nothing_where_it_cannot() -> None:
    assert delong([True, True], [0.1, 0.2], [0.3, 0.4]) is None
    assert delong(np.zeros((0, 2), bool), np.zeros((0, 2)), np.zeros((0, 2))) is None
    perfect = delong([True, True, False, False], [0.9, 0.8, 0.1, 0.2], [0.9, 0.7, 0.1, 0.3])
    assert perfect is not None
    assert (perfect.first, perfect.second, perfect.p_value) == (1.0, 1.0, None)
    assert perfect.difference == Interval(0.0)


# --- differences ----------------------------------------------------------------------------------------------------


def test_differences_are_those_of_the_figures() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(3, size=60)
    answers = [np.where(rng.random(60) < right, truth, rng.integers(3, size=60)) for right in (0.6, 0.9)]
    names = ["a", "b", "c", "d"]  # nobody has or answers d
    figures = [
        performance(
            truth,
            np.eye(4)[one],
            names,
            operating_thresholds=dict.fromkeys(names, 0.5),
            bootstrap=Bootstrap(num_resamples=0),
        )
        for one in answers
    ]
    right = [one == truth for one in answers]
    accuracy = accuracy_difference(*right, np.arange(60))
    macro_f1 = macro_f1_difference(truth, *answers, np.arange(60))
    for name, interval in (("accuracy", accuracy), ("macro_f1", macro_f1)):
        expected = getattr(figures[1], name).value - getattr(figures[0], name).value
        assert interval.value == pytest.approx(expected)
        assert 0 < interval.low < expected < interval.high  # type: ignore[operator]
    error = np.std(right[1].astype(float) - right[0].astype(float)) / math.sqrt(60)
    assert accuracy.high - accuracy.low == pytest.approx(2 * 1.96 * error, rel=0.15)  # type: ignore[operator]


def test_copies_of_films_make_nothing_surer() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 40)) < [[0.6], [0.8]]
    once = accuracy_difference(first, second, np.arange(40))
    copied = accuracy_difference(np.repeat(first, 4), np.repeat(second, 4), np.repeat(np.arange(40), 4))
    assert copied == pytest.approx(once)


def test_equal_answers_are_not_proof_of_equality() -> None:
    right = np.ones(20, bool)
    interval = accuracy_difference(right, right, np.arange(20))
    assert interval.value == 0
    assert interval.high == -interval.low == pytest.approx(0.161, abs=0.001)  # type: ignore[operator]
    assert accuracy_difference([], [], []).value is None


def test_different_films_are_refused() -> None:
    with pytest.raises(InputError, match="same films"):
        mcnemar([True], [True, False])
    with pytest.raises(InputError, match="same films"):
        delong([True, False], [0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="same films"):
        delong(np.ones((4, 2), bool), np.ones((4, 2)), np.ones((4, 3)))
