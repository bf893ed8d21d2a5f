"""What a sealed file learns after fitting: from validation films, from training films' features, from folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.judge.calibration import fit_calibration
from hilum.judge.conformal import conformal_thresholds
from hilum.judge.predictions import LabelledPredictions
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.engine import Outputs
from hilum.run.modelfile import Metadata
from hilum.run.out_of_distribution import OutOfDistributionDetector
from hilum.train.batches import Films
from hilum.train.calibration import OutOfFold, calibrated, gate_statistics, out_of_fold, set_cross_conformal
from hilum.train.config import RunConfig, default_config
from hilum.train.head import fit_linear


def verdicts(findings: tuple[str, ...], num: int = 120) -> LabelledPredictions:
    rng = np.random.default_rng(0)
    truth = np.arange(num) % 3
    logits = (rng.normal(size=(num, 3)) + 2 * np.eye(3)[truth]).astype(np.float32)
    records = tuple(FilmRecord(f"{i}.png", findings[truth[i]], "train") for i in range(num))
    return LabelledPredictions(records, findings, truth, logits, softmax(logits), ())


def films(num: int, seed: int) -> Films:
    rng = np.random.default_rng(seed)
    return Films(rng.random((num, 32, 32)).astype(np.float16), np.arange(num) % 3)


def test_calibration_comes_from_validation_films_where_there_are_no_others(tiny_metadata: Metadata) -> None:
    judged = verdicts(tiny_metadata.findings)
    groups = np.arange(len(judged.truth))
    found = calibrated(tiny_metadata, judged, groups, None)
    made = fit_calibration(judged.logits, judged.truth, tiny_metadata.findings, groups=groups)
    assert found.temperature == made.temperature
    assert found.conformal == made.conformal
    assert found.operating_thresholds == made.operating_thresholds
    assert found.calibration == made.facts
    assert found.calibration["method"] == "validation"
    assert found.name == tiny_metadata.name


def test_out_of_fold_films_are_preferred(tiny_metadata: Metadata) -> None:
    few, many = verdicts(tiny_metadata.findings, 30), verdicts(tiny_metadata.findings, 300)
    crossed = OutOfFold(many.logits, many.truth, np.arange(300), np.arange(300) % 5)
    found = calibrated(tiny_metadata, few, np.arange(30), crossed)
    assert (found.calibration["method"], found.calibration["n"]) == ("out-of-fold", 300)
    assert {limit["method"] for limit in found.conformal.values()} == {"cross"}
    assert {limit["n"] for limit in found.conformal.values()} == {100}


@pytest.mark.parametrize(("num", "num_validation", "is_told"), [(120, 30, True), (120, 5, False), (60, 30, False)])
def test_statistics_need_enough_films(tiny_model: Path, num: int, num_validation: int, is_told: bool) -> None:
    found = gate_statistics(tiny_model, films(num, 0), films(num_validation, 1), seed=0)
    assert bool(found) == is_told
    if is_told:
        familiarity = OutOfDistributionDetector.from_dict(found)
        engine = Classifier(tiny_model).engine
        outputs = engine.run(films(30, 1).batch(slice(None)).transpose(0, 3, 1, 2))
        assert familiarity.threshold > familiarity.outlier_score(outputs.features, outputs.logits).max()


def test_no_validation_films_tell_nothing(tiny_model: Path) -> None:
    assert gate_statistics(tiny_model, films(120, 0), films(0, 1), seed=0) == {}


def test_only_findings_with_few_validation_films_go_by_the_folds(
    tmp_path: Path, write_model: Callable[..., Path], tiny_metadata: Metadata
) -> None:
    few, *many = tiny_metadata.findings
    limits = {few: {"threshold": 0.7, "n": 39}, **{name: {"threshold": 0.7, "n": 40} for name in many}}
    path = write_model(tmp_path / "model.onnx", conformal=limits)
    judged = verdicts(tiny_metadata.findings)
    set_cross_conformal(path, judged, {record.path: i % 4 for i, record in enumerate(judged.records)})
    found = Classifier(path).metadata
    expected = conformal_thresholds(judged.probabilities, judged.truth, tiny_metadata.findings)
    assert found.conformal[few] == {**expected[few], "method": "cross", "folds": 4}
    assert {name: found.conformal[name] for name in many} == {name: limits[name] for name in many}
    assert dataclasses.replace(found, conformal={}) == dataclasses.replace(tiny_metadata, conformal={})


# --- out-of-fold logits of a frozen head ------------------------------------------------------------------------------


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
