"""How a study gets its answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import InconsistentDataset
from hilum.film.preprocess import Preprocessing
from hilum.train import study_fit
from hilum.train.calibration import features_of
from hilum.train.config import FitSettings, RunConfig
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.study_fit import StudyFilms, cross_variant, frozen_engine, measure_cost, prepare_outside
from hilum.train.trial import draw_folds

SMALL = Preprocessing(size_px=32)
CONFIG = RunConfig(
    backbone="plain-cnn",
    weights="none",
    preprocessing=SMALL,
    fit=FitSettings(epochs=1, learning_rate=1e-3, batch_size=16),
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "films"
    write_phantoms(folder, num_per_finding=12, num_test_per_finding=2, findings=("Normal", "Covid-19"), size_px=96)
    return folder


@pytest.fixture(scope="module")
def prepared(own: Path) -> PreparedFilms:
    return prepare_films(own, SMALL)


@pytest.mark.slow
def test_other_sources_are_judged_on_what_is_common_and_new(own: Path, prepared: PreparedFilms, tmp_path: Path) -> None:
    findings = ("Normal", "Covid-19", "Bacterial Pneumonia")
    write_phantoms(tmp_path / "other", num_per_finding=5, num_test_per_finding=0, seed=9, findings=findings, size_px=96)
    copied = next((own / "train" / "Normal").iterdir())
    (tmp_path / "other" / "train" / "Normal" / f"copy{copied.suffix}").write_bytes(copied.read_bytes())
    outside = prepare_outside(tmp_path / "other", prepared, SMALL)
    assert outside.findings == prepared.findings
    assert outside.left_out == {"other_findings": 5, "twins": 1}
    assert len(outside.films) == len(outside.groups) == 10
    assert np.bincount(outside.films.labels).tolist() == [5, 5]
    assert [prepared.findings[column] for column in outside.columns] == list(outside.findings)


def test_one_finding_in_common_is_not_enough(prepared: PreparedFilms, tmp_path: Path) -> None:
    findings = ("Normal", "Bacterial Pneumonia")
    write_phantoms(tmp_path / "other", num_per_finding=3, num_test_per_finding=0, seed=9, findings=findings, size_px=96)
    with pytest.raises(InconsistentDataset, match="1 finding in common"):
        prepare_outside(tmp_path / "other", prepared, SMALL)


class Killed(Exception):
    pass


@pytest.mark.slow
def test_a_variant_answers_every_film_once_and_continues_after_a_kill(
    prepared: PreparedFilms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_phantoms(
        tmp_path / "other", num_per_finding=4, num_test_per_finding=0, seed=7, findings=prepared.findings, size_px=96
    )
    outside = prepare_outside(other, prepared, SMALL)
    films = StudyFilms(prepared, draw_folds(prepared, num_folds=2, seed=0), outside)
    real, asked = study_fit.compute_logits, []

    def counted(model: Any, films: Any) -> np.ndarray:
        asked.append(len(films))
        if len(asked) == 6:  # the other sources' films in the second fold
            raise Killed
        return real(model, films)

    monkeypatch.setattr(study_fit, "compute_logits", counted)
    with pytest.raises(Killed):
        cross_variant(films, CONFIG, tmp_path / "one")
    answers = cross_variant(films, CONFIG, tmp_path / "one")
    assert len(asked) == 9  # the first fold was not repeated
    assert answers.probabilities.shape == (24, 2)
    assert np.allclose(answers.probabilities.sum(axis=1), 1)
    assert answers.outside is not None
    assert answers.outside.shape == (8, 2)
    assert answers.num_weights > 1000
    assert answers.minutes > 0
    again = cross_variant(films, dataclasses.replace(CONFIG, seed=0), tmp_path / "two")
    assert np.allclose(again.probabilities, answers.probabilities, atol=1e-4)  # the same seed and folds


@pytest.mark.slow
def test_a_network_costs_its_file_and_its_time(prepared: PreparedFilms, tmp_path: Path) -> None:
    cost = measure_cost(CONFIG, prepared, tmp_path)
    assert 0 < cost["megabytes"] < 5
    assert 0 < cost["milliseconds"] < 1000
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_engine_is_kept_on_file_and_is_the_same_each_time(prepared: PreparedFilms, tmp_path: Path) -> None:
    films = prepared.films.pixels[:3].astype(np.float32)
    path = tmp_path / "frozen.onnx"
    features = features_of(frozen_engine(CONFIG, prepared.findings, films[:, np.newaxis], path), films)
    assert features.shape == (3, 64)
    before = path.stat().st_mtime_ns
    again = frozen_engine(CONFIG, prepared.findings, films[:, np.newaxis], path)
    assert path.stat().st_mtime_ns == before
    anew = frozen_engine(CONFIG, prepared.findings, films[:, np.newaxis], tmp_path / "anew.onnx")
    for engine in (again, anew):
        assert np.allclose(features_of(engine, films), features, atol=1e-5)
