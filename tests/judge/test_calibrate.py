"""Calibration: probabilities that mean what they say, sets that keep their promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import InputError
from hilum.judge import calibrate
from hilum.run.answer import softmax

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")


def drawn(num_films: int, *, shift: float = 2.0, num_findings: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose softmax is the true posterior, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, num_findings, num_films)
    features = rng.normal(size=(num_films, num_findings))
    features[np.arange(num_films), truth] += shift
    return features * shift, truth


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_fit_temperature_finds_the_one_that_was_put_in(true_temperature: float) -> None:
    logits, truth = drawn(20_000)
    assert calibrate.fit_temperature(logits * true_temperature, truth) == pytest.approx(true_temperature, rel=0.03)


def test_fit_temperature_is_the_minimum_of_its_loss() -> None:
    from scipy.optimize import minimize_scalar

    logits, truth = drawn(120, seed=3)
    targets = np.full((120, 3), 0.5 / 122)
    targets[np.arange(120), truth] = 121 / 122

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits * 5, math.exp(log_temperature))
        return float(-(targets * np.log(probabilities)).sum(axis=1).mean())

    best = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-9})
    assert calibrate.fit_temperature(logits * 5, truth) == pytest.approx(math.exp(best.x), rel=1e-4)


def test_fit_temperature_does_not_declare_a_perfect_small_sample_infallible() -> None:
    logits, truth = drawn(40, shift=6.0)
    assert (logits.argmax(axis=1) == truth).all()
    temperature = calibrate.fit_temperature(logits, truth)
    confidence = softmax(logits, temperature).max(axis=1).mean()
    assert 0.95 < confidence < 0.99


def test_fit_temperature_stays_within_its_bounds() -> None:
    logits, truth = drawn(200)
    assert calibrate.fit_temperature(-logits, truth) == 20.0
    assert calibrate.fit_temperature(logits * 1e-3, truth) == 0.05
    assert calibrate.fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1.0


def test_expected_calibration_error_of_known_gaps() -> None:
    # Ten answers at 0.9, nine right: gap 0. Ten at 0.6, none right: gap 0.6. The mean is 0.3.
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    truth = np.array([0] * 9 + [1] + [1] * 10)
    assert calibrate.expected_calibration_error(probabilities, truth) == pytest.approx(0.3)
    assert math.isnan(calibrate.expected_calibration_error(np.zeros((0, 2)), np.zeros(0, int)))


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
    assert calibrate.expected_calibration_error(probabilities, truth) == pytest.approx(expected)


def test_a_bin_holds_its_upper_edge() -> None:
    bins = calibrate.reliability_bins(np.array([[0.75, 0.25], [0.76, 0.24], [1.0, 0.0]]), np.array([0, 1, 0]), 4)
    np.testing.assert_array_equal(bins["count"], [0, 0, 1, 2])
    np.testing.assert_allclose(bins["accuracy"], [np.nan, np.nan, 1, 0.5])
    np.testing.assert_allclose(bins["confidence"], [np.nan, np.nan, 0.75, 0.88])


def test_calibration_error_falls_when_the_temperature_is_fitted() -> None:
    logits, truth = drawn(3_000)
    before = calibrate.expected_calibration_error(softmax(logits * 4), truth)
    temperature = calibrate.fit_temperature(logits * 4, truth)
    after = calibrate.expected_calibration_error(softmax(logits * 4, temperature), truth)
    assert after < 0.02 < before


@pytest.mark.parametrize(("num_films", "coverage", "rank"), [(9, 0.9, 9), (19, 0.9, 18), (99, 0.55, 55), (24, 0.8, 20)])
def test_conformal_threshold_is_the_finite_sample_quantile(num_films: int, coverage: float, rank: int) -> None:
    confidence = np.random.default_rng(0).permutation(np.linspace(0.01, 0.99, num_films))
    probabilities = np.stack((confidence, 1 - confidence), axis=1)
    thresholds = calibrate.conformal_thresholds(probabilities, np.zeros(num_films, int), ["a", "b"], coverage)
    assert thresholds["a"] == {"threshold": np.sort(1 - confidence)[rank - 1], "n": num_films}
    assert thresholds["b"] == {"threshold": 1.0, "n": 0}


def test_too_few_films_promise_nothing() -> None:
    probabilities = np.tile([0.99, 0.01], (8, 1))
    thresholds = calibrate.conformal_thresholds(probabilities, np.zeros(8, int), ["a", "b"])
    assert thresholds["a"] == {"threshold": 1.0, "n": 8}


@pytest.mark.parametrize(
    ("counts", "sharing"),
    [
        ((40, 40, 40), ""),
        ((39, 40, 50), "ab"),  # 39 alone are too few, the next smallest joins
        ((20, 90, 25), "ac"),  # together they are enough
        ((10, 8, 12), "abc"),
        ((10, 0, 12), "ac"),  # nothing is known of a finding without films
        ((100, 0, 50), ""),
    ],
)
def test_findings_of_few_films_share_a_threshold(counts: tuple[int, ...], sharing: str) -> None:
    truth = np.repeat(np.arange(3), counts)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), len(truth))
    thresholds = calibrate.conformal_thresholds(probabilities, truth, ["a", "b", "c"])
    misfit = 1 - probabilities[np.arange(len(truth)), truth]
    for index, (name, count) in enumerate(zip("abc", counts, strict=True)):
        found = thresholds[name]
        together = ["abc".index(one) for one in sharing] if name in sharing else [index]
        pool = np.sort(misfit[np.isin(truth, together)])
        rank = math.ceil((len(pool) + 1) * 0.9 - 1e-9)
        assert found["threshold"] == (pool[rank - 1] if rank <= len(pool) else 1.0)
        assert found["n"] == count
        assert found.get("shared", []) == (list(sharing) if name in sharing else [])
        assert found.get("shared_n", 0) == (len(pool) if name in sharing else 0)


def test_a_high_coverage_needs_more_films_before_a_finding_stands_alone() -> None:
    assert [calibrate.films_needed(share) for share in (0.5, 0.9, 0.95, 0.98, 0.99)] == [1, 9, 19, 49, 99]
    truth = np.repeat(np.arange(3), (45, 60, 70))
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), len(truth))
    thresholds = calibrate.conformal_thresholds(probabilities, truth, ["a", "b", "c"], 0.98)
    assert [thresholds[name].get("shared", []) for name in "abc"] == [["a", "b"], ["a", "b"], []]


def test_conformal_sets_cover_each_finding_as_promised() -> None:
    logits, truth = drawn(1_500, shift=1.2)
    probabilities = softmax(logits)
    coverage = np.zeros(3)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(1_500)
        fit, test = order[:500], order[500:]
        thresholds = calibrate.conformal_thresholds(probabilities[fit], truth[fit], FINDINGS, 0.9)
        limits = np.array([thresholds[name]["threshold"] for name in FINDINGS])
        inside = (1 - probabilities[test] <= limits)[np.arange(1_000), truth[test]]
        coverage += [inside[truth[test] == index].mean() for index in range(3)]
    np.testing.assert_allclose(coverage / 20, 0.9, atol=0.025)


# --- out-of-fold scores ---------------------------------------------------------------------------------------------


def test_cross_conformal_sets_cover_new_films_of_few() -> None:
    """Twenty films a finding in five folds, each fold with a model of its own: noisier scores than the served one's."""
    inside = np.zeros(3)
    counts = np.zeros(3)
    for seed in range(60):
        logits, truth = drawn(60, shift=1.2, seed=seed)
        folds = np.random.default_rng(seed).permutation(60) % 5
        model_noise = np.random.default_rng(seed + 500).normal(0, 0.4, (5, 3))
        scores = softmax(logits + model_noise[folds])
        thresholds = calibrate.cross_conformal_thresholds(scores, truth, folds, FINDINGS)
        new_logits, new_truth = drawn(300, shift=1.2, seed=seed + 1000)
        figures = calibrate.set_figures(softmax(new_logits), new_truth, FINDINGS, thresholds)
        inside += [figures.per_finding[name].num_covered for name in FINDINGS]
        counts += [figures.per_finding[name].n for name in FINDINGS]
    assert (inside / counts > 0.88).all()
    assert (inside / counts < 0.96).all()


def test_cross_conformal_thresholds_say_what_stands_behind_them() -> None:
    logits, truth = drawn(200)
    folds = np.arange(200) % 4
    thresholds = calibrate.cross_conformal_thresholds(softmax(logits), truth, folds, FINDINGS)
    plain = calibrate.conformal_thresholds(softmax(logits), truth, FINDINGS)
    for index, name in enumerate(FINDINGS):
        assert thresholds[name] == {
            "threshold": plain[name]["threshold"],
            "n": int((truth == index).sum()),
            "method": "cross",
            "folds": 4,
        }


def test_cross_conformal_thresholds_need_folds() -> None:
    logits, truth = drawn(20)
    with pytest.raises(InputError, match="two folds"):
        calibrate.cross_conformal_thresholds(softmax(logits), truth, np.zeros(20, int), FINDINGS)
    with pytest.raises(InputError, match="one fold a film"):
        calibrate.cross_conformal_thresholds(softmax(logits), truth, np.arange(19), FINDINGS)


@pytest.mark.parametrize(
    ("split", "cross", "is_cross"),
    [(39, 100, True), (40, 100, False), (200, 100, False), (10, 9, False), (0, 5, True)],
)
def test_the_surer_threshold_is_taken(split: int, cross: int, is_cross: bool) -> None:
    found = calibrate.surer_thresholds(
        {"a": {"threshold": 0.2, "n": split}}, {"a": {"threshold": 0.3, "n": cross, "method": "cross", "folds": 5}}
    )
    assert found["a"]["threshold"] == (0.3 if is_cross else 0.2)
    again = calibrate.surer_thresholds(found, {"a": {"threshold": 0.3, "n": cross, "method": "cross", "folds": 5}})
    assert again == found  # a run that goes on takes the same


def test_set_figures_count_what_sets_hold() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.45, 0.55], [0.2, 0.8]])
    limits = {"a": {"threshold": 0.5, "n": 9}, "b": {"threshold": 0.6, "n": 9}}
    figures = calibrate.set_figures(probabilities, np.array([0, 1, 0, 1]), ["a", "b"], limits)
    assert (figures.n, figures.num_covered, figures.num_single, figures.num_empty) == (4, 3, 3, 0)
    assert figures.mean_size == pytest.approx(1.25)
    assert figures.per_finding == {"a": calibrate.FindingSets(2, 1), "b": calibrate.FindingSets(2, 2)}
    assert math.isnan(calibrate.set_figures(np.zeros((0, 2)), np.zeros(0, int), ["a", "b"], limits).mean_size)
    strict = {"a": {"threshold": 0.15, "n": 9}, "b": {"threshold": 0.3, "n": 9}}
    figures = calibrate.set_figures(probabilities, np.array([0, 1, 0, 1]), ["a", "b"], strict)
    assert (figures.num_covered, figures.num_single, figures.num_empty, figures.mean_size) == (2, 4, 2, 1)


def test_operating_threshold_of_separable_films_lies_midway() -> None:
    first = np.array([0.1, 0.2, 0.6, 0.9])
    thresholds = calibrate.operating_thresholds(
        np.stack((first, 1 - first), axis=1), np.array([1, 1, 0, 0]), ["a", "b"]
    )
    assert thresholds == {"a": pytest.approx(0.4), "b": pytest.approx(0.6)}


def test_operating_threshold_falls_back_where_films_cannot_tell() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(2), 10)
    assert calibrate.operating_thresholds(probabilities, np.zeros(10, int), ["a", "b"]) == {"a": 0.5, "b": 0.5}
    same = np.full((10, 2), 0.5)
    assert calibrate.operating_thresholds(same, np.arange(10) % 2, ["a", "b"]) == {"a": 0.5, "b": 0.5}
    wrong_way = np.array([[0.2, 0.8], [0.8, 0.2]])
    assert calibrate.operating_thresholds(wrong_way, np.array([0, 1]), ["a", "b"]) == {"a": 0.5, "b": 0.5}


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10**6), st.integers(2, 10))
def test_operating_threshold_reaches_the_best_youden_index(num_films: int, seed: int, num_values: int) -> None:
    from sklearn.metrics import roc_curve

    rng = np.random.default_rng(seed)
    first = rng.integers(0, num_values, num_films) / num_values  # many ties
    truth = rng.integers(0, 2, num_films)
    truth[:2] = (0, 1)
    threshold = calibrate.operating_thresholds(np.stack((first, 1 - first), axis=1), truth, ["a", "b"])["a"]
    called = first >= threshold
    reached = called[truth == 0].mean() - called[truth == 1].mean()
    false_positive, true_positive, _ = roc_curve(truth == 0, first)
    best = (true_positive - false_positive).max()
    assert reached == pytest.approx(best) or (best == 0 and threshold == 0.5)


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
        calibrate.fit_temperature(scores, truth)
    with pytest.raises(InputError, match=message):
        calibrate.expected_calibration_error(scores, truth)
