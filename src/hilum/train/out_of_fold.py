"""Out-of-fold logits of a frozen network's head: many films to calibrate on, for a few logistic regressions.

Where the kept network is a head on frozen features, its features need no training: five more heads, each fitted without
a fifth of the training and validation films, score every one of them as the served head scores new films. The heads
learn from about as many films as the served one (four fifths of both parts), with its penalty and its weights. A
fine-tuned network has no such films: it would have to be trained again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.data.split import grouped_folds
from hilum.run.engine import Engine
from hilum.train.batches import Films
from hilum.train.config import RunConfig
from hilum.train.head import finding_weights, fit_linear

__all__ = ["OutOfFold", "features_of", "out_of_fold"]

_BATCH = 32


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
    """Return the out-of-fold logits of the kept head; None where there are none to be had cheaply.

    Args:
        engine: Of the sealed network.
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
    batches = (pixels[start : start + _BATCH, np.newaxis] for start in range(0, len(pixels), _BATCH))
    return np.concatenate([engine.run(batch.astype(np.float32, copy=False)).features for batch in batches])
