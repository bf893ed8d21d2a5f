"""What a sealed model file learns after fitting: temperature, thresholds, conformal sets, what is usual.

Out-of-fold logits give many films to calibrate on, for a few logistic regressions. Where the kept network is a head on
frozen features, five more heads are fitted, each without a fifth of the training and validation films, and score the
films that they did not see, as the served head scores new films. The heads learn from about as many films as the served
one (four fifths of both parts), with its penalty and its weights. A network whose backbone was trained has no such
films: it would have to be trained again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.data.split import grouped_folds
from hilum.judge.calibration import fit_calibration
from hilum.judge.conformal import cross_conformal_thresholds, sparing_thresholds, surer_thresholds
from hilum.judge.predictions import LabelledPredictions
from hilum.run.classifier import Classifier
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.run.out_of_distribution import BANK_FILMS, fit_detector
from hilum.train.batches import Films
from hilum.train.config import RunConfig
from hilum.train.graph_file import write_metadata
from hilum.train.head import finding_weights, fit_linear

__all__ = ["OutOfFold", "calibrated", "features_of", "gate_statistics", "out_of_fold", "set_cross_conformal"]

_BATCH = 64
_FEATURE_BATCH = 32


def calibrated(
    metadata: Metadata, validation: LabelledPredictions, groups: np.ndarray, crossed: OutOfFold | None
) -> Metadata:
    """Return the metadata with temperature, thresholds and conformal sets, all from the same films.

    Args:
        metadata: What the sealed file says of itself.
        validation: What the sealed file says of its validation films.
        groups: (n,) int, those of the validation films.
        crossed: Out-of-fold films; where there are any they are taken, since they are many more.
    """
    folds: np.ndarray | None = None
    logits, truth = validation.logits, validation.truth
    if crossed is not None:
        logits, truth, groups, folds = crossed.logits, crossed.truth, crossed.groups, crossed.folds
    made = fit_calibration(logits, truth, metadata.findings, groups=groups, coverage=metadata.coverage, folds=folds)
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


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Films, each scored by a head that saw neither it nor its group.

    Attributes:
        logits: (n, K).
        truth: (n,) int.
        groups: (n,) int.
        folds: (n,) int, the fold that held the film out.
    """

    logits: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    folds: np.ndarray


def out_of_fold(
    engine: Engine, films: Films, groups: np.ndarray, kept: Mapping[str, Any], config: RunConfig
) -> OutOfFold | None:
    """Return the out-of-fold logits of the kept head; None where they would need another training.

    Args:
        engine: The engine of the sealed network.
        films: Its training and validation films; those whose finding is left open take no part.
        groups: (N,) int, films of equal number stay together.
        kept: The row of the history whose weights were kept.
        config: The run's settings.
    """
    if kept.get("stage") != "head" or config.fit.sampling != "films":
        return None
    stated = np.flatnonzero(films.labels >= 0)
    films, groups, labels = films.subset(stated), groups[stated], films.labels[stated]
    num_findings = int(labels.max()) + 1
    folds = np.full(len(labels), -1)
    for number, held in enumerate(grouped_folds(labels, groups)):
        folds[held] = number
        if len(np.unique(labels[~held])) < num_findings:
            return None
    if folds.max() < 1:
        return None
    features = features_of(engine, films.pixels)
    taught, repeated = features, 1
    if config.augmentation.flip_probability > 0:  # as the served head was fitted
        mirrored = features_of(engine, films.pixels[:, :, ::-1])
        taught, repeated = np.stack([features, mirrored]), 2
    taught = taught.reshape(repeated, len(labels), -1)
    logits = np.zeros((len(labels), num_findings))
    for fold in range(int(folds.max()) + 1):
        rest = folds != fold
        weights = finding_weights(labels[rest], num_findings, config.fit.class_weights)[labels[rest]]
        head = fit_linear(
            taught[:, rest].reshape(-1, taught.shape[-1]),
            np.tile(labels[rest], repeated),
            np.tile(weights / weights.mean(), repeated) / repeated,
            penalty=float(kept["penalty"]),
        )
        logits[~rest] = head.logits(features[~rest])
    return OutOfFold(logits, labels, groups, folds)


def features_of(engine: Engine, pixels: np.ndarray) -> np.ndarray:
    """Return the features (n, D) float32 of films (n, S, S) in [0, 1], through the runtime's engine."""
    batches = (pixels[start : start + _FEATURE_BATCH, np.newaxis] for start in range(0, len(pixels), _FEATURE_BATCH))
    return np.concatenate([engine.run(batch.astype(np.float32, copy=False)).features for batch in batches])
