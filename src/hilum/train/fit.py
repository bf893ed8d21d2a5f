"""Fitting a network: a head on frozen cached features, then the backbone too, with early stopping on validation.

Validation films decide the head's penalty and whether fine-tuning is kept. Losses are compared each at its own best
temperature, as calibration follows anyway, and fine-tuning must beat the head by two standard errors of the
films' differences: forty films call noise a gain more often than not.

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
from sklearn.linear_model import LogisticRegression

from hilum.judge.calibrate import fit_temperature
from hilum.train.augment import Augmentation
from hilum.train.batches import Films, epoch_batches, source_chances
from hilum.train.config import FitSettings
from hilum.train.networks import Network, freeze_below

__all__ = ["Progress", "compute_logits", "fit", "partial_cross_entropy"]

# (stage, epoch, epochs, fraction of the epoch done, the epoch's history row when it is over)
Progress = Callable[[str, int, int, float, "dict[str, Any] | None"], None]

_HEAD_PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_HEAD_ITERATIONS = 3000
_LEAST_DEVIATION = 1e-6
_NOISE = 2.0  # standard errors by which fine-tuning must beat the first stage
_PREDICT_BATCH = 64
_NEVER = -1e9  # a logit whose probability is 0


@dataclass
class _State:
    """What a resume needs, apart from the weights."""

    stage: str = "head"
    epoch: int = 0
    best_loss: float = math.inf  # of the weights that are kept
    lowest_loss: float = math.inf  # of any epoch; patience counts from it
    waited: int = 0
    head_losses: list[float] = field(default_factory=list)  # of each validation film, after the first stage
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
        One row an epoch: stage, epoch, loss, validation_loss, validation_accuracy, learning_rate.
    """
    keras.utils.set_random_seed(seed)
    weights = _finding_weights(train.labels, network.head.output_shape[-1], settings.class_weights)
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


def partial_cross_entropy(label_smoothing: float) -> Callable[[Any, Any], Any]:
    """Return the loss of logits (n, K) against the findings (n, K) one of which each film shows.

    It is the negative logarithm of the sum of their probabilities: of one finding, the usual cross-entropy.

    Args:
        label_smoothing: The share of the label that is spread over all findings.
    """

    def loss(targets: Any, logits: Any) -> Any:
        whole = keras.ops.logsumexp(logits, axis=-1)
        shown = keras.ops.logsumexp(keras.ops.where(targets > 0, logits, _NEVER), axis=-1)
        smooth = keras.ops.mean(logits, axis=-1)
        return whole - (1 - label_smoothing) * shown - label_smoothing * smooth

    return loss


def _finding_weights(labels: np.ndarray, num_findings: int, class_weights: str) -> np.ndarray:
    """Return each finding's weight (K,): the mean weight of a film whose finding is stated is 1."""
    labels = labels[labels >= 0]
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
        self.targets = train.targets(self.num_findings)
        self.chances = source_chances(train, self.num_findings) if settings.sampling == "sources" else None
        shares = self.targets / self.targets.sum(axis=1, keepdims=True)
        self.film_weights = np.ones(len(train), np.float32) if self.chances is not None else shares @ weights  # (N,)
        self.loss = partial_cross_entropy(settings.label_smoothing)

    def run(self) -> list[dict[str, Any]]:
        self._prepare_backbone()
        if self.checkpoint.exists():
            self._restore()
        if self.state.stage == "head":
            if self.network.pretrained:
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
        """Fit the last layer by logistic regression on pooled features that are computed once.

        The features are standardised for the fit; their means and deviations are then folded into the layer. Of a few
        penalties the one with the smallest validation loss is taken. Where the augmentation flips films, every film is
        learned from as it is and as its mirror image.
        """
        stated = np.flatnonzero(self.train.labels >= 0)
        films = self.train if len(stated) == len(self.train) else self.train.subset(stated)
        x, y = self._features(films), films.labels  # (N, D), (N,)
        film_weights = self.film_weights[stated]
        if self.chances is not None:
            film_weights = self.chances[stated] / self.chances[stated].mean()
        if self.augmentation.flip_probability > 0:
            mirrored = Films(films.pixels[:, :, ::-1], films.labels)
            x, y = np.concatenate([x, self._features(mirrored)]), np.tile(y, 2)  # (2N, D), (2N,)
            film_weights = np.tile(film_weights, 2) / 2
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        deviation[deviation < _LEAST_DEVIATION] = np.inf  # a feature that never changes says nothing
        x, held = (x - mean) / deviation, (self._features(self.validation) - mean) / deviation
        found: list[tuple[float, np.ndarray, np.ndarray]] = []
        for penalty in _HEAD_PENALTIES:
            regression = LogisticRegression(C=1 / penalty, max_iter=_HEAD_ITERATIONS)
            regression.fit(x, y, sample_weight=film_weights)
            weights, intercepts = regression.coef_, regression.intercept_
            if len(regression.classes_) == 2:  # one row for two findings: half of it for, half of it against
                weights, intercepts = (
                    np.concatenate([-weights, weights]) / 2,
                    np.concatenate([-intercepts, intercepts]) / 2,
                )
            found.append((self._mean_loss(self._losses(held @ weights.T + intercepts)), weights, intercepts))
        _, weights, intercepts = min(found, key=lambda fit: fit[0])
        kernel = (weights / deviation).T.astype(np.float32)  # (D, K)
        self.network.head.get_layer("logits").set_weights([kernel, (intercepts - mean @ kernel).astype(np.float32)])

    def _features(self, films: Films) -> np.ndarray:
        """Return the pooled features (N, D) of films that are not augmented."""
        pool = self.network.head.get_layer("features")
        parts = []
        for start in range(0, len(films), _PREDICT_BATCH):
            batch = films.batch(slice(start, start + _PREDICT_BATCH))
            parts.append(np.asarray(pool(self.network.backbone.predict_on_batch(batch))))
            self.progress("head", 0, 1, 0.0, None)
        return np.concatenate(parts)

    def _losses(self, logits: np.ndarray) -> np.ndarray:
        """Return each validation film's cross-entropy (n,), at the temperature that suits these logits (n, K) best."""
        labels = self.validation.labels
        scaled = logits / fit_temperature(logits, labels)
        shifted = scaled - scaled.max(axis=1, keepdims=True)
        return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]

    def _mean_loss(self, losses: np.ndarray) -> float:
        return float(np.average(losses, weights=self.weights[self.validation.labels]))

    def _is_better(self, losses: np.ndarray) -> bool:
        """Return whether these weights are to be kept: better than the best, and than the head by more than noise."""
        if self._mean_loss(losses) >= self.state.best_loss:
            return False
        if not self.network.pretrained:  # the first stage is random weights
            return True
        weights = self.weights[self.validation.labels]
        gains = (np.asarray(self.state.head_losses) - losses) * weights / weights.mean()
        return float(gains.mean()) > _NOISE * float(gains.std(ddof=1)) / math.sqrt(len(gains))

    def _fit_epoch(self) -> None:
        settings, epoch = self.settings, self.state.epoch
        losses, seen = 0.0, 0
        batches = epoch_batches(
            self.train,
            self.augmentation,
            batch_size=settings.batch_size,
            seed=self.seed,
            epoch=epoch,
            chances=self.chances,
        )
        for films, shown in batches:
            done = seen / len(self.train)
            rate = _learning_rate(settings, epoch + done)
            self.optimizer.learning_rate.assign(rate)
            targets = self.targets[shown].astype(np.float32)
            self.network.model.reset_metrics()
            loss = self.network.model.train_on_batch(films, targets, sample_weight=self.film_weights[shown])
            losses, seen = losses + float(np.asarray(loss).ravel()[0]) * len(shown), seen + len(shown)
            self.progress("backbone", epoch, settings.epochs, seen / len(self.train), None)
        self.state.epoch += 1
        self._validate("backbone", loss=losses / max(seen, 1), learning_rate=rate)

    def _validate(self, stage: str, *, loss: float = math.nan, learning_rate: float = math.nan) -> None:
        logits = compute_logits(self.network.model, self.validation)
        labels, losses = self.validation.labels, self._losses(logits)
        validation_loss = self._mean_loss(losses)
        row = {
            "stage": stage,
            "epoch": self.state.epoch,
            "loss": loss,
            "validation_loss": validation_loss,
            "validation_accuracy": float((logits.argmax(axis=1) == labels).mean()),
            "learning_rate": learning_rate,
        }
        self.state.history.append(row)
        if stage == "head":
            self.state.head_losses = losses.tolist()
            if self.network.pretrained:  # else these are random weights, which any epoch beats
                self.state.lowest_loss = validation_loss
        if not self.best or self._is_better(losses):
            self.state.best_loss = validation_loss
            self.best = self.network.model.get_weights()
        if stage == "backbone":
            self.state.waited = 0 if validation_loss < self.state.lowest_loss else self.state.waited + 1
            self.state.lowest_loss = min(self.state.lowest_loss, validation_loss)
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
