"""A head on features."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.train.head import fit_head, levelled_losses, prior_shift


@pytest.mark.parametrize("num_findings", [2, 3])
def test_a_head_tells_apart_what_features_tell_apart(num_findings: int) -> None:
    chance = np.random.default_rng(0)
    labels = np.arange(120) % num_findings
    features = np.concatenate([np.eye(num_findings)[labels] * 40 + 1000, np.full((120, 1), 7.0)], axis=1)
    features[:, :-1] += chance.normal(0, 4, (120, num_findings))
    held, wanted = features[::3], labels[::3]

    def loss(logits: np.ndarray) -> float:
        return float(levelled_losses(logits, wanted, np.ones(len(wanted))).mean())

    head = fit_head(features, labels, np.ones(120), held, loss)
    logits = head.logits(features)
    assert head.kernel.shape == (num_findings + 1, num_findings)
    assert head.kernel.dtype == np.float32
    assert (logits.argmax(axis=1) == labels).all()
    assert np.allclose(head.kernel[-1], 0)  # a feature that never changes says nothing


def test_the_loss_of_validation_films_decides_the_penalty() -> None:
    chance = np.random.default_rng(1)
    features, labels = chance.normal(size=(60, 30)), np.arange(60) % 2
    seen: list[float] = []

    def loss(logits: np.ndarray) -> float:
        seen.append(float(np.abs(logits).max()))
        return seen[-1]

    head = fit_head(features, labels, np.ones(60), features, loss)
    assert len(seen) == 6
    assert np.abs(head.logits(features)).max() == pytest.approx(min(seen), rel=1e-4)


def test_losses_are_taken_at_the_best_temperature_and_constants() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(200) % 3
    logits = 2 * np.eye(3)[labels] + rng.normal(size=(200, 3))
    moved = logits * 3 + np.array([0.0, 4.0, -2.0])
    weights = np.ones(200)
    mean = float(levelled_losses(logits, labels, weights).mean())
    assert float(levelled_losses(moved, labels, weights).mean()) == pytest.approx(mean, rel=0.03)
    plain = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
    assert float(-plain[np.arange(200), labels].mean()) > 1.5 * mean


def test_a_shift_undoes_that_films_were_drawn_unevenly() -> None:
    chance = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], [400, 100, 300])
    honest = 2 * np.eye(3)[labels] + chance.normal(0, 1, (800, 3))
    drawn = honest + np.array([0.0, 1.5, -1.0])
    weights = (1 / np.bincount(labels))[labels]
    shift = prior_shift(drawn, labels, weights)
    assert shift.sum() == pytest.approx(0, abs=1e-5)
    moved = (drawn + shift).argmax(axis=1) == labels
    right = {
        name: np.average(hits, weights=weights)
        for name, hits in (
            ("drawn", drawn.argmax(axis=1) == labels),
            ("honest", honest.argmax(axis=1) == labels),
            ("moved", moved),
        )
    }
    assert right["moved"] == pytest.approx(right["honest"], abs=0.015)
    assert right["moved"] > right["drawn"] + 0.05


def test_few_films_shift_little_and_none_nothing() -> None:
    assert np.abs(prior_shift(np.array([[3.0, 0.0]]), np.array([1]), np.ones(1))).max() < 1.5
    assert np.array_equal(prior_shift(np.zeros((0, 3)), np.zeros(0, int), np.zeros(0)), np.zeros(3))
