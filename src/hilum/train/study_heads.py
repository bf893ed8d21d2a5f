"""Heads on frozen features, one for each fold of a study: films, folds and validation films are the same each time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.judge.calibration import fit_temperature
from hilum.run.answer import softmax
from hilum.train.head import LinearHead, finding_weights, fit_head, levelled_losses
from hilum.train.prepared import draw_validation
from hilum.train.study_fit import StudyFilms

__all__ = ["FrozenHeads", "fit_heads"]

_VALIDATION_FRACTION = 0.2


@dataclass(frozen=True, eq=False)
class _FoldHead:
    held: np.ndarray  # (m,) positions
    head: LinearHead
    temperature: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        return self.head.logits(features) / self.temperature


@dataclass(frozen=True, eq=False)
class FrozenHeads:
    """A head on frozen features for every fold."""

    folds: tuple[_FoldHead, ...]

    def held_out(self, features: np.ndarray) -> np.ndarray:
        """Return (n, K) logits, each from the head that saw nothing of the film.

        Args:
            features: (n, D) of all films of the data set; those in no fold get zeros.
        """
        logits = np.zeros((len(features), self.folds[0].head.kernel.shape[1]))
        for one in self.folds:
            logits[one.held] = one.logits(features[one.held])
        return logits

    def outside(self, features: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return (m, C) the mean probabilities of all heads on films of none of the folds, among some findings."""
        return np.mean([softmax(one.logits(features)[:, columns]) for one in self.folds], axis=0)


def fit_heads(films: StudyFilms, features: np.ndarray, *, more: np.ndarray | None = None) -> FrozenHeads:
    """Return a head for every fold; films, folds and validation films are the same for any features.

    Args:
        films: The study's films.
        features: (n, D) of all films of the data set.
        more: (n, D) other features of the same films to learn from as well, such as those of noisy copies.
    """
    labels, num_findings = films.prepared.films.labels, len(films.prepared.findings)
    heads = []
    for fold in range(int(films.folds.max()) + 1):
        rest = np.flatnonzero((films.folds >= 0) & (films.folds != fold))
        validating = draw_validation(films.prepared, rest, fraction=_VALIDATION_FRACTION, seed=fold + 1)
        train, validation = rest[~validating[rest]], np.flatnonzero(validating)
        weights = finding_weights(labels[train], num_findings, "balanced")
        x, y, copies = features[train], labels[train], 1
        if more is not None:
            x, y, copies = np.concatenate([x, more[train]]), np.tile(y, 2), 2

        def loss(logits: np.ndarray, y: np.ndarray = labels[validation], w: np.ndarray = weights) -> float:
            return float(np.average(levelled_losses(logits, y, w[y]), weights=w[y]))

        head = fit_head(x, y, weights[y] / copies, features[validation], loss)
        temperature = fit_temperature(head.logits(features[validation]), labels[validation])
        heads.append(_FoldHead(np.flatnonzero(films.folds == fold), head, temperature))
    return FrozenHeads(tuple(heads))
