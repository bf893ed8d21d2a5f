"""Fitting a network: a head on frozen cached features, then the backbone too, with early stopping on validation.

After every epoch all that decides the rest of the run is in one checkpoint file, replaced in one step; a run that is
killed goes on from it and ends with the same weights as one that was not.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hilum.train.augment import Augmentation, augment
from hilum.train.batches import Films, epoch_batches
from hilum.train.config import FitSettings
from hilum.train.networks import Network, freeze_below

__all__ = ["Progress", "compute_logits", "fit"]

# (stage, epoch, epochs, fraction of the epoch done, the epoch's history row when it is over)
Progress = Callable[[str, int, int, float, "dict[str, Any] | None"], None]

_HEAD_VIEWS = 3  # the film itself and two augmented copies
_HEAD_LEARNING_RATE = 3e-3
_PREDICT_BATCH = 64


@dataclass
class _State:
    """What a resume needs, apart from the weights."""

    stage: str = "head"
    epoch: int = 0
    best_loss: float = math.inf
    waited: int = 0
    stopped: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


def fit(
    network: Network,
    train: Films,
    validation: Films,
    settings: FitSettings,
    augmentation: Augmentation,
    *,
    seed: int,
    checkpoint: Path,
    progress: Progress = lambda *_: None,
) -> list[dict[str, Any]]:
    """Fit the network and leave the weights of the best validation epoch in it.

    Args:
        network: The network; changed in place.
        train: Films to learn from.
        validation: Films for early stopping; never augmented.
        settings: How to fit.
        augmentation: The policy for the training films.
        seed: Decides order, augmentation and dropout.
        checkpoint: The checkpoint file; where it exists, the fitting goes on from it.
        progress: Told after every step and epoch.

    Returns:
        One row an epoch: stage, epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate.
    """
    keras.utils.set_random_seed(seed)
    weights = _film_weights(train.labels, network.head.output_shape[-1], settings.class_weights)
    job = _Fitting(
        network=network,
        train=train,
        validation=validation,
        settings=settings,
        augmentation=augmentation,
        seed=seed,
        weights=weights,
        checkpoint=checkpoint,
        progress=progress,
    )
    return job.run()


def compute_logits(model: keras.Model, films: Films) -> np.ndarray:
    """Return the logits (N, K) of films that are not augmented."""
    parts = [
        np.asarray(model.predict_on_batch(films.batch(slice(start, start + _PREDICT_BATCH))))
        for start in range(0, len(films), _PREDICT_BATCH)
    ]
    return np.concatenate(parts)  # (N, K)


def _film_weights(labels: np.ndarray, num_findings: int, class_weights: str) -> np.ndarray:
    """Return each finding's weight (K,): a film's mean weight is 1."""
    counts = np.bincount(labels, minlength=num_findings)
    if class_weights == "none":
        return np.ones(num_findings, np.float32)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)


class _Fitting:
    def __init__(
        self,
        *,
        network: Network,
        train: Films,
        validation: Films,
        settings: FitSettings,
        augmentation: Augmentation,
        seed: int,
        weights: np.ndarray,
        checkpoint: Path,
        progress: Progress,
    ) -> None:
        self.network, self.train, self.validation = network, train, validation
        self.settings, self.augmentation, self.seed, self.weights = settings, augmentation, seed, weights
        self.checkpoint, self.progress = checkpoint, progress
        self.num_findings = network.head.output_shape[-1]
        self.state = _State()
        self.best: list[np.ndarray] = []
        self.loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)

    def run(self) -> list[dict[str, Any]]:
        self._prepare_backbone()
        if self.checkpoint.exists():
            self._restore()
        if self.state.stage == "head":
            if self.network.pretrained and self.settings.head_epochs:
                self._fit_head()
            self._validate("head")
            self.state.stage = "backbone"
            self._save()
        while not self.state.stopped and self.state.epoch < self.settings.epochs:
            self._fit_epoch()
            self.state.stopped = self.state.waited >= self.settings.patience
            self._save()
        self.network.model.set_weights(self.best)
        return self.state.history

    def _prepare_backbone(self) -> None:
        if self.network.pretrained:
            freeze_below(self.network.backbone, self.settings.trainable_fraction)
        self.optimizer = _optimizer(self.settings)
        self.network.model.compile(optimizer=self.optimizer, loss=self.loss, weighted_metrics=[])
        self.optimizer.build(self.network.model.trainable_variables)

    def _fit_head(self) -> None:
        """Fit the last layer on pooled features that are computed once for a few views of every film."""
        layers = self.network.head.layers[1:]  # pooling, dropout, logits
        pool, rest = layers[0], layers[1:]
        features, labels = [], []
        for view in range(_HEAD_VIEWS):
            features.append(self._view_features(view, pool))
            labels.append(self.train.labels)
            self.progress("head", view, _HEAD_VIEWS, 0.0, None)
        x, y = np.concatenate(features), np.concatenate(labels)  # (V * N, D), (V * N,)
        inputs = keras.Input(x.shape[1:])
        outputs = inputs
        for layer in rest:
            outputs = layer(outputs)
        head = keras.Model(inputs, outputs)
        head.compile(optimizer=keras.optimizers.AdamW(_HEAD_LEARNING_RATE, weight_decay=1e-2), loss=self.loss)
        one_hot = np.eye(self.num_findings, dtype=np.float32)[y]
        head.fit(
            x, one_hot, sample_weight=self.weights[y], batch_size=len(x), epochs=self.settings.head_epochs, verbose=0
        )

    def _view_features(self, view: int, pool: Any) -> np.ndarray:
        parts = []
        for start in range(0, len(self.train), _PREDICT_BATCH):
            batch = self.train.batch(slice(start, start + _PREDICT_BATCH))
            for offset, film in enumerate(batch if view else ()):
                rng = np.random.default_rng((self.seed, 1_000_000 + view, start + offset))
                film[..., 0] = augment(film[..., 0], self.augmentation, rng)
            parts.append(np.asarray(pool(self.network.backbone.predict_on_batch(batch))))
        return np.concatenate(parts)  # (N, D)

    def _fit_epoch(self) -> None:
        settings, epoch = self.settings, self.state.epoch
        losses, seen = 0.0, 0
        batches = epoch_batches(
            self.train, self.augmentation, batch_size=settings.batch_size, seed=self.seed, epoch=epoch
        )
        for films, labels in batches:
            done = seen / len(self.train)
            rate = _learning_rate(settings, epoch + done)
            self.optimizer.learning_rate.assign(rate)
            one_hot = np.eye(self.num_findings, dtype=np.float32)[labels]
            self.network.model.reset_metrics()
            loss = self.network.model.train_on_batch(films, one_hot, sample_weight=self.weights[labels])
            losses, seen = losses + float(np.asarray(loss).ravel()[0]) * len(labels), seen + len(labels)
            self.progress("backbone", epoch, settings.epochs, seen / len(self.train), None)
        self.state.epoch += 1
        self._validate("backbone", loss=losses / max(seen, 1), learning_rate=rate)

    def _validate(self, stage: str, *, loss: float = math.nan, learning_rate: float = math.nan) -> None:
        logits = compute_logits(self.network.model, self.validation)
        labels = self.validation.labels
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        weights = self.weights[labels]
        validation_loss = float(-(log_probabilities[np.arange(len(labels)), labels] * weights).sum() / weights.sum())
        row = {
            "stage": stage,
            "epoch": self.state.epoch,
            "loss": loss,
            "validation_loss": validation_loss,
            "validation_accuracy": float((logits.argmax(axis=1) == labels).mean()),
            "learning_rate": learning_rate,
        }
        self.state.history.append(row)
        if validation_loss < self.state.best_loss:
            self.state.best_loss, self.state.waited = validation_loss, 0
            self.best = self.network.model.get_weights()
        else:
            self.state.waited += 1
        self.progress(stage, self.state.epoch, self.settings.epochs, 1.0, row)

    def _save(self) -> None:
        arrays = {f"model-{i}": np.asarray(v) for i, v in enumerate(self.network.model.variables)}
        arrays |= {f"optimizer-{i}": np.asarray(v) for i, v in enumerate(self.optimizer.variables)}
        arrays |= {f"best-{i}": value for i, value in enumerate(self.best)}
        state = np.frombuffer(json.dumps(vars(self.state)).encode(), np.uint8)
        partial = self.checkpoint.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, state=state, **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.checkpoint)

    def _restore(self) -> None:
        with np.load(io.BytesIO(self.checkpoint.read_bytes()), allow_pickle=False) as saved:
            self.state = _State(**json.loads(saved["state"].tobytes()))
            for i, variable in enumerate(self.network.model.variables):
                variable.assign(saved[f"model-{i}"])
            for i, variable in enumerate(self.optimizer.variables):
                variable.assign(saved[f"optimizer-{i}"])
            self.best = [saved[f"best-{i}"] for i in range(len(self.network.model.weights))]


def _learning_rate(settings: FitSettings, epochs_done: float) -> float:
    """Return the rate: a linear warm-up over the first epoch, then a cosine down to 1 % of the highest."""
    if epochs_done < 1:
        return settings.learning_rate * max(epochs_done, 0.1)
    along = (epochs_done - 1) / max(settings.epochs - 1, 1)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(along, 1.0))))


def _optimizer(settings: FitSettings) -> keras.optimizers.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay or None
    return {
        "adam": lambda: keras.optimizers.Adam(rate, weight_decay=decay),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay),
        "lion": lambda: keras.optimizers.Lion(rate, weight_decay=decay),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, weight_decay=decay),
    }[settings.optimiser]()
