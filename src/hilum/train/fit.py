"""The training of a network. Its one entrance is `fit`; how a network is trained is nobody else's business.

A pretrained network is trained in two stages. First its head is fitted by logistic regression on frozen features,
which are computed once. Then the backbone trains too, by Keras's own ``model.fit``. Batch normalisation stays as it
is, so without dropout the second stage starts exactly where the first ended. It runs to the end of its schedule. The
stage with the lower validation loss is kept. Both are compared at the temperature and the constants that suit them
best: training moves the level of a network's logits more than their order. A network that starts from random weights
has the second stage only.

The head is not fitted again on the trained features. They fit the films they learned from too well: on films of the
same sources that gains little or nothing, and on others it loses (docs/log.md).

Where films are drawn by source, other hospitals are what the training is for. So at the end the last layer becomes the
mean of itself and of a strongly shrunk linear head on the trained features, which ranks films of hospitals left out
better. Drawing also made some findings of some sources likelier than they are: the layer's constants are moved halfway
to what suits the validation films (docs/log.md).

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
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hilum.judge.calibration import fit_temperature
from hilum.judge.history import EpochRow
from hilum.train.batches import Films
from hilum.train.config import FitSettings, RunConfig
from hilum.train.features import HeadFeatures, pooled_features
from hilum.train.feed import Change, FilmBatches
from hilum.train.head import LinearHead, fit_head, fit_linear, levelled_losses, prior_shift
from hilum.train.networks import Network, freeze_below

__all__ = [
    "NO_EXTENSIONS",
    "Extensions",
    "Progress",
    "TrainingFilms",
    "ambiguous_cross_entropy",
    "compute_logits",
    "fit",
]

# (stage, epoch, epochs, fraction of the epoch done, the epoch's history row when it is over)
Progress = Callable[[str, int, int, float, EpochRow | None], None]

_SHRUNK_PENALTY = 10_000.0  # of the head that the last layer is averaged with
_SHIFT_SHARE = 0.5  # of the shift that suits validation films; all of it costs films of other hospitals
_WARM_UP_SHARE = 0.1  # of the steps
_LOWEST_RATE = 0.01  # of the highest
_PREDICT_BATCH = 64
_MORE_THAN_ONE = 1.5
_NEVER = -1e9  # a logit whose probability is 0


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


@dataclass
class _State:
    """What a resume needs, apart from the weights."""

    epoch: int = 0
    history: list[EpochRow] = field(default_factory=list)


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


def compute_logits(model: keras.Model, films: Films) -> np.ndarray:
    """Return the logits (N, K) of films that are not augmented."""
    parts = [
        np.asarray(model.predict_on_batch(films.batch(slice(start, start + _PREDICT_BATCH))))
        for start in range(0, len(films), _PREDICT_BATCH)
    ]
    return np.concatenate(parts)  # (N, K)


def ambiguous_cross_entropy(label_smoothing: float) -> Callable[[Any, Any], Any]:
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


@dataclass(eq=False)
class _Fitting:
    network: Network
    films: TrainingFilms
    config: RunConfig
    checkpoint: Path
    progress: Progress
    extensions: Extensions
    state: _State = field(default_factory=_State)
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
        if not self.state.history:
            if self.network.pretrained:
                self.add_row("head", penalty=self._fit_head(self.films.features))
            else:
                self.add_row("start")
            self.first = self.model.get_weights()
            self.save()
        self._train()
        self._keep_best()
        if self.weights.chances is not None:
            self._settle_for_other_sources()
        return self.state.history

    def add_row(
        self, stage: str, *, loss: float = math.nan, learning_rate: float = math.nan, penalty: float | None = None
    ) -> EpochRow:
        """Validate the weights as they are, and add a row to the history."""
        logits, labels = compute_logits(self.model, self.films.validation), self.films.validation.labels
        row: EpochRow = {
            "stage": stage,
            "epoch": self.state.epoch,
            "loss": loss,
            "validation_loss": self._loss(logits),
            "validation_accuracy": float((logits.argmax(axis=1) == labels).mean()),
            "learning_rate": learning_rate,
            "kept": False,
        }
        if penalty is not None:
            row["penalty"] = penalty
        self.state.history.append(row)
        self.progress(stage, self.state.epoch, self.num_epochs, 1.0, row)
        return row

    def save(self) -> None:
        """Replace the checkpoint."""
        arrays = {f"model-{i}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        arrays |= {f"optimizer-{i}": np.asarray(v) for i, v in enumerate(self.model.optimizer.variables)}
        arrays |= {f"first-{i}": value for i, value in enumerate(self.first)}
        state = np.frombuffer(json.dumps(vars(self.state)).encode(), np.uint8)
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
        optimizer = _optimizer(self.settings, num_steps=max(self.num_epochs * len(self.batches), 1))
        self.model.compile(optimizer, ambiguous_cross_entropy(self.settings.label_smoothing), weighted_metrics=[])
        optimizer.build(self.model.trainable_variables)

    def _restore(self) -> None:
        with np.load(io.BytesIO(self.checkpoint.read_bytes()), allow_pickle=False) as saved:
            self.state = _State(**json.loads(saved["state"].tobytes()))
            for i, variable in enumerate(self.model.variables):
                variable.assign(saved[f"model-{i}"])
            for i, variable in enumerate(self.model.optimizer.variables):
                variable.assign(saved[f"optimizer-{i}"])
            self.first = [saved[f"first-{i}"] for i in range(len(self.model.weights))]
        for row in self.state.history:
            self.progress(row["stage"], row["epoch"], self.num_epochs, 1.0, row)

    def _fit_head(self, found: HeadFeatures | None = None) -> float:
        """Fit the last layer by logistic regression on pooled features that are computed once; return its penalty.

        Of a few penalties the one with the smallest validation loss is taken. Where the augmentation flips films, every
        film is learned from as it is and as its mirror image.
        """
        train, weights = self._stated()
        if found is None:
            found = HeadFeatures(self._features(train, is_train=True), self._features(self.films.validation)[0])
        views = found.train  # (V, N, D)
        x, y = views.reshape(-1, views.shape[-1]), np.tile(train.labels, len(views))  # (VN, D), (VN,)
        head = fit_head(x, y, np.tile(weights, len(views)) / len(views), found.validation, self._loss)
        self.network.head.get_layer("logits").set_weights([head.kernel, head.intercepts])
        return head.penalty

    def _features(self, films: Films, *, is_train: bool = False) -> np.ndarray:
        return pooled_features(
            self.network,
            films.pixels,
            mirrored=is_train and self.config.augmentation.flip_probability > 0,
            step=lambda: self.progress("head", 0, 1, 0.0, None),
        )

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
        if self.state.epoch < self.num_epochs:
            self.batches.start_at(self.state.epoch)
            self.model.fit(
                self.batches,
                epochs=self.num_epochs,
                initial_epoch=self.state.epoch,
                callbacks=[_Epochs(self), *self.extensions.callbacks()],
                shuffle=False,
                verbose=0,
            )
        if self.state.epoch:
            with self.averaged():
                weights = self.model.get_weights()
            self.model.set_weights(weights)

    def _keep_best(self) -> None:
        """Leave the weights with the lowest validation loss: those before training, those after it, or their mean."""
        found = [(self.state.history[0], self.first), (self.state.history[-1], self.model.get_weights())]
        if self.settings.keep == "last":
            found = found[1:]
        elif self.network.pretrained and self.state.epoch:
            mean = [(one + other) / 2 for one, other in zip(self.first, found[1][1], strict=True)]
            self.model.set_weights(mean)
            found.append((self.add_row("mean"), mean))
        kept, weights = min(found, key=lambda one: one[0]["validation_loss"])
        kept["kept"] = True
        self.model.set_weights(weights)

    def _settle_for_other_sources(self) -> None:
        """Average the last layer with a shrunk head; undo half of what drawing films by source did to its constants."""
        validation, last = self.films.validation, self.network.head.get_layer("logits")
        kernel, intercepts = last.get_weights()
        logits = compute_logits(self.model, validation)
        if self.network.pretrained:
            shrunk, others = self._shrunk_head()
            scale, scale_other = (0.5 / fit_temperature(one, validation.labels) for one in (logits, others))
            kernel = scale * kernel + scale_other * shrunk.kernel
            intercepts = scale * intercepts + scale_other * shrunk.intercepts
            logits = scale * logits + scale_other * others
        shift = prior_shift(logits, validation.labels, np.ones(len(validation)))
        last.set_weights([kernel, intercepts + _SHIFT_SHARE * shift])
        kept = next(row for row in self.state.history if row["kept"])
        answers = compute_logits(self.model, validation).argmax(axis=1)
        kept["validation_accuracy"] = float((answers == validation.labels).mean())  # as it is served

    def _shrunk_head(self) -> tuple[LinearHead, np.ndarray]:
        """Return a strongly shrunk head on the features as they are now, and its logits (n, K) of validation films."""
        train, weights = self._stated()
        features, held = (pooled_features(self.network, films.pixels)[0] for films in (train, self.films.validation))
        head = fit_linear(features, train.labels, weights, penalty=_SHRUNK_PENALTY)
        return head, head.logits(held)

    def _stated(self) -> tuple[Films, np.ndarray]:
        """Return the films to learn from that state one finding, and how much each weighs; the mean weight is 1."""
        train, weights = self.films.train, self.weights.in_head()
        stated = np.flatnonzero(train.labels >= 0)
        if len(stated) == len(train):
            return train, weights
        return train.subset(stated), weights[stated] / weights[stated].mean()


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Says how far the training is; after each epoch it validates and replaces the checkpoint."""

    def __init__(self, fitting: _Fitting) -> None:
        super().__init__()
        self.fitting = fitting

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        fitting = self.fitting
        done = (batch + 1) / len(fitting.batches)
        fitting.progress("backbone", fitting.state.epoch, fitting.num_epochs, done, None)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        fitting, logs = self.fitting, {} if logs is None else logs
        fitting.state.epoch = epoch + 1
        rate = float(np.asarray(fitting.model.optimizer.learning_rate))
        with fitting.averaged():
            row = fitting.add_row("backbone", loss=float(logs.get("loss", math.nan)), learning_rate=rate)
        logs |= {"val_loss": row["validation_loss"], "val_accuracy": row["validation_accuracy"]}
        fitting.save()


def _optimizer(settings: FitSettings, *, num_steps: int) -> keras.optimizers.Optimizer:
    warm_up = max(round(_WARM_UP_SHARE * num_steps), 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(num_steps - warm_up, 1),
        alpha=_LOWEST_RATE,
        warmup_target=settings.learning_rate,
        warmup_steps=warm_up,
    )
    options: dict[str, Any] = {"weight_decay": settings.weight_decay}
    if settings.ema_momentum:
        options |= {"use_ema": True, "ema_momentum": settings.ema_momentum}
    return {
        "adam": lambda: keras.optimizers.Adam(rate, **options),
        "adamw": lambda: keras.optimizers.AdamW(rate, **options),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **options),
        "lion": lambda: keras.optimizers.Lion(rate, **options),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, **options),
    }[settings.optimiser]()
