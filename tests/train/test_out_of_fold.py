"""Out-of-fold logits of a frozen head: like the served head's on new films, and never of a film that was learned."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hilum.run.engine import Outputs
from hilum.train.batches import Films
from hilum.train.calibration import out_of_fold
from hilum.train.config import RunConfig, default_config
from hilum.train.head import fit_linear

KEPT = {"stage": "head", "epoch": 0, "penalty": 30.0}


class Features:
    """Stands in for the engine: the features are a few pixels of the film."""

    def run(self, films: np.ndarray) -> Any:
        features = films[:, 0, :3].reshape(len(films), -1)  # (n, 24)
        return Outputs(np.zeros((len(films), 3)), features, np.zeros((len(films), 3, 1, 1)))


@pytest.fixture
def config() -> RunConfig:
    return default_config("efficientnet-lite0")


def drawn(num: int, seed: int = 0) -> Films:
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 3
    pixels = rng.random((num, 8, 8))
    pixels[np.arange(num), 0, labels] += 0.4
    return Films(pixels.astype(np.float16), labels)


def found(films: Films, config: RunConfig, groups: np.ndarray | None = None, **kept: Any) -> Any:
    groups = np.arange(len(films)) if groups is None else groups
    return out_of_fold(Features(), films, groups, KEPT | kept, config)  # type: ignore[arg-type]


def test_every_film_is_scored_once_by_a_head_that_did_not_see_its_group(config: RunConfig) -> None:
    films = drawn(150)
    groups = np.arange(150) // 2
    one = found(films, config, groups)
    assert np.array_equal(one.truth, films.labels)
    assert set(one.folds) == set(range(5))
    for group in np.unique(groups):
        assert len(set(one.folds[groups == group])) == 1
    held = one.folds == 2
    rest = ~held
    plain = dataclasses.replace(config, augmentation=dataclasses.replace(config.augmentation, flip_probability=0.0))
    unflipped = found(films, plain, groups)
    features = films.pixels[:, :3].astype(np.float32).reshape(150, -1)
    weights = np.ones(rest.sum()) * len(films.labels[rest]) / (3 * np.bincount(films.labels[rest]))[films.labels[rest]]
    head = fit_linear(features[rest], films.labels[rest], weights / weights.mean(), penalty=30.0)
    np.testing.assert_allclose(unflipped.logits[held], head.logits(features[held]), atol=1e-4)


def test_out_of_fold_logits_are_as_sure_as_on_new_films(config: RunConfig) -> None:
    films, new = drawn(300), drawn(300, seed=1)
    one = found(films, config)
    features = films.pixels[:, :3].astype(np.float32).reshape(300, -1)
    mirrored = films.pixels[:, :3, ::-1].astype(np.float32).reshape(300, -1)
    served = fit_linear(np.concatenate([features, mirrored]), np.tile(films.labels, 2), np.full(600, 0.5), penalty=30.0)
    expected = served.logits(new.pixels[:, :3].astype(np.float32).reshape(300, -1))

    def loss(logits: np.ndarray, truth: np.ndarray) -> float:
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(truth)), truth]))

    learned = served.logits(features)
    assert loss(one.logits, one.truth) == pytest.approx(loss(expected, new.labels), abs=0.08)
    assert loss(learned, films.labels) < loss(one.logits, one.truth)


def test_films_whose_finding_is_open_take_no_part(config: RunConfig) -> None:
    films = drawn(60)
    films.labels[:6] = -1
    assert len(found(films, config).truth) == 54


@pytest.mark.parametrize("stage", ["backbone", "start"])
def test_other_networks_have_none(config: RunConfig, stage: str) -> None:
    assert found(drawn(60), config, stage=stage) is None


def test_films_drawn_by_source_have_none(config: RunConfig) -> None:
    drawn_by_source = dataclasses.replace(config, fit=dataclasses.replace(config.fit, sampling="sources"))
    assert found(drawn(60), drawn_by_source) is None


def test_too_few_groups_have_none(config: RunConfig) -> None:
    assert found(drawn(60), config, np.zeros(60, int)) is None
    assert found(drawn(60), config, np.arange(60) % 3) is None  # a fold would lack a finding
