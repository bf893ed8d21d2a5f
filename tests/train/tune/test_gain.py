"""Paired differences of losses, and what of them may be noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from hilum.run.answer import softmax
from hilum.train.trial import Crossed
from hilum.train.tune.gain import confirmed_of, figures_of, film_losses, gain_of, macro_f1, mean_loss


def crossed(num: int = 60, *, sure: float = 1.0, seed: int = 0, groups: np.ndarray | None = None) -> Crossed:
    rng = np.random.default_rng(seed)
    truth = np.arange(num) % 3
    logits = rng.normal(size=(num, 3)) + sure * np.eye(3)[truth]
    return Crossed(np.arange(num), truth, logits, np.arange(num) if groups is None else groups)


def test_figures_are_those_of_scikit_learn() -> None:
    one = crossed(80)
    balance = 1 / np.bincount(one.truth)[one.truth]
    assert mean_loss(one) == pytest.approx(log_loss(one.truth, softmax(one.logits), sample_weight=balance))
    assert macro_f1(one) == pytest.approx(f1_score(one.truth, one.logits.argmax(axis=1), average="macro"))


def test_certainty_of_the_wrong_finding_costs_much_and_not_everything() -> None:
    one = Crossed(np.arange(1), np.array([0]), np.array([[-1000.0, 1000.0]]), np.arange(1))
    assert 20 < film_losses(one)[0] < 100


def test_settings_do_not_beat_themselves() -> None:
    gain = gain_of(crossed(), crossed())
    assert gain.value == 0
    assert not gain.is_beyond_noise


def test_a_gain_beyond_noise_is_told_and_a_lucky_film_is_not() -> None:
    plain = crossed(sure=0.5)
    assert gain_of(crossed(sure=3.0), plain).is_beyond_noise
    assert not gain_of(plain, crossed(sure=3.0)).is_beyond_noise
    logits = plain.logits.copy()
    logits[0, plain.truth[0]] += 5
    lucky = gain_of(Crossed(plain.positions, plain.truth, logits, plain.groups), plain)
    assert lucky.value > 0
    assert not lucky.is_beyond_noise


def test_the_error_is_that_of_a_mean_where_films_are_independent_and_findings_alike() -> None:
    first, second = crossed(seed=1), crossed(seed=2)
    differences = film_losses(second) - film_losses(first)
    gain = gain_of(first, second)
    assert gain.value == pytest.approx(differences.mean())
    assert gain.error == pytest.approx(differences.std(ddof=1) / np.sqrt(60), rel=0.03)


def test_few_fits_widen_the_error_as_much_as_students_t_does() -> None:
    first, second = crossed(seed=1), crossed(seed=2)
    fits = np.arange(60) % 5
    differences = film_losses(second) - film_losses(first)
    means = np.array([differences[fits == fit].mean() for fit in range(5)])
    plain = means.std(ddof=1) / np.sqrt(5)
    by_fit = gain_of(dataclasses.replace(first, groups=fits), second).error
    assert 2 * by_fit / plain == pytest.approx(2.87, abs=0.01)  # two standard errors of many are 2.87 of five


def test_films_of_one_group_count_as_one_and_so_may_those_of_one_fit() -> None:
    first, second = crossed(seed=1), crossed(seed=2)
    doubled = [
        Crossed(*(np.concatenate([getattr(one, name)] * 2) for name in ("positions", "truth", "logits", "groups")))
        for one in (first, second)
    ]
    assert gain_of(*doubled).error == pytest.approx(gain_of(first, second).error)
    shifted = Crossed(second.positions, second.truth, second.logits.copy(), second.groups)
    fits = np.arange(60) // 20
    shifted.logits[fits == 0] += np.eye(3)[shifted.truth[fits == 0]] * 4  # one network of three turned out well
    assert gain_of(shifted, second).is_beyond_noise
    assert not gain_of(shifted, second, fits).is_beyond_noise
    assert gain_of(shifted, second, np.zeros(60, int)).error == np.inf  # one network tells nothing of its luck


def test_only_films_that_both_have_answered_count_and_they_must_be_the_same() -> None:
    whole, part = crossed(seed=1), crossed(seed=2)
    cut = Crossed(*(getattr(part, name)[:20] for name in ("positions", "truth", "logits", "groups")))
    short = Crossed(*(getattr(whole, name)[:20] for name in ("positions", "truth", "logits", "groups")))
    assert gain_of(whole, cut) == gain_of(short, cut)
    assert gain_of(cut, whole) == gain_of(cut, short)
    with pytest.raises(ValueError, match="same films"):
        gain_of(Crossed(whole.positions[::-1], whole.truth, whole.logits, whole.groups), whole)


def test_figures_of_the_best_and_the_start_stand_side_by_side() -> None:
    start, best = crossed(sure=0.5), crossed(sure=3.0, seed=1)
    found = confirmed_of(4, start, best, np.arange(60) % 6, seed=0)
    gain = gain_of(best, start, np.arange(60) % 6)
    change = found.loss_change
    assert (found.number, change.value) == (4, -gain.value)
    assert change.low is not None
    assert change.high is not None
    assert change.high - change.low == pytest.approx(4 * gain.error)
    assert found.is_better == gain.is_beyond_noise == (change.high < 0)
    assert found.is_better
    assert found.best == figures_of(best, seed=0)
    assert found.best.num_films == 60
    assert found.best.accuracy.value == pytest.approx((best.logits.argmax(axis=1) == best.truth).mean())
    difference = found.f1_difference
    assert difference.value == pytest.approx(macro_f1(best) - macro_f1(start))
    assert difference.low is not None
    assert 0 < difference.low < difference.value
