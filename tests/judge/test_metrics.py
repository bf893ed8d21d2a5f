"""Figures agree with scikit-learn; intervals tell how sure they are; what cannot be known is None."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hilum.errors import InputError
from hilum.figures import to_json
from hilum.judge.intervals import Bootstrap, wilson_interval
from hilum.judge.metrics import Hierarchy, macro_f1, performance

HALF = dict.fromkeys("abcd", 0.5)


def films(num_films: int, seed: int, *, num_findings: int = 3, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and probabilities, coarse enough to hold ties, with some findings missing in small samples."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, num_findings, num_films)
    scores = rng.random((num_films, num_findings)).round(decimals)
    scores[np.arange(num_films), truth] += rng.random(num_films).round(decimals)
    return truth, scores / 2


def measured(truth: np.ndarray, probabilities: np.ndarray, **options: Any) -> dict[str, Any]:
    findings = list("abcd")[: probabilities.shape[1]]
    bootstrap = Bootstrap(options.pop("seed", 0), options.pop("num_resamples", 50))
    options = {"operating_thresholds": HALF, "bootstrap": bootstrap, **options}
    return to_json(performance(truth, probabilities, findings, **options))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"), [(64, 66, 0.8961, 0.9917), (26, 26, 0.8713, 1.0), (0, 10, 0.0, 0.2775)]
)
def test_wilson_interval_of_known_counts(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wilson_interval_of_nothing_and_of_nonsense() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    for arguments in ((3, 2), (-1, 2), (1, 2, 1.0)):
        with pytest.raises(InputError, match="Expected 0 <= successes"):
            wilson_interval(*arguments)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilson_interval_holds_the_fraction_and_stays_in_range(n: int, share: float, confidence: float) -> None:
    successes = round(n * share)
    low, high = wilson_interval(successes, n, confidence)
    assert 0 <= low <= successes / n <= high <= 1


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_every_figure_agrees_with_scikit_learn(num_films: int, seed: int) -> None:
    truth, probabilities = films(num_films, seed)
    figures = measured(truth, probabilities, num_resamples=0)
    answers = probabilities.argmax(axis=1)
    labels = [0, 1, 2]
    assert figures["n"] == num_films
    assert figures["accuracy"]["value"] == pytest.approx(reference.accuracy_score(truth, answers))
    assert figures["macro_f1"]["value"] == pytest.approx(
        reference.f1_score(truth, answers, average="macro", zero_division=0)
    )
    occurring = sorted(set(truth))
    assert figures["balanced_accuracy"]["value"] == pytest.approx(
        reference.recall_score(truth, answers, labels=occurring, average="macro", zero_division=0)
    )
    np.testing.assert_array_equal(
        figures["confusion"]["counts"], reference.confusion_matrix(truth, answers, labels=labels)
    )
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        truth, answers, labels=labels, zero_division=np.nan
    )
    aurocs = []
    for index, name in enumerate("abc"):
        mine = figures["per_finding"][name]
        positive, called = truth == index, probabilities[:, index] >= 0.5
        assert mine["n"] == support[index]
        if 0 < positive.sum() < num_films:
            aurocs.append(reference.roc_auc_score(positive, probabilities[:, index]))
        expected = {
            "precision": precision[index],
            "recall": recall[index],
            "f1": f1[index],
            "auroc": aurocs[-1] if 0 < positive.sum() < num_films else math.nan,
            "sensitivity": called[positive].mean() if positive.any() else math.nan,
            "specificity": (~called[~positive]).mean() if not positive.all() else math.nan,
        }
        for figure, value in expected.items():
            assert mine[figure]["value"] == (None if math.isnan(value) else pytest.approx(value)), (figure, name)
    assert figures["auroc_macro"]["value"] == (pytest.approx(np.mean(aurocs)) if aurocs else None)


@pytest.mark.slow
def test_bootstrap_is_the_plain_one_of_scikit_learn_on_resampled_films() -> None:
    truth, probabilities = films(120, 1, decimals=2)
    groups = np.arange(120) // 2
    mine = measured(truth, probabilities, groups=groups, num_resamples=1000, seed=5)
    rng = np.random.default_rng(11)  # another stream: the intervals agree but for chance
    drawn: dict[str, list[float]] = {"macro_f1": [], "auroc": [], "recall": []}
    for _ in range(1000):
        index = np.concatenate([np.flatnonzero(groups == group) for group in rng.integers(0, 60, 60)])
        answers = probabilities[index].argmax(axis=1)
        drawn["macro_f1"].append(reference.f1_score(truth[index], answers, average="macro"))
        drawn["auroc"].append(reference.roc_auc_score(truth[index] == 1, probabilities[index, 1]))
        drawn["recall"].append(reference.recall_score(truth[index] == 1, answers == 1))
    for figure, interval in (
        ("macro_f1", mine["macro_f1"]),
        ("auroc", mine["per_finding"]["b"]["auroc"]),
        ("recall", mine["per_finding"]["b"]["recall"]),
    ):
        expected = np.quantile(drawn[figure], (0.025, 0.975))
        np.testing.assert_allclose((interval["low"], interval["high"]), expected, atol=0.025)


def test_same_seed_same_figures_and_another_seed_other_intervals() -> None:
    truth, probabilities = films(60, 2, decimals=3)
    assert measured(truth, probabilities, seed=1) == measured(truth, probabilities, seed=1)
    assert measured(truth, probabilities, seed=1)["macro_f1"] != measured(truth, probabilities, seed=2)["macro_f1"]


def test_grouping_widens_the_interval_of_copied_films() -> None:
    truth, probabilities = films(40, 3, decimals=3)
    truth, probabilities = np.repeat(truth, 5), np.repeat(probabilities, 5, axis=0)

    def width(figures: dict[str, Any]) -> float:
        return figures["macro_f1"]["high"] - figures["macro_f1"]["low"]

    alone = measured(truth, probabilities, num_resamples=400)
    together = measured(truth, probabilities, groups=np.repeat(np.arange(40), 5), num_resamples=400)
    assert width(together) > 1.7 * width(alone)  # the square root of five, but for chance


def test_batches_do_not_change_the_kind_of_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, probabilities = films(80, 4, decimals=3)
    whole = measured(truth, probabilities, num_resamples=600)
    monkeypatch.setattr("hilum.judge.intervals._BATCH_CELLS", 80 * 7)
    parts = measured(truth, probabilities, num_resamples=600)
    for figure in ("balanced_accuracy", "macro_f1", "auroc_macro"):
        assert parts[figure]["value"] == whole[figure]["value"]
        np.testing.assert_allclose(
            (parts[figure]["low"], parts[figure]["high"]), (whole[figure]["low"], whole[figure]["high"]), atol=0.03
        )


def test_perfect_answers_do_not_claim_certainty() -> None:
    truth = np.arange(30) % 3
    figures = measured(truth, np.eye(3)[truth] * 0.8 + 0.2 / 3)
    assert figures["macro_f1"] == {"value": 1.0, "low": pytest.approx(wilson_interval(30, 30)[0]), "high": 1.0}
    assert figures["per_finding"]["a"]["recall"]["low"] == pytest.approx(wilson_interval(10, 10)[0])
    assert figures["per_finding"]["a"]["specificity"]["low"] == pytest.approx(wilson_interval(20, 20)[0])
    assert figures["per_finding"]["a"]["auroc"]["low"] == pytest.approx(wilson_interval(200 / 8, 200 / 8)[0])
    # Films of one patient are one observation.
    grouped = measured(truth, np.eye(3)[truth], groups=np.arange(30) // 15 * 3 + truth)
    assert grouped["per_finding"]["a"]["recall"]["low"] == pytest.approx(wilson_interval(2, 2)[0])


def test_no_film_gives_no_figure() -> None:
    figures = measured(np.zeros(0, int), np.zeros((0, 3)))
    nothing = {"value": None, "low": None, "high": None}
    assert figures["n"] == 0
    assert figures["ece"] is None
    assert all(figures[name] == nothing for name in ("accuracy", "balanced_accuracy", "macro_f1", "auroc_macro"))
    assert figures["per_finding"]["a"]["precision"] == nothing
    assert figures["confusion"]["counts"] == [[0, 0, 0]] * 3


def test_one_finding_only_leaves_undefined_figures_out() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1]])
    figures = measured(np.zeros(3, int), probabilities)
    assert figures["auroc_macro"]["value"] is None
    assert figures["per_finding"]["a"]["specificity"]["value"] is None
    assert figures["per_finding"]["b"]["recall"]["value"] is None
    assert figures["per_finding"]["b"]["precision"]["value"] == 0
    assert figures["per_finding"]["c"]["f1"]["value"] is None
    assert figures["macro_f1"]["value"] == pytest.approx((0.8 + 0) / 2)  # c neither occurs nor is answered


def test_undefined_resamples_are_left_out_of_the_interval() -> None:
    # One film of the second finding: a third of the resamples lack it.
    truth = np.array([0] * 20 + [1])
    probabilities = np.where(truth[:, None] == np.arange(2), 0.7, 0.3)
    probabilities[:10] = probabilities[:10, ::-1]
    figures = measured(truth, probabilities, num_resamples=200)
    assert figures["per_finding"]["b"]["recall"] == {
        "value": 1.0,
        "low": pytest.approx(wilson_interval(1, 1)[0]),
        "high": 1.0,
    }
    assert 0.25 < figures["balanced_accuracy"]["low"] < figures["balanced_accuracy"]["high"] <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 25), st.integers(0, 10**6), st.integers(1, 25))
def test_intervals_hold_their_value_and_survive_json(num_films: int, seed: int, num_groups: int) -> None:
    truth, probabilities = films(num_films, seed)
    groups = np.random.default_rng(seed).integers(0, num_groups, num_films)
    figures = measured(truth, probabilities, groups=groups, num_resamples=20)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    intervals = [figures[name] for name in ("accuracy", "balanced_accuracy", "macro_f1", "auroc_macro")]
    for finding in figures["per_finding"].values():
        intervals += [value for value in finding.values() if isinstance(value, dict)]
    for interval in intervals:
        if interval["value"] is None:
            assert interval == {"value": None, "low": None, "high": None}
        elif interval["low"] is not None:
            assert 0 <= interval["low"] <= interval["value"] <= interval["high"] <= 1


def test_operating_threshold_is_included_and_reported() -> None:
    probabilities = np.array([[0.3, 0.7], [0.3, 0.7], [0.2, 0.8]])
    figures = measured(np.array([0, 0, 1]), probabilities, operating_thresholds={"a": 0.3, "b": 0.75})
    assert figures["per_finding"]["a"]["sensitivity"]["value"] == 1
    assert figures["per_finding"]["a"]["recall"]["value"] == 0
    assert figures["per_finding"]["b"]["operating_threshold"] == 0.75
    assert figures["per_finding"]["b"]["specificity"]["value"] == 1


def test_what_does_not_fit_together_is_refused() -> None:
    truth, probabilities = films(6, 0)
    with pytest.raises(InputError, match="missing: c"):
        measured(truth, probabilities, operating_thresholds={"a": 0.5, "b": 0.5})
    with pytest.raises(InputError, match="one group a film"):
        measured(truth, probabilities, groups=np.zeros(5, int))
    with pytest.raises(InputError, match="columns"):
        performance(truth, probabilities, ["a", "b"], operating_thresholds=HALF)


def test_macro_f1_agrees_with_scikit_learn_and_with_the_performance() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    expected = reference.f1_score(truth, answers, average="macro")
    assert macro_f1(truth, answers) == pytest.approx(expected)
    assert measured(truth, np.eye(4)[answers])["macro_f1"]["value"] == pytest.approx(expected)
    assert math.isnan(macro_f1([], []))


# --- normal or not; if not, which -----------------------------------------------------------------------------------

ANY = ("Covid-19", "Normal", "Other abnormality")


def in_two_steps(
    truth: np.ndarray, probabilities: np.ndarray, findings: tuple[str, ...] = ANY, **options: Any
) -> Hierarchy | None:
    thresholds = dict.fromkeys(findings, 0.5)
    return performance(truth, probabilities, findings, operating_thresholds=thresholds, **options).hierarchy


def test_the_two_steps_agree_with_scikit_learn() -> None:
    truth, probabilities = films(60, 3)
    answers, is_abnormal = probabilities.argmax(axis=1), truth != 1
    called = answers != 1
    found = in_two_steps(truth, probabilities, groups=np.arange(60) // 2)
    assert found is not None
    assert found.normal.sensitivity.value == pytest.approx(reference.recall_score(is_abnormal, called))
    assert found.normal.specificity.value == pytest.approx(reference.recall_score(~is_abnormal, ~called))
    assert found.normal.auroc.value == pytest.approx(reference.roc_auc_score(is_abnormal, -probabilities[:, 1]))
    both = is_abnormal & called
    assert found.which.value == pytest.approx(reference.accuracy_score(truth[both], answers[both]))
    for one in (found.normal.sensitivity, found.normal.specificity, found.normal.auroc, found.which):
        assert one.low < one.value < one.high


def test_the_two_steps_need_normal_and_two_more_findings() -> None:
    truth, probabilities = films(30, 0)
    assert in_two_steps(truth, probabilities, ("Covid-19", "Effusion", "Other abnormality")) is None
    assert in_two_steps(np.arange(30) % 2, probabilities[:, :2], ("Covid-19", "Normal")) is None


def test_a_step_that_no_film_bears_on_is_none() -> None:
    probabilities = np.array([[0.2, 0.7, 0.1], [0.1, 0.6, 0.3]])
    found = in_two_steps(np.array([0, 2]), probabilities)  # no normal film, and no abnormal one is found
    assert found is not None
    assert (found.normal.specificity.value, found.normal.auroc.value, found.which.value) == (None, None, None)
    assert found.normal.sensitivity.value == 0.0
    assert 0 < found.normal.sensitivity.high < 1
