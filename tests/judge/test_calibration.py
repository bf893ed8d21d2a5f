"""Calibration must not harm, and says what it rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.judge.calibration import (
    ChosenTemperature,
    calibration_words,
    choose_temperature,
    fit_calibration,
    fit_temperature,
    operating_thresholds,
)
from hilum.judge.conformal import conformal_thresholds, cross_conformal_thresholds, sparing_thresholds
from hilum.judge.curves import expected_calibration_error
from hilum.run.answer import softmax

FINDINGS = ("a", "b", "c")


def drawn(num: int, *, sureness: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (n, 3) that are calibrated but for a factor, and findings drawn as they say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (num, 3))
    truth = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    return logits * sureness, truth


def loss(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    return float(-np.log(softmax(logits, temperature)[np.arange(len(truth)), truth]).mean())


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_fit_temperature_finds_the_one_that_was_put_in(true_temperature: float) -> None:
    logits, truth = drawn(20_000)
    assert fit_temperature(logits * true_temperature, truth) == pytest.approx(true_temperature, rel=0.03)


def test_fit_temperature_is_the_minimum_of_its_loss() -> None:
    from scipy.optimize import minimize_scalar

    logits, truth = drawn(120, seed=3)
    targets = np.full((120, 3), 0.5 / 122)
    targets[np.arange(120), truth] = 121 / 122

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits * 5, math.exp(log_temperature))
        return float(-(targets * np.log(probabilities)).sum(axis=1).mean())

    best = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits * 5, truth) == pytest.approx(math.exp(best.x), rel=1e-4)


def test_fit_temperature_does_not_declare_a_perfect_small_sample_infallible() -> None:
    truth = np.arange(40) % 3
    logits = 30 * np.eye(3)[truth]
    temperature = fit_temperature(logits, truth)
    confidence = softmax(logits, temperature).max(axis=1).mean()
    assert 0.95 < confidence < 0.99


def test_fit_temperature_stays_within_its_bounds() -> None:
    logits, truth = drawn(200)
    assert fit_temperature(-logits, truth) == 20.0
    assert fit_temperature(logits * 1e-3, truth) == 0.05
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1.0


def test_calibration_error_falls_when_the_temperature_is_fitted() -> None:
    logits, truth = drawn(3_000)
    before = expected_calibration_error(softmax(logits * 4), truth)
    temperature = fit_temperature(logits * 4, truth)
    after = expected_calibration_error(softmax(logits * 4, temperature), truth)
    assert after < 0.02 < before


def test_a_temperature_that_helps_is_kept() -> None:
    logits, truth = drawn(300, sureness=3)
    chosen = choose_temperature(logits, truth, np.arange(300))
    assert chosen.is_kept
    assert chosen.value == fit_temperature(logits, truth) == pytest.approx(3, rel=0.2)
    assert chosen.loss == pytest.approx(loss(logits, truth, 1.0))
    assert chosen.loss_fitted is not None and chosen.loss_fitted < chosen.loss


@pytest.mark.slow
def test_calibrated_logits_are_left_alone_more_often_than_not_and_never_harmed_much() -> None:
    kept, harm, always = 0, [], []
    for seed in range(60):
        logits, truth = drawn(50, seed=seed)
        chosen = choose_temperature(logits, truth, np.arange(50))
        others = drawn(2_000, seed=seed + 1000)
        kept += chosen.is_kept
        harm.append(loss(*others, chosen.value) - loss(*others, 1.0))
        always.append(loss(*others, chosen.fitted) - loss(*others, 1.0))
    assert kept < 30
    assert np.mean(harm) < np.mean(always)


def test_films_of_a_group_are_not_fitted_on_each_other() -> None:
    """Forty copies of each of four films tell no more than four films."""
    logits, truth = drawn(4, sureness=0.3, seed=3)
    logits, truth, groups = np.repeat(logits, 40, axis=0), np.repeat(truth, 40), np.repeat(np.arange(4), 40)
    apart, together = choose_temperature(logits, truth, np.arange(160)), choose_temperature(logits, truth, groups)
    assert apart.loss == together.loss
    assert apart.loss_fitted is not None and together.loss_fitted is not None
    assert together.loss_fitted > apart.loss_fitted


@pytest.mark.parametrize("num", [0, 1])
def test_too_few_films_for_folds_leave_the_logits_alone(num: int) -> None:
    chosen = choose_temperature(np.ones((num, 3)), np.zeros(num, int), np.arange(num))
    assert (chosen.value, chosen.loss_fitted) == (1.0, None)


def test_all_of_a_calibration_is_made_of_the_same_probabilities() -> None:
    logits, truth = drawn(200, sureness=2)
    groups, folds = np.arange(200), np.arange(200) % 5
    made = fit_calibration(logits, truth, FINDINGS, groups=groups, coverage=0.8)
    assert made.temperature != 1
    probabilities = softmax(logits, made.temperature)
    assert made.operating_thresholds == operating_thresholds(probabilities, truth, FINDINGS)
    limits = conformal_thresholds(probabilities, truth, FINDINGS, 0.8)
    assert made.conformal == sparing_thresholds(limits, probabilities, truth, FINDINGS)
    assert (made.facts["method"], made.facts["n"]) == ("validation", 200)
    crossed = fit_calibration(logits, truth, FINDINGS, groups=groups, coverage=0.8, folds=folds)
    limits = cross_conformal_thresholds(probabilities, truth, folds, FINDINGS, 0.8)
    assert crossed.conformal == sparing_thresholds(limits, probabilities, truth, FINDINGS)
    assert crossed.facts["method"] == "out-of-fold"


def test_words_say_what_was_kept_and_what_it_rests_on() -> None:
    def words(chosen: ChosenTemperature) -> str:
        return calibration_words(chosen.value, {"method": "validation", "n": 50, "temperature": chosen.to_dict()})

    assert words(ChosenTemperature(1.5, 1.5, 0.6, 0.5)) == "temperature 1.500, fitted on 50 validation films"
    said = words(ChosenTemperature(1.0, 1.5, 0.5, 0.6))
    assert said.startswith("temperature 1; a fitted one (1.500) did not lower the loss")
    assert "(0.600 against 0.500)" in said
    assert "too few" in words(ChosenTemperature(1.0, 1.5, 0.5, None))
    assert calibration_words(1.234, {}) == "temperature 1.234"


def test_operating_threshold_of_separable_films_lies_midway() -> None:
    first = np.array([0.1, 0.2, 0.6, 0.9])
    thresholds = operating_thresholds(np.stack((first, 1 - first), axis=1), np.array([1, 1, 0, 0]), ["a", "b"])
    assert thresholds == {"a": pytest.approx(0.4), "b": pytest.approx(0.6)}


def test_operating_threshold_falls_back_where_films_cannot_tell() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(2), 10)
    assert operating_thresholds(probabilities, np.zeros(10, int), ["a", "b"]) == {"a": 0.5, "b": 0.5}
    same = np.full((10, 2), 0.5)
    assert operating_thresholds(same, np.arange(10) % 2, ["a", "b"]) == {"a": 0.5, "b": 0.5}
    wrong_way = np.array([[0.2, 0.8], [0.8, 0.2]])
    assert operating_thresholds(wrong_way, np.array([0, 1]), ["a", "b"]) == {"a": 0.5, "b": 0.5}


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10**6), st.integers(2, 10))
def test_operating_threshold_reaches_the_best_youden_index(num_films: int, seed: int, num_values: int) -> None:
    from sklearn.metrics import roc_curve

    rng = np.random.default_rng(seed)
    first = rng.integers(0, num_values, num_films) / num_values  # many ties
    truth = rng.integers(0, 2, num_films)
    truth[:2] = (0, 1)
    threshold = operating_thresholds(np.stack((first, 1 - first), axis=1), truth, ["a", "b"])["a"]
    called = first >= threshold
    reached = called[truth == 0].mean() - called[truth == 1].mean()
    false_positive, true_positive, _ = roc_curve(truth == 0, first)
    best = (true_positive - false_positive).max()
    assert reached == pytest.approx(best) or (best == 0 and threshold == 0.5)
