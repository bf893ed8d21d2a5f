"""The settings of a training run; config_file.py reads and writes them.

pydantic checks them. An unknown key, a value of the wrong type or a value out of range is an error; the message names
the setting and, for a name, the nearest known one. Nothing here needs Keras, which takes seconds to import.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from hilum.errors import ConfigError, nearest_name
from hilum.film.preprocess import Preprocessing
from hilum.train.augment import SIMPLE, Augmentation
from hilum.train.backbones import OWN, check_backbone

__all__ = [
    "MOST_AUGMENTATION",
    "OPTIMISERS",
    "PRECISIONS",
    "DataSettings",
    "FitSettings",
    "RunConfig",
    "default_config",
    "setting_names",
    "validated",
]

Optimiser = Literal["adam", "adamw", "sgd", "lion", "rmsprop"]
Precision = Literal["float32", "mixed_bfloat16"]
OPTIMISERS: tuple[Optimiser, ...] = get_args(Optimiser)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MOST_AUGMENTATION = {  # the largest value of each strength
    name: hint.__metadata__[0].metadata[1].le
    for name, hint in get_type_hints(Augmentation, include_extras=True).items()
    if hasattr(hint, "__metadata__")
}


@dataclass(frozen=True)
class DataSettings:
    """How the films are divided.

    Attributes:
        validation_fraction: Share of the training films kept for early stopping, calibration and thresholds.
        test_fraction: Share of all films kept for the test, where the data set has no test part of its own.
    """

    validation_fraction: Annotated[float, Field(ge=0.05, le=0.5)] = 0.2
    test_fraction: Annotated[float, Field(ge=0.05, le=0.5)] = 0.2


@dataclass(frozen=True)
class FitSettings:
    """How the network is fitted.

    A pretrained network first gets a fitted head on its frozen features. Then the backbone trains too, to the end of
    its schedule.

    Attributes:
        epochs: Most epochs in which the backbone trains; 0 leaves it frozen.
        steps: Optimiser steps that are scheduled for a thousand films. They grow with the square root of the number of
            films, and are at least one epoch: small sets train for many epochs, large ones for few.
        trainable_fraction: Share of the backbone's layers, from the top, that train.
        batch_size: Films in a step.
        optimiser: One of `OPTIMISERS`.
        learning_rate: Highest learning rate. It rises over the first tenth of the steps and then falls along a cosine
            to 1 % of the highest.
        weight_decay: Decoupled weight decay.
        dropout: Share of features dropped before the last layer while the backbone trains.
        label_smoothing: Share of the label spread over all findings.
        class_weights: ``balanced`` lets every finding weigh the same, ``none`` every film.
        sampling: ``films`` shows every film once an epoch; ``sources`` draws as many films, each finding alike and
            within a finding each source by the square root of its films, and at the end settles the last layer for
            other sources (last_layer.py).
        keep: Which weights are kept: ``best`` those with the lowest validation loss, of those before the backbone was
            trained, those after it and, of a pretrained network, their mean; ``last`` those after it.
        ema_momentum: Momentum of the exponential moving average of the weights, which is validated and kept in their
            place; 0 for none.
        precision: The numbers that the backbone computes with in training: one of `PRECISIONS`, or ``auto`` for the
            one that is faster on this computer. The model file computes in float32 in any case.
    """

    epochs: Annotated[int, Field(ge=0, le=100_000)] = 30
    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 500
    trainable_fraction: Annotated[float, Field(ge=0, le=1)] = 0.6
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 16
    optimiser: Optimiser = "adamw"
    learning_rate: Annotated[float, Field(ge=1e-8, le=10)] = 3e-4
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-3
    dropout: Annotated[float, Field(ge=0, le=0.95)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    class_weights: Literal["balanced", "none"] = "balanced"
    sampling: Literal["films", "sources"] = "films"
    keep: Literal["best", "last"] = "best"
    ema_momentum: Annotated[float, Field(ge=0, le=0.9999)] = 0.0
    precision: Literal[Precision, "auto"] = "float32"

    def num_epochs(self, num_films: int) -> int:
        """Return for how many epochs the backbone trains on so many films."""
        steps = self.steps * math.sqrt(num_films / _FILMS_OF_STEPS)
        return min(self.epochs, max(1, round(steps * self.batch_size / num_films)))


@dataclass(frozen=True)
class _Settings:
    """The settings as pydantic reads them: types, choices and ranges of each, but nothing that lies between two."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    backbone: str = "efficientnet-lite0"
    weights: Literal["imagenet", "chest", "none"] = "imagenet"
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    folds: int = 0
    by_source: bool = False
    coverage: Annotated[float, Field(ge=0.5, le=0.99)] = 0.9
    data: DataSettings = field(default_factory=DataSettings)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    fit: FitSettings = field(default_factory=FitSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class RunConfig(_Settings):
    """Everything that decides a training run, apart from the films.

    Attributes:
        backbone: ``efficientnet-lite0``, ``-lite1`` or ``-lite2``, ``hilum-chest`` (the first of them, starting from
            the chest model that ships), ``plain-cnn`` or a ``keras.applications`` name.
        weights: ``imagenet``, ``chest`` (of hilum-chest alone), or ``none`` to start from random weights.
        seed: Decides the split, the first weights, the order of films and every augmentation.
        folds: Number of grouped cross-validation folds of the training films beside the final model; 0 for none.
        by_source: Whether each source of the training films is also judged by a model trained without it.
        coverage: Share of films whose set of possible findings is made to hold the true one. A higher share makes
            larger sets: fewer films get a single finding, and of these more are right.
    """

    def __post_init__(self) -> None:
        validated(dataclasses.asdict(self), _Settings())
        _check_together(self)


_FILMS_OF_STEPS = 1000
_READER = TypeAdapter(_Settings)
_GONE = {  # settings of earlier versions, and what holds instead
    "fit.schedule": "The learning rate always falls along a cosine; remove the line.",
    "fit.patience": "Training runs to the end of its schedule; remove the line. `fit.steps` says how long it is.",
}


def default_config(backbone: str = "efficientnet-lite0") -> RunConfig:
    """Return the settings a backbone starts from; they were chosen by cross-validation on training films."""
    if backbone == "plain-cnn":
        return RunConfig(
            backbone=backbone,
            weights="none",
            preprocessing=Preprocessing(size_px=64),
            fit=FitSettings(epochs=40, steps=4000, learning_rate=1e-3, dropout=0.2),
            augmentation=SIMPLE,  # by `hilum study augmentation`: see docs/results.md
        )
    if backbone == OWN:
        return RunConfig(backbone=OWN, weights="none", preprocessing=Preprocessing(size_px=160))
    weights: Literal["imagenet", "chest"] = "chest" if backbone == "hilum-chest" else "imagenet"
    if backbone == "hilum-chest" or backbone.startswith("efficientnet-lite"):
        # from ImageNet 224 px is no better, here or elsewhere, and takes twice the time; the chest model learned at 224
        size_px = 224 if backbone == "hilum-chest" else 160
        return RunConfig(backbone=backbone, weights=weights, preprocessing=Preprocessing(size_px=size_px))
    return RunConfig(backbone=backbone, weights=weights)


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, those of a section with its name before them: ``seed``, ``fit.epochs``."""
    names: list[str] = []
    for name, value in dataclasses.asdict(RunConfig()).items():
        names += [f"{name}.{one}" for one in value] if isinstance(value, dict) else [name]
    return tuple(names)


def validated(values: Mapping[str, Any], base: _Settings) -> _Settings:
    """Return settings made of plain values.

    Args:
        values: The values by section and key.
        base: The defaults, for the messages.

    Raises:
        ConfigError: A key is unknown, or a value is of the wrong type or out of range.
    """
    try:
        return _READER.validate_json(json.dumps(values, default=str))  # lists become tuples, tables become sections
    except ValidationError as error:
        fault = min(error.errors(), key=lambda one: one["type"] != "unexpected_keyword_argument")
        said = fault.get("ctx", {}).get("error")
        place = [one for one in fault["loc"] if isinstance(one, str)]
        # A section's own check has said what is wrong already.
        raise (said if isinstance(said, ConfigError) else _config_error(fault["type"], place, values, base)) from None


def _config_error(kind: str, place: Sequence[str], values: Any, table: Any) -> ConfigError:
    """Return the error that says what is wrong with a setting. Its place is a row of sections and a key."""
    if not place:
        return ConfigError("A setting holds a text that is not Unicode.")
    *sections, key = place
    for section in sections:
        values, table = values[section], getattr(table, section)
    name, value, default = ".".join(place), values[key], getattr(table, key, None)
    if name in _GONE:
        return ConfigError(f"The setting `{name}` no longer exists.", fix=_GONE[name])
    if kind == "unexpected_keyword_argument":
        elsewhere = [one for one in setting_names() if one.rpartition(".")[2] == key]
        known = [item.name for item in dataclasses.fields(table)]
        fix = f"Did you mean `{elsewhere[0]}`?" if elsewhere else nearest_name(key, known)
        return ConfigError(f"Unknown setting `{name}`.", fix=fix)
    if dataclasses.is_dataclass(default):
        return ConfigError(f"`{name}` must be a table; received {value!r}.", fix=f"Write it as [{name}].")
    hint = get_type_hints(type(table), include_extras=True)[key]
    if kind == "literal_error" and isinstance(value, str):
        return ConfigError(f"The setting `{name}` cannot be `{value}`.", fix=nearest_name(value, get_args(hint)))
    if kind in ("greater_than_equal", "less_than_equal"):
        least, most = hint.__metadata__[0].metadata
        low, high = least.ge, most.le
        return ConfigError(f"The setting `{name}` must lie between {low:g} and {high:g}; received {value}.")
    return ConfigError(
        f"The setting `{name}` must be of type {type(default).__name__}; received {value!r}.",
        fix=f"The default is {json.dumps(default, ensure_ascii=False)}.",
    )


def _check_together(config: RunConfig) -> None:
    """Refuse settings that are right alone but not together, or that only training does not take."""
    size_px = config.preprocessing.size_px
    if not 32 <= size_px <= 1024:
        raise ConfigError(f"The setting `preprocessing.size_px` must lie between 32 and 1024; received {size_px}.")
    if config.folds != 0 and not 2 <= config.folds <= 20:
        raise ConfigError(f"The setting `folds` must be 0 or between 2 and 20; received {config.folds}.")
    check_backbone(config.backbone, size_px)
    if (config.weights == "chest") != (config.backbone == "hilum-chest") and config.weights != "none":
        raise ConfigError(
            f"The backbone `{config.backbone}` does not start from the weights `{config.weights}`.",
            fix="hilum-chest starts from `chest`, the others from `imagenet` or `none`.",
        )
