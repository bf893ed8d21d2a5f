"""Which correction is chosen, and that each film is answered by one that has not seen it."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.train.correction import LocalFilms, losses
from hilum.train.correction_choice import choose_correction, cross_fit

from .shared import local_films as films


def test_a_model_that_is_right_stays_as_it_is() -> None:
    choice = choose_correction(films(90), 1.0)
    assert choice.correction.level == "as shipped"
    assert choice.correction.temperature == 1.0
    assert not choice.correction.constants.any()
    assert choice.correction is choice.levels[0]


def test_what_only_the_features_tell_takes_a_linear_correction() -> None:
    local, others = films(90, told_by_feature=6.0), films(600, seed=1, told_by_feature=6.0)
    found = choose_correction(local, 1.0).correction
    assert (found.level, found.kernel is not None) == ("linear", True)
    after = losses(found.logits(others) / found.temperature, others.truth).mean()
    assert after < 0.95 * losses(others.logits, others.truth).mean()


def test_each_film_is_answered_by_a_fit_that_has_not_seen_it() -> None:
    local = films(60, shift=(0, 4, 0))
    crossed = cross_fit(local, 1.0)
    assert crossed is not None
    assert set(crossed.folds.tolist()) == set(range(5))
    for fold in range(5):
        held = crossed.folds == fold
        found = choose_correction(local.part(~held), 1.0).correction
        assert crossed.logits[held] == pytest.approx(found.logits(local.part(held)) / found.temperature)


def test_one_patient_cannot_be_cross_fitted() -> None:
    local = films(30)
    assert cross_fit(LocalFilms(local.logits, local.features, local.truth, np.zeros(30, int)), 1.0) is None
