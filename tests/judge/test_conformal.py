"""Sets keep their promise, and thresholds refuse few films."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import InputError
from hilum.judge.conformal import (
    REFUSED_FRACTION,
    FindingSets,
    conformal_thresholds,
    cross_conformal_thresholds,
    films_needed,
    set_figures,
    sparing_thresholds,
    surer_thresholds,
)
from hilum.run.answer import conformal_limits, conformal_sets, reached, softmax

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")


def drawn(num_films: int, *, shift: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose softmax is the true posterior, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, num_films)
    features = rng.normal(size=(num_films, 3))
    features[np.arange(num_films), truth] += shift
    return features * shift, truth


@pytest.mark.parametrize(("num_films", "coverage", "rank"), [(9, 0.9, 9), (19, 0.9, 18), (99, 0.55, 55), (24, 0.8, 20)])
def test_conformal_threshold_is_the_finite_sample_quantile(num_films: int, coverage: float, rank: int) -> None:
    confidence = np.random.default_rng(0).permutation(np.linspace(0.01, 0.99, num_films))
    probabilities = np.stack((confidence, 1 - confidence), axis=1)
    thresholds = conformal_thresholds(probabilities, np.zeros(num_films, int), ["a", "b"], coverage)
    assert thresholds["a"] == {"threshold": np.sort(1 - confidence)[rank - 1], "n": num_films}
    assert thresholds["b"] == {"threshold": 1.0, "n": 0}


def test_too_few_films_promise_nothing() -> None:
    probabilities = np.tile([0.99, 0.01], (8, 1))
    thresholds = conformal_thresholds(probabilities, np.zeros(8, int), ["a", "b"])
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
    thresholds = conformal_thresholds(probabilities, truth, ["a", "b", "c"])
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
    assert [films_needed(share) for share in (0.5, 0.9, 0.95, 0.98, 0.99)] == [1, 9, 19, 49, 99]
    truth = np.repeat(np.arange(3), (45, 60, 70))
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), len(truth))
    thresholds = conformal_thresholds(probabilities, truth, ["a", "b", "c"], 0.98)
    assert [thresholds[name].get("shared", []) for name in "abc"] == [["a", "b"], ["a", "b"], []]


def test_conformal_sets_cover_each_finding_as_promised() -> None:
    logits, truth = drawn(1_500, shift=1.2)
    probabilities = softmax(logits)
    coverage = np.zeros(3)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(1_500)
        fit, test = order[:500], order[500:]
        thresholds = conformal_thresholds(probabilities[fit], truth[fit], FINDINGS, 0.9)
        limits = np.array([thresholds[name]["threshold"] for name in FINDINGS])
        inside = (1 - probabilities[test] <= limits)[np.arange(1_000), truth[test]]
        coverage += [inside[truth[test] == index].mean() for index in range(3)]
    np.testing.assert_allclose(coverage / 20, 0.9, atol=0.025)


def test_cross_conformal_sets_cover_new_films_of_few() -> None:
    """Twenty films a finding in five folds, each fold with a model of its own: noisier scores than the served one's."""
    inside = np.zeros(3)
    counts = np.zeros(3)
    for seed in range(60):
        logits, truth = drawn(60, shift=1.2, seed=seed)
        folds = np.random.default_rng(seed).permutation(60) % 5
        model_noise = np.random.default_rng(seed + 500).normal(0, 0.4, (5, 3))
        scores = softmax(logits + model_noise[folds])
        thresholds = cross_conformal_thresholds(scores, truth, folds, FINDINGS)
        new_logits, new_truth = drawn(300, shift=1.2, seed=seed + 1000)
        figures = set_figures(softmax(new_logits), new_truth, FINDINGS, thresholds)
        inside += [figures.per_finding[name].num_covered for name in FINDINGS]
        counts += [figures.per_finding[name].n for name in FINDINGS]
    assert (inside / counts > 0.88).all()
    assert (inside / counts < 0.96).all()


def test_cross_conformal_thresholds_say_what_stands_behind_them() -> None:
    logits, truth = drawn(200)
    folds = np.arange(200) % 4
    thresholds = cross_conformal_thresholds(softmax(logits), truth, folds, FINDINGS)
    plain = conformal_thresholds(softmax(logits), truth, FINDINGS)
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
        cross_conformal_thresholds(softmax(logits), truth, np.zeros(20, int), FINDINGS)
    with pytest.raises(InputError, match="one fold a film"):
        cross_conformal_thresholds(softmax(logits), truth, np.arange(19), FINDINGS)


@pytest.mark.parametrize(
    ("split", "cross", "is_cross"),
    [(39, 100, True), (40, 100, False), (200, 100, False), (10, 9, False), (0, 5, True)],
)
def test_the_surer_threshold_is_taken(split: int, cross: int, is_cross: bool) -> None:
    found = surer_thresholds(
        {"a": {"threshold": 0.2, "n": split}}, {"a": {"threshold": 0.3, "n": cross, "method": "cross", "folds": 5}}
    )
    assert found["a"]["threshold"] == (0.3 if is_cross else 0.2)
    again = surer_thresholds(found, {"a": {"threshold": 0.3, "n": cross, "method": "cross", "folds": 5}})
    assert again == found  # a run that goes on takes the same


def test_set_figures_count_what_sets_hold() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.45, 0.55], [0.2, 0.8]])
    limits = {"a": {"threshold": 0.5, "n": 9}, "b": {"threshold": 0.6, "n": 9}}
    figures = set_figures(probabilities, np.array([0, 1, 0, 1]), ["a", "b"], limits)
    assert (figures.n, figures.num_covered, figures.num_single, figures.num_empty) == (4, 3, 3, 0)
    assert figures.mean_size == pytest.approx(1.25)
    assert figures.per_finding == {"a": FindingSets(2, 1), "b": FindingSets(2, 2)}
    assert math.isnan(set_figures(np.zeros((0, 2)), np.zeros(0, int), ["a", "b"], limits).mean_size)
    strict = {"a": {"threshold": 0.15, "n": 9}, "b": {"threshold": 0.3, "n": 9}}
    figures = set_figures(probabilities, np.array([0, 1, 0, 1]), ["a", "b"], strict)
    assert (figures.num_covered, figures.num_single, figures.num_empty, figures.mean_size) == (2, 4, 2, 1)


def test_few_films_like_those_behind_the_thresholds_fit_no_finding() -> None:
    logits, truth = drawn(3_000, shift=3.0)
    probabilities = softmax(logits)
    plain = conformal_thresholds(probabilities[:1500], truth[:1500], FINDINGS)
    spared = sparing_thresholds(plain, probabilities[:1500], truth[:1500], FINDINGS)
    refused = [
        (~reached(probabilities[1500:], conformal_limits(one, FINDINGS)).any(axis=1)).mean() for one in (plain, spared)
    ]
    assert refused[0] > 0.06
    assert refused[1] < REFUSED_FRACTION + 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(6, 200), st.floats(0.5, 4), st.integers(0, 99))
def test_every_set_stays_as_it_was(num: int, shift: float, seed: int) -> None:
    logits, truth = drawn(num, shift=shift, seed=seed)
    probabilities = softmax(logits)
    plain = conformal_thresholds(probabilities, truth, FINDINGS)
    spared = sparing_thresholds(plain, probabilities, truth, FINDINGS)
    new = softmax(drawn(300, shift=shift, seed=seed + 1000)[0])
    before, after = (conformal_limits(one, FINDINGS) for one in (plain, spared))
    assert (after >= before).all()
    assert np.array_equal(conformal_sets(new, before), conformal_sets(new, after))


def test_what_else_a_limit_says_stays() -> None:
    logits, truth = drawn(60)
    probabilities = softmax(logits)
    limits = {name: {"threshold": 0.6, "n": 20, "method": "cross", "folds": 5} for name in FINDINGS}
    assert sparing_thresholds(limits, probabilities, truth, FINDINGS) == limits
    low = {name: {**limit, "threshold": 0.01} for name, limit in limits.items()}
    spared = sparing_thresholds(low, probabilities, truth, FINDINGS)
    assert all(0.01 < limit["threshold"] <= 0.5 for limit in spared.values())
    assert all(limit["folds"] == 5 for limit in spared.values())
