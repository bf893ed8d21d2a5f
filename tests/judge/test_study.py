"""Changes of a classifier, and whether they are no worse."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.judge.intervals import Interval
from hilum.judge.study import MARGIN, Change, change_of, figures_of_answers, flip_words, judge_change, study_faults


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.02, "better"),
        (-0.009, 0.02, "no worse"),
        (-0.02, 0.01, "open"),
        (-0.009, -0.001, "slightly worse"),
        (-0.05, -0.02, "worse"),
        (None, None, "open"),
    ],
)
def test_the_verdict_follows_from_the_interval_and_the_margin(
    low: float | None, high: float | None, verdict: str
) -> None:
    assert MARGIN == 0.01
    assert judge_change(Interval(0.0, low, high)) == verdict


def answers(truth: np.ndarray, noise: float, seed: int) -> np.ndarray:
    scores = np.eye(3)[truth] + np.random.default_rng(seed).normal(0, noise, (len(truth), 3))
    exps = np.exp(scores)
    return exps / exps.sum(axis=1, keepdims=True)


def test_a_planted_harm_is_found_and_none_is_found_where_there_is_none() -> None:
    truth = np.arange(300) % 3
    groups = np.arange(300) // 2
    good, bad = answers(truth, 0.4, 0), answers(truth, 2.0, 1)
    harm = change_of(truth, good, bad, groups)
    assert harm.n == 300
    assert harm.verdict == "worse"
    assert harm.accuracy.high < 0
    assert harm.macro_f1.value < 0
    assert change_of(truth, bad, good, groups).verdict == "better"
    same = change_of(truth, good, good, groups)
    assert same.auroc.value == 0.0
    assert same.verdict == "no worse"
    assert same.identical and not harm.identical
    assert (same.words, harm.words) == ("the same answers", "worse")


def test_findings_without_a_film_are_left_out() -> None:
    truth = np.array([0, 1] * 20)
    change = change_of(truth, answers(truth, 0.5, 0), answers(truth, 0.5, 1), np.arange(40))
    assert change.auroc.value is not None


def test_figures_of_answers_have_intervals() -> None:
    truth = np.arange(60) % 3
    told = figures_of_answers(truth, np.eye(3)[truth] * 0.9 + 0.1 / 3, np.arange(60), ("a", "b", "c"))
    assert told.n == 60
    assert told.accuracy.value == told.auroc.value == 1.0
    assert told.macro_f1.low < 1.0


TITLES = {"none": "None", "flip": "Flip", "mixup": "MixUp", "other": "Other"}


def test_the_same_answers_are_told_together() -> None:
    answers = {name: np.full((3, 2), 0.5) for name in ("none", "flip", "mixup")} | {"other": np.full((3, 2), 0.4)}
    faults = study_faults(TITLES, dict.fromkeys(TITLES, 0), answers)
    assert len(faults) == 1
    assert faults[0].startswith("None, Flip and MixUp gave the same answers to the last digit")
    nearly = {**answers, "flip": answers["flip"] + 1e-12, "mixup": answers["mixup"] - 1e-12}
    assert study_faults(TITLES, {}, nearly) == []


def test_kept_random_weights_are_told() -> None:
    assert study_faults(TITLES, {"none": 4, "flip": 0}, {}) == [
        "None: 4 of its networks kept the random weights they began with. They learned nothing, so these figures say "
        "nothing about it. Train for more epochs."
    ]


@pytest.mark.parametrize(
    ("low", "high", "identical", "words"),
    [
        (-0.005, 0.005, False, "costs nothing"),
        (0.01, 0.05, False, "helps"),
        (-0.05, -0.02, False, "costs something"),
        (-0.03, 0.03, False, "may"),
        (-0.005, 0.005, True, "had no effect here: the answers with and without are the same."),
    ],
)
def test_what_a_flip_costs_in_words(low: float, high: float, identical: bool, words: str) -> None:
    auroc = Interval((low + high) / 2, low, high)
    found = Change(20, auroc, Interval(), Interval(), judge_change(auroc), identical)
    assert f"Mirroring films {words}" in flip_words(found, "here")
