"""How strange a film is: what is usual is not, what lies elsewhere or says little is, and the file keeps it all."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hilum.run.out_of_distribution import (
    BANK_FILMS,
    LEAST_HELD_OUT_FILMS,
    LEAST_TRAINING_FILMS,
    OutOfDistributionDetector,
    fit_detector,
)


def drawn(num: int, *, seed: int = 0, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return features (num, 40) of two findings and logits (num, 2) that are as large as the features speak for."""
    rng = np.random.default_rng(seed)
    directions = np.abs(np.random.default_rng(99).normal(size=(2, 40)))
    labels = rng.integers(0, 2, num)
    features = np.maximum(directions[labels] + rng.normal(0, noise, (num, 40)), 0)
    return features, features @ directions.T / 10


@pytest.fixture(scope="module")
def usual() -> OutOfDistributionDetector:
    found = fit_detector(drawn(BANK_FILMS)[0], *drawn(1000, seed=1), refused_fraction=0.02)
    assert found is not None
    return found


def test_films_like_the_training_films_are_refused_as_rarely_as_promised(usual: OutOfDistributionDetector) -> None:
    strange = usual.outlier_score(*drawn(4000, seed=2)) > usual.threshold
    assert 0.01 < strange.mean() < 0.035
    assert (usual.refused_fraction, usual.n) == (0.02, 1000)


def test_other_directions_are_strange(usual: OutOfDistributionDetector) -> None:
    features, logits = drawn(50, seed=3)
    shuffled = features[:, np.random.default_rng(4).permutation(40)]
    assert (usual.outlier_score(shuffled, logits) > usual.threshold).mean() > 0.95


def test_a_network_that_says_little_finds_a_film_strange(usual: OutOfDistributionDetector) -> None:
    features, logits = drawn(50, seed=3)
    assert (usual.outlier_score(features, logits - 3) > usual.threshold).mean() > 0.95
    assert np.all(usual.outlier_score(features, logits - 3) > usual.outlier_score(features, logits))


def test_a_doubtful_answer_is_stranger_than_a_sure_one(usual: OutOfDistributionDetector) -> None:
    features, _ = drawn(1, seed=3)
    energy = np.log(np.exp(3) + np.exp(-1))
    sure, torn = np.array([[3.0, -1.0]]), np.full((1, 2), energy - np.log(2))  # of one energy
    assert usual.outlier_score(features, torn)[0] > usual.outlier_score(features, sure)[0]


def test_large_logits_do_not_make_up_for_a_distance(usual: OutOfDistributionDetector) -> None:
    features, logits = drawn(50, seed=3)
    shuffled = features[:, np.random.default_rng(4).permutation(40)]
    assert (usual.outlier_score(shuffled, logits + 50) > usual.threshold).mean() > 0.95


def test_saturated_answers_do_not_make_a_sure_one_strange() -> None:
    features, _ = drawn(BANK_FILMS)
    held_out, _ = drawn(50, seed=1)
    logits = np.tile([[30.0, -30.0]], (50, 1))
    found = fit_detector(features, held_out, logits)
    assert found is not None
    sure = np.array([[30.0, 25.4]])  # 99 %
    assert found.outlier_score(held_out[:1], sure)[0] < found.outlier_score(held_out[:1], logits[:1])[0] + 1.5


def test_the_length_of_the_features_does_not_count(usual: OutOfDistributionDetector) -> None:
    features, logits = drawn(20, seed=3)
    np.testing.assert_allclose(
        usual.outlier_score(2 * features, logits), usual.outlier_score(features, logits), rtol=1e-5
    )


def test_what_the_file_holds_gives_the_same(usual: OutOfDistributionDetector) -> None:
    copy = OutOfDistributionDetector.from_dict(json.loads(json.dumps(usual.to_dict())))
    films = drawn(20, seed=4)
    np.testing.assert_allclose(copy.outlier_score(*films), usual.outlier_score(*films), atol=1e-9)
    assert (copy.threshold, copy.n) == (usual.threshold, usual.n)


def test_few_held_out_films_set_the_threshold_beyond_the_strangest() -> None:
    held_out = drawn(30, seed=1)
    found = fit_detector(drawn(200)[0], *held_out)
    assert found is not None
    values = found.outlier_score(*held_out)
    assert found.threshold == pytest.approx(values.max() + 0.25 * (values.max() - np.median(values)))
    assert found.refused_fraction == pytest.approx(1 / 31)


def test_too_few_films_tell_nothing() -> None:
    features, _ = drawn(LEAST_TRAINING_FILMS)
    held_out, logits = drawn(LEAST_HELD_OUT_FILMS, seed=1)
    assert fit_detector(features, held_out, logits) is not None
    assert fit_detector(features[1:], held_out, logits) is None
    assert fit_detector(features[1:], held_out, logits, num_known=1000) is not None
    assert fit_detector(features, held_out[1:], logits[1:]) is None


def test_features_that_do_not_vary_break_nothing() -> None:
    features, logits = np.zeros((200, 40)), np.zeros((200, 2))
    found = fit_detector(features, features[:50], logits[:50])
    assert found is not None
    assert np.isfinite(found.outlier_score(*drawn(20))).all()


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": float("nan")},
        {"threshold": None},
        {"distance": [0.1, 0.0]},
        {"energy": [0.1]},
        {"doubt": [0.1, float("inf")]},
        {"bank": {"shape": [2], "int8": "AAA="}},
        {"bank": {"shape": [39, 40], "int8": None}},
        {"bank": {"shape": [0, 24], "int8": ""}},
    ],
)
def test_statistics_that_do_not_hold_together_are_refused(
    usual: OutOfDistributionDetector, change: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        OutOfDistributionDetector.from_dict({**usual.to_dict(), **change})
    with pytest.raises(KeyError):
        OutOfDistributionDetector.from_dict({name: value for name, value in usual.to_dict().items() if name != "bank"})
