"""The correction: how far films carry, what findings without films keep, and films of one finding alone."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.run.answer import softmax
from hilum.train.correction import MOST_FALSE_ALARMS, losses
from hilum.train.correction_choice import choose_correction

from .shared import local_films as films


def test_a_shift_is_undone_by_constants() -> None:
    local, others = films(60, shift=(0, 4, 0)), films(600, seed=1, shift=(0, 4, 0))
    found = choose_correction(local, 1.0).correction
    assert found.level != "as shipped"
    added = (found.logits(others) - others.logits).mean(axis=0)
    assert added[1] - added[[0, 2]].mean() == pytest.approx(-4, abs=1)
    right = (found.logits(others).argmax(axis=1) == others.truth).mean()
    assert right > (others.logits.argmax(axis=1) == others.truth).mean() + 0.25


def test_findings_with_few_films_have_no_linear_correction() -> None:
    local = films(90, told_by_feature=6.0)
    kept = np.flatnonzero((local.truth != 2) | (np.cumsum(local.truth == 2) <= 9))
    found = choose_correction(local.part(np.isin(np.arange(90), kept)), 1.0).levels[-1]
    assert found.kernel is not None
    assert not found.kernel[:, 2].any()
    assert found.kernel[:, :2].any()
    two = films(18, findings=(0, 1), told_by_feature=6.0)
    assert [one.level for one in choose_correction(two, 1.0).levels] == ["as shipped", "constants"]


def test_a_finding_without_a_film_keeps_its_difference_to_the_others() -> None:
    local = films(80, findings=(0, 1), shift=(0, 4, 1), told_by_feature=3.0)
    for found in choose_correction(local, 1.0).levels[1:]:
        moved = (found.logits(local) - local.logits).mean(axis=0)
        assert moved[2] == pytest.approx(moved[:2].mean(), abs=1e-9)
        assert moved[0] - moved[1] > 1


def test_films_of_one_finding_bound_the_false_alarms() -> None:
    local, others = films(40, findings=(0,), shift=(-3, 0, 0)), films(2000, seed=1, findings=(0,), shift=(-3, 0, 0))
    choice = choose_correction(local, 2.0)
    assert choice.correction.temperature == 2.0
    assert choice.correction.constants[0] > 0
    assert not choice.correction.constants[1:].any()
    assert (choice.correction.logits(local).argmax(axis=1) != 0).mean() <= MOST_FALSE_ALARMS
    assert (choice.correction.logits(others).argmax(axis=1) != 0).mean() == pytest.approx(MOST_FALSE_ALARMS, abs=0.06)
    unmoved = choose_correction(films(40, findings=(0,), shift=(9, 0, 0)), 1.0).correction
    assert (unmoved.level, unmoved.constants.any()) == ("as shipped", np.False_)


def test_the_fit_is_where_the_loss_is_smallest() -> None:
    """Against scipy's L-BFGS on the same loss: constants and temperature."""
    from scipy.optimize import minimize

    local = films(60, shift=(0, 4, 0))
    found = choose_correction(local, 1.0).levels[1]

    def loss(values: np.ndarray) -> float:
        constants = values[1:] - values[1:].mean()
        logits = local.logits * np.exp(values[0]) + constants
        prior = (values[0] / 0.5) ** 2 + np.square(constants / 2).sum()
        return float(losses(logits, local.truth).sum() + prior / 2)

    best = minimize(loss, np.zeros(4)).x
    expected = softmax(local.logits * np.exp(best[0]) + best[1:])
    assert softmax(found.logits(local) / found.temperature) == pytest.approx(expected, abs=1e-3)
