"""What a sealed model file learns after fitting: temperature, thresholds, conformal sets, what is usual."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hilum.judge.calibrate import cross_conformal_thresholds, surer_thresholds
from hilum.judge.calibration import fit_calibration
from hilum.judge.predictions import LabelledPredictions
from hilum.judge.sparing import sparing_thresholds
from hilum.run.classifier import Classifier
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.run.out_of_distribution import BANK_FILMS, fit_detector
from hilum.train.batches import Films
from hilum.train.out_of_fold import OutOfFold, features_of
from hilum.train.seal import write_metadata

__all__ = ["calibrated", "gate_statistics", "set_cross_conformal"]

_BATCH = 64


def calibrated(
    metadata: Metadata, validation: LabelledPredictions, groups: np.ndarray, crossed: OutOfFold | None
) -> Metadata:
    """Return the metadata with temperature, thresholds and conformal sets, all from the same films.

    Args:
        metadata: Of the sealed file.
        validation: What the sealed file says of its validation films.
        groups: (n,) int, those of the validation films.
        crossed: Out-of-fold films; where there are any they are taken, since they are many more.
    """
    made = (
        fit_calibration(
            validation.logits, validation.truth, metadata.findings, groups=groups, coverage=metadata.coverage
        )
        if crossed is None
        else fit_calibration(
            crossed.logits,
            crossed.truth,
            metadata.findings,
            groups=crossed.groups,
            coverage=metadata.coverage,
            method="out-of-fold",
            folds=crossed.folds,
        )
    )
    return dataclasses.replace(
        metadata,
        temperature=made.temperature,
        operating_thresholds=made.operating_thresholds,
        conformal=made.conformal,
        calibration=made.facts,
    )


def gate_statistics(path: Path, train: Films, validation: Films, *, seed: int) -> dict[str, Any]:
    """Return what the films that a model knows are like, for the model file; empty where there are too few.

    Args:
        path: The sealed model file.
        train: Films the model learned from; some of them are kept, by the direction of their features.
        validation: Films it did not learn from.
        seed: Decides which.
    """
    if not len(validation):
        return {}
    engine = Engine(read_model_file(path))
    known = train.subset(np.sort(np.random.default_rng(seed).permutation(len(train))[:BANK_FILMS]))
    features = features_of(engine, known.pixels)
    found = fit_detector(features, *_outputs(engine, validation), num_known=len(train))
    return found.to_dict() if found else {}


def set_cross_conformal(path: Path, crossed: LabelledPredictions, fold_of: Mapping[str, int]) -> None:
    """Take the thresholds of findings with few validation films from the films of the folds.

    Args:
        path: The model file; its metadata are replaced.
        crossed: Films, each judged by the model of the fold that held it out.
        fold_of: That fold, by the film's path.
    """
    metadata = Classifier(path).metadata
    folds = [fold_of[record.path] for record in crossed.records]
    cross = cross_conformal_thresholds(
        crossed.probabilities, crossed.truth, folds, metadata.findings, metadata.coverage
    )
    cross = sparing_thresholds(cross, crossed.probabilities, crossed.truth, metadata.findings)
    write_metadata(path, dataclasses.replace(metadata, conformal=surer_thresholds(metadata.conformal, cross)))


def _outputs(engine: Engine, films: Films) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, D) and logits (N, K)."""
    parts = [
        engine.run(films.batch(slice(start, start + _BATCH)).transpose(0, 3, 1, 2))
        for start in range(0, len(films), _BATCH)
    ]
    return np.concatenate([part.features for part in parts]), np.concatenate([part.logits for part in parts])
