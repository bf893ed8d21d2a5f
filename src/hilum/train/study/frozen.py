"""Heads on frozen features, cross-validated: what a study asks hundreds of times, without training anything deep.

The backbone is sealed once and its features come from the runtime's engine, as served films' do. A head is the logistic
regression of the first stage of training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from hilum.film.preprocess import Preprocessing
from hilum.judge.calibrate import fit_temperature
from hilum.run.answer import softmax
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.head import LinearHead, fit_head, tempered_losses
from hilum.train.networks import build_network
from hilum.train.out_of_fold import features_of
from hilum.train.prepared import PreparedFilms, draw_validation
from hilum.train.seal import seal
from hilum.train.study.common import SEED

__all__ = ["FrozenHeads", "features_of", "fit_heads", "frozen_engine"]

_VALIDATION_FRACTION = 0.2  # of a fold's training films: they decide penalty and temperature


@dataclass(frozen=True, eq=False)
class _FoldHead:
    held: np.ndarray  # (m,) positions
    head: LinearHead
    temperature: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        return self.head.logits(features) / self.temperature


@dataclass(frozen=True, eq=False)
class FrozenHeads:
    """A head for every fold."""

    heads: tuple[_FoldHead, ...]

    def held_out(self, features: np.ndarray) -> np.ndarray:
        """Return (n, K) logits, each film's from the head that saw nothing of its fold.

        Args:
            features: (n, D) of all films of the data set; those in no fold get zeros.
        """
        logits = np.zeros((len(features), self.heads[0].head.kernel.shape[1]))
        for one in self.heads:
            logits[one.held] = one.logits(features[one.held])
        return logits

    def outside(self, features: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return (n, C) the mean probabilities of all heads on films of none of the folds, among some findings."""
        return np.mean([softmax(one.logits(features)[:, columns]) for one in self.heads], axis=0)


def frozen_engine(
    backbone: str, findings: tuple[str, ...], preprocessing: Preprocessing, films: np.ndarray, path: Path
) -> Engine:
    """Return the engine of a pretrained backbone, sealed to a file that is kept for a resume.

    Args:
        backbone: Its name.
        findings: Of the data set; the head itself is of no use.
        preprocessing: The films'.
        films: (n, 1, S, S) float32, some real films on which engine and Keras are compared.
        path: The file.

    Raises:
        ConfigError: The backbone or its weights are not to be had.
        ModelFileError: Engine and Keras disagree.
    """
    if not path.exists():
        keras.backend.clear_session()
        size_px = preprocessing.size_px
        network = build_network(backbone, num_findings=len(findings), size_px=size_px, weights="imagenet", dropout=0.0)
        partial = path.with_name(f"partial-{path.name}")
        seal(network, films, Metadata(f"frozen-{backbone}", findings, preprocessing), partial)
        partial.replace(path)
    return Engine(read_model_file(path))


def fit_heads(
    prepared: PreparedFilms,
    folds: np.ndarray,
    features: np.ndarray,
    *,
    more: np.ndarray | None = None,
) -> FrozenHeads:
    """Return a head for every fold; films, folds and validation films are the same for any features.

    Args:
        prepared: The data set.
        folds: (n,) int, the fold of each film; -1 for films that have no part.
        features: (n, D) of all films.
        more: (n, D) other features of the same films to learn from as well, such as those of noisy copies.
    """
    labels = prepared.films.labels
    heads = []
    for fold in range(int(folds.max()) + 1):
        rest = np.flatnonzero((folds >= 0) & (folds != fold))
        validating = draw_validation(prepared, rest, fraction=_VALIDATION_FRACTION, seed=SEED + fold + 1)
        train, validation = rest[~validating[rest]], np.flatnonzero(validating)
        counts = np.bincount(labels[train], minlength=len(prepared.findings))
        weights = len(train) / (np.count_nonzero(counts) * np.maximum(counts, 1))  # a finding weighs like another
        x, y, copies = features[train], labels[train], 1
        if more is not None:
            x, y, copies = np.concatenate([x, more[train]]), np.tile(y, 2), 2
        head = fit_head(
            x,
            y,
            weights[y] / copies,
            features[validation],
            lambda logits, y=labels[validation], w=weights: float(  # type: ignore[misc]
                np.average(tempered_losses(logits, y), weights=w[y])
            ),
        )
        temperature = fit_temperature(head.logits(features[validation]), labels[validation])
        heads.append(_FoldHead(np.flatnonzero(folds == fold), head, temperature))
    return FrozenHeads(tuple(heads))
