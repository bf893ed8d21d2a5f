"""Named augmentation policies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.train.augment import POLICIES, Augmentation, no_changes
from hilum.train.batches import Films, changed_batch
from hilum.train.policies import change_film, mixed_batch

LABELS = np.arange(12) % 3


@pytest.fixture(scope="module")
def films() -> Films:
    pixels = np.random.default_rng(0).random((12, 32, 32)).astype(np.float16)
    return Films(pixels, LABELS)


def epoch(films: Films, policy: Augmentation, number: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = []
    for batch, positions in enumerate(np.split(np.arange(12), 2)):
        shown, _ = changed_batch(films, positions, policy, drawn=(1, number, batch))
        known = np.eye(3, dtype=np.float32)[LABELS[positions]]
        drawn.append(mixed_batch(shown, known, policy, drawn=(1, number, batch)))
    return np.concatenate([one for one, _ in drawn]), np.concatenate([shares for _, shares in drawn])


@pytest.mark.parametrize("name", POLICIES)
def test_seed_and_epoch_decide_everything_whatever_came_before(films: Films, name: str) -> None:
    policy = Augmentation(policy=name)
    first, shares = epoch(films, policy, 3)
    assert first.shape == (12, 32, 32, 1)
    assert first.dtype == shares.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    other, _ = epoch(films, policy, 4)  # a resume begins in another epoch
    again, same_shares = epoch(films, policy, 3)
    assert np.array_equal(first, again)
    assert np.array_equal(shares, same_shares)
    assert not np.array_equal(first, other)


def test_no_changes_change_nothing(films: Films) -> None:
    film = films.pixels[0].astype(np.float32)
    assert np.allclose(change_film(film, no_changes(), np.random.default_rng(0)), film, atol=1e-6)


@pytest.mark.parametrize("name", ["randaugment", "augmix"])
def test_a_stronger_policy_changes_more_and_none_of_strength_0(name: str) -> None:
    smooth = np.tile(np.linspace(0.2, 0.8, 48, dtype=np.float32), (48, 1))

    def distance(strength: float) -> float:
        policy = Augmentation(policy=name, policy_strength=strength, flip_probability=0.0)
        changed = [change_film(smooth, policy, np.random.default_rng(seed)) for seed in range(30)]
        return float(np.mean([np.abs(one - smooth).mean() for one in changed]))

    assert distance(0.0) < 1e-6
    assert 0.01 < distance(0.5) < distance(1.0)


def test_only_mixing_shares_the_findings_out(films: Films) -> None:
    for name in ("changes", "erasing", "randaugment"):
        shares = epoch(films, Augmentation(policy=name), 0)[1]
        assert set(np.unique(shares)) == {0.0, 1.0}
    for name in ("mixup", "cutmix"):
        shares = epoch(films, Augmentation(policy=name, policy_strength=1.0), 0)[1]
        assert ((shares > 0.01) & (shares < 0.99)).any()
    alone = epoch(films, Augmentation(policy="mixup", policy_strength=0.0), 0)[1]
    assert set(np.unique(alone)) == {0.0, 1.0}


def test_erasing_covers_a_part_with_grey() -> None:
    white = Films(np.ones((4, 32, 32), np.float16), np.zeros(4, int))
    policy = dataclasses.replace(no_changes(), policy="erasing", policy_strength=1.0)
    shown, _ = changed_batch(white, np.arange(4), policy, drawn=(0,))
    erased, _ = mixed_batch(shown, np.tile(np.float32([1, 0]), (4, 1)), policy, drawn=(0,))
    assert 0 < np.isclose(erased, 0.5).mean() < 0.5
    assert set(np.unique(erased)) == {np.float32(0.5), np.float32(1.0)}
