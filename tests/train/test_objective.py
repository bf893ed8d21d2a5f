"""The loss of a film, and the optimiser with its learning rate."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hilum.train.config import OPTIMISERS, FitSettings
from hilum.train.objective import ambiguous_cross_entropy, make_optimizer


def test_the_loss_of_a_stated_film_is_cross_entropy_and_of_an_open_one_that_of_the_sum() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32) * 3
    stated = np.eye(4, dtype=np.float32)[[0, 3, 1, 1, 2]]
    usual = keras.losses.categorical_crossentropy(stated, logits, from_logits=True, label_smoothing=0.1)
    np.testing.assert_allclose(ambiguous_cross_entropy(0.1)(stated, logits), usual, rtol=1e-5)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    open_ = np.array([[0, 1, 1, 0]] * 5, np.float32)
    wanted = -np.log(probabilities[:, 1] + probabilities[:, 2])
    np.testing.assert_allclose(ambiguous_cross_entropy(0.0)(open_, logits), wanted, rtol=1e-4)


def test_the_learning_rate_warms_up_and_falls() -> None:
    optimizer = make_optimizer(FitSettings(learning_rate=1.0), num_steps=100)
    rates = [float(np.asarray(optimizer._learning_rate(step))) for step in range(100)]
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(1, abs=0.02)
    assert 9 <= peak <= 11
    assert np.all(np.diff(rates[peak:]) <= 0)
    assert 0.01 <= rates[-1] < 0.05


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser_that_is_named_can_be_made(optimiser: str) -> None:
    assert (
        optimiser
        in type(make_optimizer(FitSettings(optimiser=optimiser, learning_rate=0.01), num_steps=10)).__name__.lower()
    )
