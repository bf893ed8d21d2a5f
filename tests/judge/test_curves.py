"""The curves agree with scikit-learn, and answers are as often right as their probabilities say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hilum.errors import InputError
from hilum.judge.curves import (
    checked_scores,
    expected_calibration_error,
    precision_recall_curve,
    reliability_bins,
    roc_curve,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10**6))
def test_curves_agree_with_scikit_learn(num_films: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive, scores = rng.integers(0, 2, num_films) == 1, rng.uniform(size=num_films).round(2)
    if not 0 < positive.sum() < num_films:
        assert roc_curve(positive, scores)[0].size == 0
        return
    alarms, hits = roc_curve(positive, scores)
    expected = reference.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(alarms, expected[0])
    np.testing.assert_allclose(hits, expected[1])
    recall, precision = precision_recall_curve(positive, scores)
    expected_precision, expected_recall, _ = reference.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(recall, expected_recall[-2::-1])
    np.testing.assert_allclose(precision, expected_precision[-2::-1])


def test_expected_calibration_error_of_known_gaps() -> None:
    # Ten answers at 0.9, nine right: gap 0. Ten at 0.6, none right: gap 0.6. The mean is 0.3.
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    truth = np.array([0] * 9 + [1] + [1] * 10)
    assert expected_calibration_error(probabilities, truth) == pytest.approx(0.3)
    assert math.isnan(expected_calibration_error(np.zeros((0, 2)), np.zeros(0, int)))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_expected_calibration_error_by_a_plain_loop(num_films: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), num_films)
    truth = rng.integers(0, 3, num_films)
    expected = 0.0
    for index in range(15):
        top = probabilities.max(axis=1)
        inside = (top > index / 15) & (top <= (index + 1) / 15)
        if inside.any():
            right = (probabilities.argmax(axis=1) == truth)[inside].mean()
            expected += inside.mean() * abs(right - top[inside].mean())
    assert expected_calibration_error(probabilities, truth) == pytest.approx(expected)


def test_a_bin_holds_its_upper_edge() -> None:
    bins = reliability_bins(np.array([[0.75, 0.25], [0.76, 0.24], [1.0, 0.0]]), np.array([0, 1, 0]), 4)
    np.testing.assert_array_equal(bins["count"], [0, 0, 1, 2])
    np.testing.assert_allclose(bins["accuracy"], [np.nan, np.nan, 1, 0.5])
    np.testing.assert_allclose(bins["confidence"], [np.nan, np.nan, 0.75, 0.88])


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (np.zeros((2, 3)), np.zeros(3, int), "shape"),
        (np.zeros(3), np.zeros(3, int), "shape"),
        (np.zeros((2, 3)), np.array([0, 3]), "0 to 2"),
        (np.zeros((2, 3)), np.array([0, -1]), "0 to 2"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "whole numbers"),
        (np.array([[0.0, 1.0, math.nan]]), np.array([0]), "finite"),
    ],
)
def test_what_does_not_fit_together_is_refused(scores: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_scores(scores, truth)
    with pytest.raises(InputError, match=message):
        expected_calibration_error(scores, truth)
