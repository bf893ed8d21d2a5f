"""The settings of a training run: one tree of dataclasses, read from and written to ``run.toml``.

An unknown key or a value of the wrong kind is an error that names the nearest known key; nothing is ignored. All of it
is told without Keras, which takes seconds to import.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hilum.errors import ConfigError, nearest_name
from hilum.film.preprocess import Preprocessing, without_lung_crop
from hilum.train.augment import POLICIES, SIMPLE, Augmentation
from hilum.train.backbones import check_backbone

__all__ = [
    "OPTIMISERS",
    "SCHEDULES",
    "DataSettings",
    "FitSettings",
    "RunConfig",
    "default_config",
    "read_config",
    "setting_names",
    "to_toml",
]

OPTIMISERS = ("adam", "adamw", "sgd", "lion", "rmsprop")
SCHEDULES = ("cosine", "linear", "constant")
CLASS_WEIGHTS = ("balanced", "none")
KEEP = ("proven", "best", "last")
SAMPLINGS = ("films", "sources")
WEIGHTS = ("imagenet", "chest", "none")

MOST_AUGMENTATION = {
    "flip_probability": 1,
    "rotation_degrees": 180,
    "zoom_fraction": 0.9,
    "stretch_fraction": 2,
    "shift_fraction": 0.5,
    "photometric_probability": 1,
    "gamma": 4,
    "contrast_fraction": 1,
    "brightness_fraction": 1,
    "blur_sigma_px": 20,
    "noise_sigma_fraction": 1,
    "lost_resolution_fraction": 0.95,
    "lungs_only_probability": 0.8,
    "lungs_hidden_probability": 0.2,
    "frame_probability": 1,
}

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class DataSettings:
    """How the films are divided.

    Attributes:
        validation_fraction: Share of the training films kept for early stopping, calibration and thresholds.
        test_fraction: Share of all films kept for the test, where the data set has no test part of its own.
    """

    validation_fraction: float = 0.2
    test_fraction: float = 0.2


@dataclass(frozen=True)
class FitSettings:
    """How the network is fitted.

    Attributes:
        epochs: Most epochs in which the backbone trains too, behind the head's own fit; 0 leaves it frozen.
        trainable_fraction: Share of the backbone's layers, from the top, that train in the second stage.
        batch_size: Films in a step.
        optimiser: One of `OPTIMISERS`.
        learning_rate: Highest learning rate; it warms up for one epoch.
        schedule: How the learning rate goes on: down along a ``cosine`` or a straight line (``linear``) to 1 %
            of the highest, or ``constant``.
        weight_decay: Decoupled weight decay.
        dropout: Share of features dropped before the last layer.
        label_smoothing: Share of the label spread over all findings.
        class_weights: ``balanced`` lets every finding weigh the same, ``none`` every film.
        sampling: ``films`` shows every film once an epoch; ``sources`` draws as many films, each finding alike and
            within a finding each source by the square root of its films, and at the end moves the last layer's
            constants halfway to what suits the validation films.
        patience: Epochs without a better validation loss before the fitting stops.
        keep: Which weights of a pretrained network are kept: ``proven`` those of the best epoch where they beat the
            first stage by two standard errors, ``best`` where they beat it at all, ``last`` those of the last epoch.
        ema_momentum: Of the exponential moving average of the weights, which then is validated and kept in their
            place; 0 for none.
    """

    epochs: int = 6
    trainable_fraction: float = 0.6
    batch_size: int = 16
    optimiser: str = "adamw"
    learning_rate: float = 3e-5
    schedule: str = "cosine"
    weight_decay: float = 1e-3
    dropout: float = 0.3
    label_smoothing: float = 0.05
    class_weights: str = "balanced"
    sampling: str = "films"
    patience: int = 3
    keep: str = "proven"
    ema_momentum: float = 0.0


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a training run, apart from the films.

    Attributes:
        backbone: ``efficientnet-lite0``, ``hilum-chest`` (the same network, starting from the chest model that ships),
            ``plain-cnn`` or a ``keras.applications`` name.
        weights: ``imagenet``, ``chest`` (of hilum-chest alone), or ``none`` to start from random weights.
        seed: Decides the split, the first weights, the order of films and every augmentation.
        folds: Number of grouped cross-validation folds of the training films beside the final model; 0 for none.
        by_source: Whether each source of the training films is also judged by a model trained without it.
    """

    backbone: str = "efficientnet-lite0"
    weights: str = "imagenet"
    seed: int = 0
    folds: int = 0
    by_source: bool = False
    data: DataSettings = field(default_factory=DataSettings)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    fit: FitSettings = field(default_factory=FitSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _check(self)


def default_config(backbone: str = "efficientnet-lite0") -> RunConfig:
    """Return the settings a backbone starts from; they were chosen by cross-validation on training films."""
    if backbone == "plain-cnn":
        return RunConfig(
            backbone=backbone,
            weights="none",
            preprocessing=Preprocessing(size_px=64),
            fit=FitSettings(epochs=40, learning_rate=1e-3, patience=20, batch_size=16, dropout=0.2),
            augmentation=SIMPLE,  # by `hilum study augmentation`: see docs/results.md
        )
    if backbone == "efficientnet-lite0":  # 224 px is no better, here or elsewhere, and takes twice the time
        return RunConfig(backbone=backbone, preprocessing=Preprocessing(size_px=160))
    return RunConfig(backbone=backbone, weights="chest" if backbone == "hilum-chest" else "imagenet")


def read_config(path: Path | None, overrides: Mapping[str, Any] | None = None, words: Sequence[str] = ()) -> RunConfig:
    """Return the settings of a ``run.toml`` over the backbone's defaults.

    Args:
        path: The TOML file, or None for the defaults.
        overrides: Top-level settings named on the command line; they win over the file and over words.
        words: Settings as ``section.key=value``, ``fit.epochs=5`` for one; they win over the file.

    Raises:
        ConfigError: The file is missing or no TOML, a key is unknown, a value is of the wrong kind or out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"Cannot read the settings file `{path}`: {error.strerror}.", fix="Check the path given to --config."
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"The settings file `{path}` is not TOML: {error}.") from error
    for word in words:
        _put(values, word)
    values |= {key: value for key, value in (overrides or {}).items() if value is not None}
    backbone = values.get("backbone", "efficientnet-lite0")
    if not isinstance(backbone, str):
        raise ConfigError(f"The setting `backbone` must be a name; received {backbone!r}.")
    return _merged(default_config(backbone), values, "")


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, those of a section with its name before them: ``seed``, ``fit.epochs``."""
    return tuple(_names_in(RunConfig(), ""))


def to_toml(config: RunConfig) -> str:
    """Return the settings as TOML that `read_config` reads back to the same settings."""
    lines: list[str] = []
    tables = [("", config)]
    tables += [(f.name, getattr(config, f.name)) for f in dataclasses.fields(config) if _is_table(config, f.name)]
    for name, table in tables:
        if name:
            lines += ["", f"[{name}]"]
        for item in dataclasses.fields(table):
            if not _is_table(table, item.name):
                lines.append(f"{item.name} = {_toml_value(getattr(table, item.name))}")
    return "\n".join(lines) + "\n"


def _names_in(table: Any, where: str) -> Iterable[str]:
    for item in dataclasses.fields(table):
        name = f"{where}{item.name}"
        if _is_table(table, item.name):
            yield from _names_in(getattr(table, item.name), f"{name}.")
        else:
            yield name


def _put(values: dict[str, Any], word: str) -> None:
    """Put one ``section.key=value`` into what a settings file holds; a value that is no TOML is a text."""
    name, sign, text = word.partition("=")
    *sections, key = name.strip().split(".")
    if not sign or not key or not all(sections):
        raise ConfigError(
            f"`--set {word}` is no setting and its value.", fix="Write SECTION.KEY=VALUE, such as --set fit.epochs=5."
        )
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"`{section}` must be a table; received {values!r}.", fix=f"Write it as [{section}].")
    try:
        values[key] = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        values[key] = text.strip()


def _is_table(owner: Any, name: str) -> bool:
    return dataclasses.is_dataclass(getattr(owner, name))


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return repr(value)


def _merged(base: Settings, values: Mapping[str, Any], where: str) -> Settings:
    known = {item.name: getattr(base, item.name) for item in dataclasses.fields(base)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in (without_lung_crop(values) if isinstance(base, Preprocessing) else values).items():
        name = f"{where}{key}"
        if key not in known:
            elsewhere = [one for one in setting_names() if one.rpartition(".")[2] == key]
            fix = f"Did you mean `{elsewhere[0]}`?" if elsewhere else nearest_name(key, known)
            raise ConfigError(f"Unknown setting `{name}`.", fix=fix)
        if dataclasses.is_dataclass(known[key]):
            if not isinstance(value, Mapping):
                raise ConfigError(f"`{name}` must be a table; received {value!r}.", fix=f"Write it as [{name}].")
            changes[key] = _merged(known[key], value, f"{name}.")
        else:
            changes[key] = _converted(name, value, known[key])
    return dataclasses.replace(base, **changes)  # type: ignore[type-var]


def _converted(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list) and len(value) == len(default):
        return tuple(_converted(name, item, like) for item, like in zip(value, default, strict=True))
    if type(value) is not type(default):
        raise ConfigError(
            f"The setting `{name}` must be of type {type(default).__name__}; received {value!r}.",
            fix=f"The default is {_toml_value(default)}.",
        )
    return value


def _check(config: RunConfig) -> None:
    fit, data, augmentation = config.fit, config.data, config.augmentation
    ranges: list[tuple[str, float, float, float]] = [
        ("seed", config.seed, 0, 2**32 - 1),
        ("preprocessing.size_px", config.preprocessing.size_px, 32, 1024),
        ("data.validation_fraction", data.validation_fraction, 0.05, 0.5),
        ("data.test_fraction", data.test_fraction, 0.05, 0.5),
        ("fit.epochs", fit.epochs, 0, 100_000),
        ("fit.trainable_fraction", fit.trainable_fraction, 0, 1),
        ("fit.batch_size", fit.batch_size, 2, 4096),
        ("fit.learning_rate", fit.learning_rate, 1e-8, 10),
        ("fit.weight_decay", fit.weight_decay, 0, 1),
        ("fit.dropout", fit.dropout, 0, 0.95),
        ("fit.label_smoothing", fit.label_smoothing, 0, 0.5),
        ("fit.patience", fit.patience, 1, 100_000),
        ("fit.ema_momentum", fit.ema_momentum, 0, 0.9999),
        ("augmentation.policy_strength", augmentation.policy_strength, 0, 1),
        *((f"augmentation.{name}", getattr(augmentation, name), 0, most) for name, most in MOST_AUGMENTATION.items()),
    ]
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise ConfigError(f"The setting `{name}` must lie between {low:g} and {high:g}; received {value}.")
    if config.folds != 0 and not 2 <= config.folds <= 20:
        raise ConfigError(f"The setting `folds` must be 0 or between 2 and 20; received {config.folds}.")
    choices = [
        ("fit.optimiser", fit.optimiser, OPTIMISERS),
        ("fit.schedule", fit.schedule, SCHEDULES),
        ("fit.class_weights", fit.class_weights, CLASS_WEIGHTS),
        ("fit.sampling", fit.sampling, SAMPLINGS),
        ("fit.keep", fit.keep, KEEP),
        ("weights", config.weights, WEIGHTS),
        ("augmentation.policy", augmentation.policy, POLICIES),
    ]
    for name, choice, allowed in choices:
        if choice not in allowed:
            raise ConfigError(f"The setting `{name}` cannot be `{choice}`.", fix=nearest_name(choice, allowed))
    check_backbone(config.backbone, config.preprocessing.size_px)
    if (config.weights == "chest") != (config.backbone == "hilum-chest") and config.weights != "none":
        raise ConfigError(
            f"The backbone `{config.backbone}` does not start from the weights `{config.weights}`.",
            fix="hilum-chest starts from `chest`, the others from `imagenet` or `none`.",
        )
