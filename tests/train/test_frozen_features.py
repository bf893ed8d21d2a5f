"""Features that all trials of a search share: computed once, and never those of other films or another network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.film.preprocess import Preprocessing
from hilum.train import features
from hilum.train.config import RunConfig, default_config
from hilum.train.features import frozen_features
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.trial import FoldedFilms

BASE = RunConfig(preprocessing=Preprocessing(size_px=32))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedFilms:
    folder = write_phantoms(
        tmp_path_factory.mktemp("frozen") / "films",
        num_per_finding=4,
        num_test_per_finding=0,
        seed=5,
        findings=("Normal", "Covid-19"),
        size_px=64,
    )
    return prepare_films(folder, BASE.preprocessing)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand in for the computation; return the sizes that were computed."""
    sizes: list[int] = []

    def compute(_: Any, pixels: np.ndarray, *, mirrored: bool) -> np.ndarray:
        sizes.append(pixels.shape[1])
        return np.stack([pixels.mean(axis=1)] * (2 if mirrored else 1)).astype(np.float32)

    monkeypatch.setattr(features, "pooled_features", compute)
    monkeypatch.setattr(features, "build_network", lambda *_, **__: None)
    return sizes


def test_features_are_computed_once_for_settings_that_share_them(
    prepared: PreparedFilms, tmp_path: Path, computed: list[int]
) -> None:
    first = frozen_features(prepared, BASE, tmp_path / "features")
    other = dataclasses.replace(BASE, seed=3, fit=dataclasses.replace(BASE.fit, learning_rate=1e-2, dropout=0.5))
    second = frozen_features(prepared, other, tmp_path / "features")
    assert first is not None
    assert second is not None
    assert computed == [32]
    assert first.shape == (2, 8, 32)
    np.testing.assert_array_equal(first, second)
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".npy"]


def test_other_weights_views_preprocessing_or_order_are_computed_apart(
    prepared: PreparedFilms, tmp_path: Path, computed: list[int]
) -> None:
    frozen_features(prepared, BASE, tmp_path)
    unflipped = dataclasses.replace(BASE.augmentation, flip_probability=0.0)
    turned = dataclasses.replace(
        prepared, scan=dataclasses.replace(prepared.scan, fingerprints=prepared.scan.fingerprints[::-1])
    )
    frozen_features(prepared, dataclasses.replace(BASE, augmentation=unflipped), tmp_path)
    frozen_features(prepared, dataclasses.replace(BASE, backbone="hilum-chest", weights="chest"), tmp_path)
    frozen_features(prepared, dataclasses.replace(BASE, preprocessing=Preprocessing(size_px=64)), tmp_path)
    frozen_features(turned, BASE, tmp_path)
    assert len(computed) == len(list(tmp_path.iterdir())) == 5


def test_a_network_from_random_weights_has_none(prepared: PreparedFilms, tmp_path: Path, computed: list[int]) -> None:
    for config in (default_config("plain-cnn"), dataclasses.replace(BASE, weights="none")):
        assert frozen_features(prepared, config, tmp_path) is None
    assert not computed


def test_each_network_gets_the_features_of_its_own_films(prepared: PreparedFilms) -> None:
    features = np.arange(2 * 8 * 3, dtype=np.float32).reshape(2, 8, 3)
    learning, validating = np.arange(8) < 5, np.arange(8) >= 6
    films = FoldedFilms(prepared, np.zeros(8, int), features).training(learning, validating)
    assert films.features is not None
    np.testing.assert_array_equal(films.features.train, features[:, :5])
    np.testing.assert_array_equal(films.features.validation, features[0, 6:])
    np.testing.assert_array_equal(films.train.labels, prepared.films.labels[:5])
