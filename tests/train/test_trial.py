"""Settings judged by grouped cross-validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.film.preprocess import Preprocessing
from hilum.train.batches import Films
from hilum.train.config import FitSettings, RunConfig
from hilum.train.networks import Network
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.trial import Crossed, FoldedFilms, cross_fit, draw_folds

CONFIG = RunConfig(
    backbone="plain-cnn",
    weights="none",
    preprocessing=Preprocessing(size_px=32),
    fit=FitSettings(epochs=1, learning_rate=1e-3, batch_size=16),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedFilms:
    folder = write_phantoms(
        tmp_path_factory.mktemp("trial") / "films",
        num_per_finding=12,
        num_test_per_finding=2,
        seed=5,
        findings=("Normal", "Covid-19"),
        size_px=96,
    )
    return prepare_films(folder, CONFIG.preprocessing)


@pytest.mark.usefixtures("networks")
def test_every_film_but_test_is_answered_once(prepared: PreparedFilms, tmp_path: Path) -> None:
    folds = draw_folds(prepared, num_folds=2, seed=0)
    told: list[tuple[int, int]] = []
    crossed = cross_fit(
        FoldedFilms(prepared, folds),
        CONFIG,
        work=tmp_path,
        after_fold=lambda num_done, so_far: told.append((num_done, len(so_far.positions))),
    )
    assert sorted(crossed.positions) == np.flatnonzero(folds >= 0).tolist()
    assert all(prepared.records[i].split == "train" for i in crossed.positions)
    assert crossed.logits.shape == (24, 2)
    assert np.array_equal(crossed.truth, prepared.films.labels[crossed.positions])
    assert told == [(1, np.sum(folds == 0)), (2, 24)]


@pytest.mark.usefixtures("networks")
def test_a_finished_fold_is_not_repeated_and_its_own_films_teach_nothing(
    prepared: PreparedFilms, tmp_path: Path
) -> None:
    folds = draw_folds(prepared, num_folds=2, seed=0)
    seen: list[int] = []

    def answer(network: Network, films: Films) -> np.ndarray:
        seen.append(len(films))
        return np.eye(2)[films.labels] * 4 - 2

    class Stopped(Exception):
        pass

    def stop(num_done: int, _: Crossed) -> None:
        if num_done == 1:
            raise Stopped

    with pytest.raises(Stopped):
        cross_fit(FoldedFilms(prepared, folds), CONFIG, work=tmp_path, answer=answer, after_fold=stop)
    assert len(seen) == 2  # validation for the temperature, then the held films
    crossed = cross_fit(FoldedFilms(prepared, folds), CONFIG, work=tmp_path, answer=answer)
    assert len(seen) == 4
    assert (crossed.logits.argmax(axis=1) == crossed.truth).all()
