"""The mix of findings among films without labels: found where only the mix differs, not used where more does."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.judge.calibration import score_counts
from hilum.run.answer import softmax
from hilum.train.label_shift import LabelShift, estimate_shift

EVEN = np.full(3, 1 / 3)


def answers(mix: tuple[float, ...], num: int = 400, seed: int = 0, move: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities of films in a mix, and their findings; ``move`` takes them off their place."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, num, p=mix)
    logits = 1.5 * (rng.normal(size=(num, 3)) + 1.5 * np.eye(3)[truth])
    logits[:, 1] += move * rng.normal(size=num)
    return softmax(logits), truth


def shift_of(mix: tuple[float, ...], num_unfamiliar: int = 0, **changes: float) -> LabelShift:
    judged, truth = answers((1 / 3, 1 / 3, 1 / 3), 600, seed=9)
    scores = score_counts(judged, truth).astype(float)
    found, _ = answers(mix, **changes)  # type: ignore[arg-type]
    return estimate_shift(found, EVEN, np.arange(len(found)), scores=scores, num_unfamiliar=num_unfamiliar)


def test_another_mix_is_found_and_helps() -> None:
    mix = (0.8, 0.15, 0.05)
    found = shift_of(mix)
    assert (found.reason, found.p_shift < 0.001) == ("", True)
    assert found.after == pytest.approx(mix, abs=0.06)
    for share, interval in zip(found.after, found.intervals, strict=True):
        assert interval.low <= share <= interval.high  # type: ignore[operator]
    others, truth = answers(mix, seed=5)
    moved = softmax(np.log(others) + found.log_ratios)
    assert (moved.argmax(axis=1) == truth).mean() > (others.argmax(axis=1) == truth).mean()
    assert found.log_ratios.mean() == pytest.approx(0)


def test_the_same_mix_is_left_alone() -> None:
    assert "by more than chance" in shift_of((1 / 3, 1 / 3, 1 / 3), seed=1).reason


def test_films_that_differ_by_more_than_their_mix_are_not_used() -> None:
    assert "more differs than the mix" in shift_of((0.5, 0.4, 0.1), move=2.5).reason


def test_unfamiliar_films_and_unknown_scores_forbid_it() -> None:
    assert "40 of 400 films are unlike" in shift_of((0.8, 0.15, 0.05), num_unfamiliar=40).reason
    found, _ = answers((0.8, 0.15, 0.05))
    shift = estimate_shift(found, EVEN, np.arange(len(found)), scores=None, num_unfamiliar=0)
    assert (shift.p_fit, "does not say" in shift.reason) == (None, True)


def test_a_finding_that_no_film_shows_stays_possible() -> None:
    found = shift_of((0.9, 0.1, 0.0), num=30)
    assert found.after.min() >= 0.9 / 33
