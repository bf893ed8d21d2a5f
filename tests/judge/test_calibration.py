"""Calibration must not harm, and says what it rests on."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.judge.calibrate import (
    conformal_thresholds,
    cross_conformal_thresholds,
    fit_temperature,
    operating_thresholds,
)
from hilum.judge.calibration import (
    ChosenTemperature,
    calibration_words,
    choose_temperature,
    fit_calibration,
    sparing_thresholds,
)
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
