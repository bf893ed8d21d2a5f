"""What a sealed file learns after fitting: from validation films, from training films' features, from folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.judge.calibrate import conformal_thresholds
from hilum.judge.calibration import fit_calibration
from hilum.judge.predictions import LabelledPredictions
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata
from hilum.run.out_of_distribution import OutOfDistributionDetector
from hilum.train.batches import Films
from hilum.train.calibration import OutOfFold, calibrated, gate_statistics, set_cross_conformal


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
