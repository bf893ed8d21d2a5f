"""Distance from the training films: what is usual is near, what is strange is far, and the file keeps it all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hilum.run.familiar import LEAST_HELD_OUT_FILMS, LEAST_TRAINING_FILMS, Familiarity, fit_familiarity


def drawn(num: int, *, seed: int = 0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (num, 40) of two findings that vary in six directions, and the findings."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(6, 40))
    labels = rng.integers(0, 2, num)
    features = (rng.normal(size=(num, 6)) + 4 * labels[:, None]) @ directions + rng.normal(0, 0.1, (num, 40))
    return features + shift * np.random.default_rng(98).normal(size=40), labels


@pytest.fixture(scope="module")
def usual() -> Familiarity:
    found = fit_familiarity(*drawn(1000), drawn(1000, seed=1)[0], refused_fraction=0.02)
    assert found is not None
    return found


def test_films_like_the_training_films_are_refused_as_rarely_as_promised(usual: Familiarity) -> None:
    far = usual.distances(drawn(4000, seed=2)[0]) > usual.threshold
    assert 0.01 < far.mean() < 0.035
    assert (usual.refused_fraction, usual.n) == (0.02, 1000)


@pytest.mark.parametrize("strange", ["shifted", "between", "beside"])
def test_strange_films_are_far(usual: Familiarity, strange: str) -> None:
    directions = np.random.default_rng(99).normal(size=(6, 40))
    films = {
        "shifted": drawn(50, seed=3, shift=1.0)[0],
        "between": np.tile(np.full(6, 14.0) @ directions, (5, 1)),  # along the training films' own directions
        "beside": drawn(50, seed=3)[0] + np.random.default_rng(5).normal(0, 1.0, (50, 40)),  # across them
    }[strange]
    assert (usual.distances(films) > usual.threshold).mean() > 0.95


def test_what_the_file_holds_gives_the_same_distances(usual: Familiarity) -> None:
    import json

    copy = Familiarity.from_dict(json.loads(json.dumps(usual.to_dict())))
    films = drawn(20, seed=4)[0]
    np.testing.assert_array_equal(copy.distances(films), usual.distances(films))
    assert (copy.threshold, copy.n) == (usual.threshold, usual.n)


def test_few_held_out_films_set_the_threshold_beyond_the_furthest() -> None:
    held_out = drawn(30, seed=1)[0]
    found = fit_familiarity(*drawn(300), held_out)
    assert found is not None
    assert found.threshold == pytest.approx(1.25 * found.distances(held_out).max())
    assert found.refused_fraction == pytest.approx(1 / 31)


def test_too_few_films_tell_nothing() -> None:
    features, labels = drawn(LEAST_TRAINING_FILMS)
    held_out = drawn(LEAST_HELD_OUT_FILMS, seed=1)[0]
    assert fit_familiarity(features, labels, held_out) is not None
    assert fit_familiarity(features[1:], labels[1:], held_out) is None
    assert fit_familiarity(features, labels, held_out[1:]) is None


def test_features_that_do_not_vary_break_nothing() -> None:
    features, labels = drawn(200)
    features[:, 10:] = 3.0
    features[:] = features[0] * (labels[:, None] + 1)
    found = fit_familiarity(features, labels, features[:50])
    assert found is not None
    assert np.isfinite(found.distances(features)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": float("nan")},
        {"threshold": None},
        {"residual_scale": 0.0},
        {"center": {"shape": [2], "float32": "AAAA"}},
        {"center": {"shape": [39], "float32": None}},
        {"means": {"shape": [0, 24], "float32": ""}},
    ],
)
def test_statistics_that_do_not_hold_together_are_refused(usual: Familiarity, change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Familiarity.from_dict({**usual.to_dict(), **change})
    with pytest.raises(KeyError):
        Familiarity.from_dict({name: value for name, value in usual.to_dict().items() if name != "basis"})
