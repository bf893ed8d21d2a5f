"""The training of a network. Its one entrance is `fit`; how a network is trained is nobody else's business.

A pretrained network is trained in two stages. First its head is fitted by logistic regression on frozen features,
which are computed once. Then the backbone trains too, by Keras's own ``model.fit``. Batch normalisation stays as it
is, so without dropout the second stage starts exactly where the first ended. It runs to the end of its schedule. The
stage with the lower validation loss is kept. Both are compared at the temperature and the constants that suit them
best: training moves the level of a network's logits more than their order. A network that starts from random weights
has the second stage only.

The head is not fitted again on the trained features. They fit the films they learned from too well: on films of the
same sources that gains little or nothing, and on others it loses (docs/log.md). Only where films are drawn by source
the last layer is settled for others at the end (last_layer.py).

After every epoch all that decides the rest of the training is in one checkpoint file, replaced in one step. A training
that is killed continues from it and ends with the same weights as one that was not. Keras's BackupAndRestore does not
do that: it keeps neither the random state of dropout nor the first stage's weights and the history.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hilum.judge.history import EpochRow
from hilum.train.batches import Films
from hilum.train.config import RunConfig
from hilum.train.features import HeadFeatures, pooled_features
from hilum.train.feed import Change, FilmBatches
from hilum.train.head import levelled_losses
from hilum.train.last_layer import fit_last_layer, settle_last_layer, stated_films
from hilum.train.networks import Network, compute_logits, freeze_below
from hilum.train.objective import ambiguous_cross_entropy, make_optimizer

__all__ = ["NO_EXTENSIONS", "Extensions", "Progress", "TrainingFilms", "fit"]

# (stage, epoch, epochs, fraction of the epoch done, the epoch's history row when it is over)
Progress = Callable[[str, int, int, float, EpochRow | None], None]


@dataclass(frozen=True, eq=False)
class TrainingFilms:
    """The films that one network is fitted on.

    Attributes:
        train: The films to learn from.
        validation: The films by which the stages are compared; never augmented.
        features: What the backbone gives for these films before it is trained, where that is known already.
    """

    train: Films
    validation: Films
    features: HeadFeatures | None = None


@dataclass(frozen=True, eq=False)
class Extensions:
    """What a user adds to the training in Python.

    Attributes:
        callbacks: Returns Keras callbacks for one training. At the end of an epoch they find ``val_loss`` and
            ``val_accuracy`` among the logs.
        change: Changes films (n, S, S, 1) float32 in [0, 1] by a random generator, in place of the settings'
            augmentation.
        backbone: Returns a new backbone (S, S, 1) -> feature maps, with its starting weights; None for a named one.
        log: Who is told of the run: ``tensorboard``, ``mlflow`` or nobody.
    """

    callbacks: Callable[[], Sequence[keras.callbacks.Callback]] = tuple
    change: Change | None = None
    backbone: Callable[[], keras.Model] | None = None
    log: str | None = None


NO_EXTENSIONS = Extensions()


def fit(
    network: Network,
    films: TrainingFilms,
    config: RunConfig,
    *,
    checkpoint: Path,
    progress: Progress = lambda *_: None,
    extensions: Extensions = NO_EXTENSIONS,
) -> list[EpochRow]:
    """Train the network and leave the weights of the best stage in it.

    Args:
        network: The network; changed in place.
        films: The films to learn from and to compare stages by.
        config: How to train, and how the films to learn from are augmented. Its seed decides order, augmentation and
            dropout.
        checkpoint: The checkpoint file. Where it exists, the training continues from it.
        progress: Is called after every step and epoch.
        extensions: What the user adds.

    Returns:
        One row for the weights before the first epoch (epoch 0) and one for each epoch.
    """
    keras.utils.set_random_seed(config.seed)
    return _Fitting(network, films, config, checkpoint, progress, extensions).run()


@dataclass(eq=False)
class _Fitting:
    network: Network
    films: TrainingFilms
    config: RunConfig
    checkpoint: Path
    progress: Progress
    extensions: Extensions
    epoch: int = 0
    history: list[EpochRow] = field(default_factory=list)
    first: list[np.ndarray] = field(default_factory=list)  # the weights before the first epoch

    def __post_init__(self) -> None:
        self.settings, self.model = self.config.fit, self.network.model
        self.num_epochs = self.settings.num_epochs(len(self.films.train))
        num_findings = self.network.head.output_shape[-1]
        self.batches = FilmBatches.of(
            self.films.train, self.config, num_findings, seed=self.config.seed, change=self.extensions.change
        )
        self.weights = self.batches.weights

    def run(self) -> list[EpochRow]:
        self._compile()
        if self.checkpoint.exists():
            self._restore()
        if not self.history:
            if self.network.pretrained:
                self.add_row("head", penalty=self._fit_head())
            else:
                self.add_row("start")
            self.first = self.model.get_weights()
            self.save()
        self._train()
        self._keep_best()
        if self.weights.chances is not None:
            self._settle_for_other_sources()
        return self.history

    def add_row(
        self, stage: str, *, loss: float = math.nan, learning_rate: float = math.nan, penalty: float | None = None
    ) -> EpochRow:
        """Validate the weights as they are, and add a row to the history."""
        logits, labels = compute_logits(self.model, self.films.validation), self.films.validation.labels
        row: EpochRow = {
            "stage": stage,
            "epoch": self.epoch,
            "loss": loss,
            "validation_loss": self._loss(logits),
            "validation_accuracy": float((logits.argmax(axis=1) == labels).mean()),
            "learning_rate": learning_rate,
            "kept": False,
        }
        if penalty is not None:
            row["penalty"] = penalty
        self.history.append(row)
        self.progress(stage, self.epoch, self.num_epochs, 1.0, row)
        return row

    def save(self) -> None:
        """Replace the checkpoint."""
        arrays = {f"model-{i}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        arrays |= {f"optimizer-{i}": np.asarray(v) for i, v in enumerate(self.model.optimizer.variables)}
        arrays |= {f"first-{i}": value for i, value in enumerate(self.first)}
        state = np.frombuffer(json.dumps({"epoch": self.epoch, "history": self.history}).encode(), np.uint8)
        partial = self.checkpoint.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, state=state, **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.checkpoint)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the average of the weights in their place, where one is kept."""
        swap = keras.callbacks.SwapEMAWeights()
        swap.set_model(self.model)
        if self.settings.ema_momentum:
            swap.on_test_begin()
        yield
        if self.settings.ema_momentum:
            swap.on_test_end()

    def _compile(self) -> None:
        if self.network.pretrained:
            freeze_below(self.network.backbone, self.settings.trainable_fraction)
        optimizer = make_optimizer(self.settings, num_steps=max(self.num_epochs * len(self.batches), 1))
        self.model.compile(optimizer, ambiguous_cross_entropy(self.settings.label_smoothing), weighted_metrics=[])
        optimizer.build(self.model.trainable_variables)

    def _restore(self) -> None:
        with np.load(io.BytesIO(self.checkpoint.read_bytes()), allow_pickle=False) as saved:
            state = json.loads(saved["state"].tobytes())
            self.epoch, self.history = state["epoch"], state["history"]
            for i, variable in enumerate(self.model.variables):
                variable.assign(saved[f"model-{i}"])
            for i, variable in enumerate(self.model.optimizer.variables):
                variable.assign(saved[f"optimizer-{i}"])
            self.first = [saved[f"first-{i}"] for i in range(len(self.model.weights))]
        for row in self.history:
            self.progress(row["stage"], row["epoch"], self.num_epochs, 1.0, row)

    def _fit_head(self) -> float:
        """Fit the last layer by logistic regression on pooled features that are computed once; return its penalty.

        Where the augmentation flips films, every film is learned from as it is and as its mirror image.
        """
        train, weights = stated_films(self.films.train, self.weights)
        found = self.films.features
        if found is None:
            is_mirrored = self.config.augmentation.flip_probability > 0
            pooled = partial(pooled_features, self.network, step=lambda: self.progress("head", 0, 1, 0.0, None))
            found = HeadFeatures(pooled(train.pixels, mirrored=is_mirrored), pooled(self.films.validation.pixels)[0])
        return fit_last_layer(self.network, found, train.labels, weights, self._loss)

    def _loss(self, logits: np.ndarray) -> float:
        """Return the validation films' mean cross-entropy, at the temperature and constants that suit best.

        It is infinite for a network that has diverged.
        """
        if not np.isfinite(logits).all():
            return math.inf
        labels = self.films.validation.labels
        weights = self.weights.by_finding[labels]
        return float(np.average(levelled_losses(logits, labels, weights), weights=weights))

    def _train(self) -> None:
        """Train the backbone to the end of its schedule, or until a callback stops it; leave its weights."""
        if self.epoch < self.num_epochs:
            self.batches.start_at(self.epoch)
            self.model.fit(
                self.batches,
                epochs=self.num_epochs,
                initial_epoch=self.epoch,
                callbacks=[_Epochs(self), *self.extensions.callbacks()],
                shuffle=False,
                verbose=0,
            )
        if self.epoch:
            with self.averaged():
                weights = self.model.get_weights()
            self.model.set_weights(weights)

    def _keep_best(self) -> None:
        """Leave the weights with the lowest validation loss: those before training, those after it, or their mean."""
        found = [(self.history[0], self.first), (self.history[-1], self.model.get_weights())]
        if self.settings.keep == "last":
            found = found[1:]
        elif self.network.pretrained and self.epoch:
            mean = [(one + other) / 2 for one, other in zip(self.first, found[1][1], strict=True)]
            self.model.set_weights(mean)
            found.append((self.add_row("mean"), mean))
        kept, weights = min(found, key=lambda one: one[0]["validation_loss"])
        kept["kept"] = True
        self.model.set_weights(weights)

    def _settle_for_other_sources(self) -> None:
        train, weights = stated_films(self.films.train, self.weights)
        validation = self.films.validation
        settle_last_layer(self.network, train, weights, validation)
        kept = next(row for row in self.history if row["kept"])
        answers = compute_logits(self.model, validation).argmax(axis=1)
        kept["validation_accuracy"] = float((answers == validation.labels).mean())  # as it is served


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Says how far the training is; after each epoch it validates and replaces the checkpoint."""

    def __init__(self, fitting: _Fitting) -> None:
        super().__init__()
        self.fitting = fitting

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        fitting = self.fitting
        done = (batch + 1) / len(fitting.batches)
        fitting.progress("backbone", fitting.epoch, fitting.num_epochs, done, None)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        fitting, logs = self.fitting, {} if logs is None else logs
        fitting.epoch = epoch + 1
        rate = float(np.asarray(fitting.model.optimizer.learning_rate))
        with fitting.averaged():
            row = fitting.add_row("backbone", loss=float(logs.get("loss", math.nan)), learning_rate=rate)
        logs |= {"val_loss": row["validation_loss"], "val_accuracy": row["validation_accuracy"]}
        fitting.save()
