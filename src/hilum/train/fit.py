"""The training loop. Its one entrance is `fit`; how a network is fitted is nobody else's business.

A pretrained network first gets a head on frozen features that are computed once, then its backbone is trained too, with
early stopping on the validation films.

Validation films decide the head's penalty and whether fine-tuning is kept. Losses are compared each at its own best
temperature, as calibration follows anyway, and fine-tuning must beat the head by two standard errors of the
films' differences: forty films call noise a gain more often than not.

Where films are drawn by source, drawing made some findings of some sources likelier than they are. At the end the last
layer's constants are moved halfway to what suits the validation films: films of other hospitals are not drawn as these
were, and are answered better halfway (docs/log.md).

Where the weights are averaged, the average (batch-norm statistics included) stands in for them whenever films are
validated, and is what is kept; training continues from the weights themselves.

After every epoch all that decides the rest of the run is in one checkpoint file, replaced in one step; a run that is
killed continues from it and ends with the same weights as one that was not.

Source: Polyak, Juditsky 1992, Acceleration of stochastic approximation by averaging.
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

from hilum.train.batches import Films, epoch_batches, source_chances
from hilum.train.config import FitSettings, RunConfig
from hilum.train.head import finding_weights, fit_head, prior_shift, tempered_losses
from hilum.train.networks import Network, freeze_below
from hilum.train.policies import mixed_batches

__all__ = ["Progress", "TrainingFilms", "compute_logits", "fit", "partial_cross_entropy"]

# (stage, epoch, epochs, fraction of the epoch done, the epoch's history row when it is over)
Progress = Callable[[str, int, int, float, "dict[str, Any] | None"], None]

_NOISE = 2.0  # standard errors by which fine-tuning must beat the first stage
_SHIFT_SHARE = 0.5  # of the shift that suits validation films; all of it costs films of other hospitals
_PREDICT_BATCH = 64
_MORE_THAN_ONE = 1.5
_NEVER = -1e9  # a logit whose probability is 0


@dataclass(frozen=True, eq=False)
class TrainingFilms:
    """The films that one network is fitted on.

    Attributes:
        train: The films to learn from.
        validation: The films for early stopping; never augmented.
    """

    train: Films
    validation: Films


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
    films: TrainingFilms,
    config: RunConfig,
    *,
    seed: int,
    checkpoint: Path,
    progress: Progress = lambda *_: None,
) -> list[dict[str, Any]]:
    """Fit the network and leave the weights of the best validation epoch in it.

    Args:
        network: The network; changed in place.
        films: The films to learn from and to validate on.
        config: How to fit, and how the films to learn from are augmented.
        seed: Decides order, augmentation and dropout.
        checkpoint: The checkpoint file. Where it exists, the fitting continues from it.
        progress: Is called after every step and epoch.

    Returns:
        One row for the weights before the first epoch (epoch 0) and one an epoch: stage, epoch, loss, validation_loss,
        validation_accuracy, learning_rate, and whether its weights are those that were kept. The stage is ``head``
        (the fitted head of a pretrained network, with its ``penalty``), ``start`` (random weights) or ``backbone``.
    """
    keras.utils.set_random_seed(seed)
    return _Fitting(network, films, config, seed=seed, checkpoint=checkpoint, progress=progress).run()


def compute_logits(model: keras.Model, films: Films) -> np.ndarray:
    """Return the logits (N, K) of films that are not augmented."""
    parts = [
        np.asarray(model.predict_on_batch(films.batch(slice(start, start + _PREDICT_BATCH))))
        for start in range(0, len(films), _PREDICT_BATCH)
    ]
    return np.concatenate(parts)  # (N, K)


def partial_cross_entropy(label_smoothing: float) -> Callable[[Any, Any], Any]:
    """Return the loss of logits (n, K) against what is known of each film (n, K).

    Ones stand for the findings of which the film shows one; the loss is the negative logarithm of the sum of their
    probabilities: of one finding, the usual cross-entropy. Shares that sum to one are met by the cross-entropy.

    Args:
        label_smoothing: The share of the label that is spread over all findings.
    """

    def loss(targets: Any, logits: Any) -> Any:
        whole = keras.ops.logsumexp(logits, axis=-1)
        any_of = keras.ops.logsumexp(keras.ops.where(targets > 0, logits, _NEVER), axis=-1)
        expected = keras.ops.sum(targets * logits, axis=-1)
        shown = keras.ops.where(keras.ops.sum(targets, axis=-1) > _MORE_THAN_ONE, any_of, expected)
        smooth = keras.ops.mean(logits, axis=-1)
        return whole - (1 - label_smoothing) * shown - label_smoothing * smooth

    return loss


class _Fitting:
    def __init__(
        self,
        network: Network,
        films: TrainingFilms,
        config: RunConfig,
        *,
        seed: int,
        checkpoint: Path,
        progress: Progress,
    ) -> None:
        self.network, self.train, self.validation = network, films.train, films.validation
        self.settings, self.augmentation, self.seed = config.fit, config.augmentation, seed
        self.checkpoint, self.progress = checkpoint, progress
        self.num_findings = network.head.output_shape[-1]
        self.weights = finding_weights(self.train.labels, self.num_findings, self.settings.class_weights)
        self.state = _State()
        self.best: list[np.ndarray] = []
        self.average: list[np.ndarray] = []  # of the weights over the steps; empty where none is kept
        self.targets = self.train.targets(self.num_findings)
        by_source = self.settings.sampling == "sources"
        self.chances = source_chances(self.train, self.num_findings) if by_source else None
        self.loss = partial_cross_entropy(self.settings.label_smoothing)

    def run(self) -> list[dict[str, Any]]:
        self._prepare_backbone()
        if self.checkpoint.exists():
            self._restore()
        if self.state.stage == "head":
            found = {"penalty": self._fit_head()} if self.network.pretrained else {}
            self._validate("head" if self.network.pretrained else "start", **found)
            self.state.stage = "backbone"
            self._save()
        while not self.state.stopped and self.state.epoch < self.settings.epochs:
            self._fit_epoch()
            self.state.stopped = self.state.waited >= self.settings.patience
            self._save()
        self.network.model.set_weights(self.best)
        if self.chances is not None:
            self._correct_priors()
        return self.state.history

    def _correct_priors(self) -> None:
        """Undo in the last layer half of what drawing films by finding and source did to it."""
        labels, last = self.validation.labels, self.network.head.get_layer("logits")
        kernel, intercepts = last.get_weights()
        logits = compute_logits(self.network.model, self.validation)
        shift = prior_shift(logits, labels, self.weights[labels])
        last.set_weights([kernel, intercepts + _SHIFT_SHARE * shift])
        kept = next(row for row in self.state.history if row["kept"])
        answers = compute_logits(self.network.model, self.validation).argmax(axis=1)
        kept["validation_accuracy"] = float((answers == labels).mean())  # as it is served

    def _prepare_backbone(self) -> None:
        if self.network.pretrained:
            freeze_below(self.network.backbone, self.settings.trainable_fraction)
        self.optimizer = _optimizer(self.settings)
        self.network.model.compile(optimizer=self.optimizer, loss=self.loss, weighted_metrics=[])
        self.optimizer.build(self.network.model.trainable_variables)

    def _fit_head(self) -> float:
        """Fit the last layer by logistic regression on pooled features that are computed once; return its penalty.

        Of a few penalties the one with the smallest validation loss is taken. Where the augmentation flips films, every
        film is learned from as it is and as its mirror image.
        """
        stated = np.flatnonzero(self.train.labels >= 0)
        films = self.train if len(stated) == len(self.train) else self.train.subset(stated)
        x, y = self._features(films), films.labels  # (N, D), (N,)
        chances = self.chances if self.chances is not None else self._weights_of(self.targets)
        film_weights = chances[stated] / chances[stated].mean()
        if self.augmentation.flip_probability > 0:
            mirrored = Films(films.pixels[:, :, ::-1], films.labels)
            x, y = np.concatenate([x, self._features(mirrored)]), np.tile(y, 2)  # (2N, D), (2N,)
            film_weights = np.tile(film_weights, 2) / 2
        held = self._features(self.validation)
        head = fit_head(x, y, film_weights, held, lambda logits: self._mean_loss(self._losses(logits)))
        self.network.head.get_layer("logits").set_weights([head.kernel, head.intercepts])
        return head.penalty

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
        return tempered_losses(logits, self.validation.labels)

    def _mean_loss(self, losses: np.ndarray) -> float:
        return float(np.average(losses, weights=self.weights[self.validation.labels]))

    def _is_better(self, losses: np.ndarray) -> bool:
        """Return whether these weights are to be kept: better than the best, and than the head by more than noise."""
        if self.settings.keep == "last":
            return True
        if self._mean_loss(losses) >= self.state.best_loss:
            return False
        if not self.network.pretrained or self.settings.keep == "best":  # without, the first stage is random weights
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
        known = ((films, self._known(shown, hidden)) for films, shown, hidden in batches)
        for films, targets in mixed_batches(known, self.augmentation, seed=self.seed, epoch=epoch):
            done = seen / len(self.train)
            rate = _learning_rate(settings, epoch + done)
            self.optimizer.learning_rate.assign(rate)
            self.network.model.reset_metrics()
            loss = self.network.model.train_on_batch(films, targets, sample_weight=self._weights_of(targets))
            self._average_weights()
            losses, seen = losses + float(np.asarray(loss).ravel()[0]) * len(films), seen + len(films)
            self.progress("backbone", epoch, settings.epochs, seen / len(self.train), None)
        self.state.epoch += 1
        current = self.network.model.get_weights() if self.average else []
        if current:
            self.network.model.set_weights(self.average)
        self._validate("backbone", loss=losses / max(seen, 1), learning_rate=rate)
        if current:
            self.network.model.set_weights(current)

    def _known(self, shown: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Return what is known of films (n, K): which findings each may show; equal shares where lungs are hidden."""
        targets = self.targets[shown].astype(np.float32)
        targets[hidden] = 1 / self.num_findings
        return targets

    def _weights_of(self, targets: np.ndarray) -> np.ndarray:
        """Return how much each film of a batch weighs (n,); films that are drawn by source weigh the same."""
        if self.chances is not None:
            return np.ones(len(targets), np.float32)
        return (targets / targets.sum(axis=1, keepdims=True)) @ self.weights

    def _average_weights(self) -> None:
        """Take one step's weights into their average; the first steps count more, or random weights would linger."""
        if not self.settings.ema_momentum:
            return
        weights, step = self.network.model.get_weights(), int(self.optimizer.iterations)
        momentum = np.float32(min(self.settings.ema_momentum, step / (9 + step)))
        if not self.average:
            self.average = weights
        self.average = [momentum * old + (1 - momentum) * new for old, new in zip(self.average, weights, strict=True)]

    def _validate(self, stage: str, *, loss: float = math.nan, learning_rate: float = math.nan, **facts: float) -> None:
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
            "kept": False,
            **facts,
        }
        self.state.history.append(row)
        if stage != "backbone":
            self.state.head_losses = losses.tolist()
            if self.network.pretrained:  # else these are random weights, which any epoch beats
                self.state.lowest_loss = validation_loss
        if not self.best or self._is_better(losses):
            self.state.best_loss = validation_loss
            self.best = self.network.model.get_weights()
            for one in self.state.history:
                one["kept"] = one is row
        if stage == "backbone":
            self.state.waited = 0 if validation_loss < self.state.lowest_loss else self.state.waited + 1
            self.state.lowest_loss = min(self.state.lowest_loss, validation_loss)
        self.progress(stage, self.state.epoch, self.settings.epochs, 1.0, row)

    def _save(self) -> None:
        arrays = {f"model-{i}": np.asarray(v) for i, v in enumerate(self.network.model.variables)}
        arrays |= {f"optimizer-{i}": np.asarray(v) for i, v in enumerate(self.optimizer.variables)}
        arrays |= {f"best-{i}": value for i, value in enumerate(self.best)}
        arrays |= {f"average-{i}": value for i, value in enumerate(self.average)}
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
            numbers = range(len(self.network.model.weights))
            self.best = [saved[f"best-{i}"] for i in numbers]
            self.average = [saved[f"average-{i}"] for i in numbers if f"average-{i}" in saved]


def _learning_rate(settings: FitSettings, epochs_done: float) -> float:
    """Return the rate: a linear warm-up over the first epoch, then by the schedule down to 1 % of the highest."""
    if epochs_done < 1:
        return settings.learning_rate * max(epochs_done, 0.1)
    along = min((epochs_done - 1) / max(settings.epochs - 1, 1), 1.0)
    left = {"cosine": 0.5 * (1 + math.cos(math.pi * along)), "linear": 1 - along, "constant": 1.0}[settings.schedule]
    return settings.learning_rate * (0.01 + 0.99 * left)


def _optimizer(settings: FitSettings) -> keras.optimizers.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay or None
    return {
        "adam": lambda: keras.optimizers.Adam(rate, weight_decay=decay),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay),
        "lion": lambda: keras.optimizers.Lion(rate, weight_decay=decay),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, weight_decay=decay),
    }[settings.optimiser]()
