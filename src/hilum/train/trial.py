"""Settings judged by grouped cross-validation, without sealing anything: what studies and searches compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from hilum.data.split import assign_folds
from hilum.files import replace_array, replace_file
from hilum.judge.calibration import fit_temperature
from hilum.judge.history import EpochRow, kept_random
from hilum.train.batches import Films
from hilum.train.config import RunConfig
from hilum.train.device import precision_of
from hilum.train.features import HeadFeatures
from hilum.train.fit import NO_EXTENSIONS, Extensions, Progress, TrainingFilms, fit
from hilum.train.networks import Network, build_network, compute_logits
from hilum.train.prepared import PreparedFilms, draw_validation

__all__ = ["Crossed", "FoldedFilms", "cross_fit", "draw_folds", "fit_network"]


@dataclass(frozen=True, eq=False)
class Crossed:
    """Answers on films that the answering network did not learn from.

    Attributes:
        positions: (m,) int, the films.
        truth: (m,) int, their findings.
        logits: (m, K), divided by the temperature of each fold's validation films, so that folds can be put together.
        groups: (m,) int, for intervals.
    """

    positions: np.ndarray
    truth: np.ndarray
    logits: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True, eq=False)
class FoldedFilms:
    """The films of a data set with their folds.

    Attributes:
        prepared: n films, read with the preprocessing that is fitted with.
        folds: (n,) int from draw_folds; a film of fold -1 is neither learned from nor answered.
        features: (V, n, D) from pooled_features, what the backbone gives before it is trained, in the views that the
            head is fitted on; None where it is to be computed.
    """

    prepared: PreparedFilms
    folds: np.ndarray
    features: np.ndarray | None = None

    def training(self, learning: np.ndarray, validating: np.ndarray) -> TrainingFilms:
        """Return the films of one network, with their features.

        Args:
            learning: (n,) bool, the films to learn from.
            validating: (n,) bool, the films to validate on.
        """
        train, validation = self.prepared.training(learning), self.prepared.films.subset(np.flatnonzero(validating))
        if self.features is None:
            return TrainingFilms(train, validation)
        return TrainingFilms(train, validation, HeadFeatures(self.features[:, learning], self.features[0, validating]))


def fit_network(
    films: TrainingFilms,
    config: RunConfig,
    *,
    num_findings: int,
    checkpoint: Path,
    progress: Progress = lambda *_: None,
    extensions: Extensions = NO_EXTENSIONS,
) -> tuple[Network, list[EpochRow]]:
    """Return a newly built and fitted network, and its history. It computes in float32, whatever it was fitted in.

    Args:
        films: The films to learn from and to validate on.
        config: The settings. Their seed decides first weights, order, augmentation and dropout.
        num_findings: K.
        checkpoint: The checkpoint file. Where it exists, the fitting continues from it.
        progress: Is called after every step and epoch.
        extensions: What a user adds in Python.
    """
    precision = precision_of(config, checkpoint.parent)
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    network = _new_network(config, num_findings, config.weights, precision, extensions)
    history = fit(network, films, config, checkpoint=checkpoint, progress=progress, extensions=extensions)
    if precision != "float32":
        network = _copied(network, _new_network(config, num_findings, "none", "float32", extensions))
    return network, history


def _new_network(config: RunConfig, num_findings: int, weights: str, precision: str, extensions: Extensions) -> Network:
    return build_network(
        extensions.backbone or config.backbone,
        num_findings=num_findings,
        size_px=config.preprocessing.size_px,
        weights=weights,
        dropout=config.fit.dropout,
        precision=precision,
    )


def _copied(fitted: Network, new: Network) -> Network:
    """Return the new network with the weights and the state of the fitted one."""
    new.model.set_weights(fitted.model.get_weights())
    for ours, theirs in zip(new.backbone.layers, fitted.backbone.layers, strict=True):
        ours.trainable = theirs.trainable
    new.model.compile(optimizer=fitted.model.optimizer)
    return replace(new, pretrained=fitted.pretrained)


def draw_folds(prepared: PreparedFilms, *, num_folds: int, seed: int) -> np.ndarray:
    """Return the fold of each film (n,): grouped, stratified; -1 for films of a given test part."""
    splits = [record.split or "train" for record in prepared.records]
    return assign_folds(prepared.scan.dataset, splits, prepared.scan.groups, num_folds=num_folds, seed=seed)


def cross_fit(
    films: FoldedFilms,
    config: RunConfig,
    *,
    work: Path,
    answer: Callable[[Network, Films], np.ndarray] = lambda network, films: compute_logits(network.model, films),
    after_fold: Callable[[int, Crossed], None] = lambda *_: None,
    progress: Progress = lambda *_: None,
) -> Crossed:
    """Return answers on every film of the folds, each from a network that saw nothing of its group.

    Args:
        films: The films and their folds.
        config: The settings; the films were read with their preprocessing.
        work: An existing folder for checkpoints; a finished fold leaves its answers there, and in kept-N.json whether
            its random weights were kept; it is not repeated.
        answer: How a network answers films, (n, K) logits.
        after_fold: Is called with the number of finished folds and the answers so far. It may raise an error, which
            ends the trial early.
        progress: Is called after every step and epoch.
    """
    prepared, folds = films.prepared, films.folds
    done: list[tuple[np.ndarray, np.ndarray]] = []  # the films of each finished fold, and the answers on them
    for fold in range(int(folds.max()) + 1):
        held = np.flatnonzero(folds == fold)
        kept = work / f"fold-{fold + 1}.npy"
        if not kept.exists():
            rest = np.flatnonzero((folds >= 0) & (folds != fold))
            seed = config.seed + fold + 1
            validating = draw_validation(prepared, rest, fraction=config.data.validation_fraction, seed=seed)
            training = films.training((folds >= 0) & (folds != fold) & ~validating, validating)
            checkpoint = work / f"fold-{fold + 1}.npz"
            network, history = fit_network(
                training,
                replace(config, seed=seed),
                num_findings=len(prepared.findings),
                checkpoint=checkpoint,
                progress=progress,
            )
            temperature = fit_temperature(answer(network, training.validation), training.validation.labels)
            replace_file(work / f"kept-{fold + 1}.json", json.dumps({"kept_random": kept_random(history)}))
            replace_array(kept, answer(network, prepared.films.subset(held)) / temperature)
            checkpoint.unlink(missing_ok=True)
        done.append((held, np.load(kept, allow_pickle=False)))
        so_far = _together(prepared, done)
        after_fold(fold + 1, so_far)
    return so_far


def _together(prepared: PreparedFilms, done: list[tuple[np.ndarray, np.ndarray]]) -> Crossed:
    positions = np.concatenate([held for held, _ in done])
    logits = np.concatenate([answers for _, answers in done])
    return Crossed(positions, prepared.films.labels[positions], logits, prepared.scan.groups[positions])
