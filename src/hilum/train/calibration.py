"""What a sealed model file learns after fitting: temperature, thresholds, conformal sets, what is usual."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hilum.judge.calibrate import (
    conformal_thresholds,
    cross_conformal_thresholds,
    fit_temperature,
    operating_thresholds,
    surer_thresholds,
)
from hilum.judge.evaluate import Verdicts
from hilum.judge.sparing import sparing_thresholds
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.engine import Engine
from hilum.run.familiar import BANK_FILMS, fit_familiarity
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.batches import Films
from hilum.train.seal import write_metadata

__all__ = ["calibrated", "gate_statistics", "set_cross_conformal"]

_BATCH = 64


def calibrated(metadata: Metadata, validation: Verdicts) -> Metadata:
    """Return the metadata with temperature, thresholds and conformal sets from validation films."""
    temperature = fit_temperature(validation.logits, validation.truth)
    probabilities = softmax(validation.logits, temperature)
    findings = metadata.findings
    limits = conformal_thresholds(probabilities, validation.truth, findings, metadata.coverage)
    return dataclasses.replace(
        metadata,
        temperature=temperature,
        operating_thresholds=operating_thresholds(probabilities, validation.truth, findings),
        conformal=sparing_thresholds(limits, probabilities, validation.truth, findings),
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
    features, _ = _outputs(engine, known)
    found = fit_familiarity(features, *_outputs(engine, validation), num_known=len(train))
    return found.to_dict() if found else {}


def set_cross_conformal(path: Path, crossed: Verdicts, fold_of: Mapping[str, int]) -> None:
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
