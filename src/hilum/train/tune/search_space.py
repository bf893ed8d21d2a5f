"""What a search is asked to do, and what it varies: names, ranges around its first settings, and the way back.

Nothing here needs Keras, so a search that cannot be done is refused before Keras is loaded and before a film is read.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.data.folder import read_dataset
from hilum.data.split import check_counts
from hilum.errors import ConfigError, MissingExtra
from hilum.results import ResultFolder
from hilum.train.augment import Augmentation
from hilum.train.backbones import check_weights
from hilum.train.config import MOST_AUGMENTATION, FitSettings, RunConfig, default_config

try:
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.trial import Trial
except ImportError as error:  # pragma: no cover - seen only without the extra
    raise MissingExtra("A search for settings", "train") from error

__all__ = ["SHORT", "Search", "SearchSpace", "TuneSettings", "check_search", "search_space", "shortened"]

Distribution = FloatDistribution | CategoricalDistribution

SHORT = 0.25  # of the steps of some settings: the training of a trial

# Rates at which the optimisers move weights about as far as Adam does at 1, so that one range serves all of them.
_RATE_OF = {"adam": 1.0, "adamw": 1.0, "rmsprop": 1.0, "lion": 0.2, "sgd": 30.0}
_OPTIMISERS = ("adamw", "lion", "sgd")  # with decoupled weight decay adam is adamw, and rmsprop nearly so
_RATE_FACTOR = 10.0  # how far the range reaches below and above the rate it starts from and the backbone's default
_LEAST_LENGTH, _MOST_LENGTH = 1 / 3, 1.5  # of the steps it starts from
_LEAST_RATE, _MOST_RATE = 1e-8, 10.0
_MOST_EPOCHS, _MOST_STEPS = 100_000, 10_000_000
_EMA_MOMENTUMS = (0.0, 0.9, 0.98)
_PLAIN_CNN_SIZES = (64, 96, 128)
_SIZE_STEP_PX = 64  # of pretrained backbones, whose sizes are multiples of 32
_LEAST_SIZE_PX, _MOST_SIZE_PX = 96, 512
_SCALED = (
    *("rotation_degrees", "zoom_fraction", "stretch_fraction", "shift_fraction", "gamma", "contrast_fraction"),
    *("brightness_fraction", "blur_sigma_px", "noise_sigma_fraction", "lost_resolution_fraction"),
)

_FOLDER = ResultFolder(
    of="search",
    finished="a search",
    files=("search.json", "search.db", "trials", "confirmation", "features", "run.toml", "trials.csv", "report.html"),
    marks={"search.json": frozenset({"settings", "films", "folds"})},
    is_alone=True,
)


@dataclass(frozen=True)
class TuneSettings:
    """How long and how carefully to search.

    Attributes:
        num_trials: Trials of the search in all, those of earlier runs included.
        minutes: No trial goes on after so many minutes; None for no limit. The start is always judged.
        num_folds: Folds of the grouped cross-validation that judges a trial.
    """

    num_trials: int = 30
    minutes: float | None = None
    num_folds: int = 5

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("number of trials", self.num_trials, 1, 100_000),
            ("number of folds", self.num_folds, 2, 20),
            ("number of minutes", 1 if self.minutes is None else self.minutes, 0, 1_000_000),
        ):
            if not low <= value <= high:
                raise ConfigError(f"The {name} must lie between {low} and {high}; received {value:g}.")


@dataclass(frozen=True)
class Search:
    """A search, as one command asks for it.

    Attributes:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV list.
        out: The folder of the search.
        base: The settings to start from.
        settings: How long and how carefully.
    """

    data: Path
    out: Path
    base: RunConfig
    settings: TuneSettings = TuneSettings()


def check_search(search: Search) -> None:
    """Refuse a search that cannot be done, as far as that shows without reading a film.

    Raises:
        InputError: The folder holds something else than a search, or lies in the data set, which cannot be used either.
        ConfigError: The starting weights are not available.
    """
    out = search.out
    check_weights(search.base.backbone, search.base.weights)
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if not names or any(name != "claims" and not name.startswith(".") for name in names):  # else another process begins
        _FOLDER.check(
            out, overwrite=True, data=search.data
        )  # a search continues; the store asks before it replaces one
    check_counts(read_dataset(search.data))


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """What a search varies.

    Attributes:
        base: The settings it starts from; trial 0, to the last digit.
        distributions: Name to range or choices.
        start: Name to the value of the base.
    """

    base: RunConfig
    distributions: Mapping[str, Distribution]
    start: Mapping[str, Any]

    def config(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the settings of a point of the space; of the start, the base itself."""
        if dict(values) == dict(self.start):
            return self.base
        fit, preprocessing = self.base.fit, self.base.preprocessing
        rate = values["learning_rate"] * _RATE_OF[values["optimiser"]]
        changes: dict[str, Any] = {"optimiser": values["optimiser"]}
        changes |= {name: _rounded(values[name]) for name in ("dropout", "label_smoothing", "weight_decay")}
        changes["learning_rate"] = min(max(_rounded(rate), _LEAST_RATE), _MOST_RATE)
        changes["ema_momentum"] = values["ema_momentum"]
        if "trainable_fraction" in values:
            changes["trainable_fraction"] = _rounded(values["trainable_fraction"])
        return dataclasses.replace(
            self.base,
            fit=dataclasses.replace(_lengthened(fit, values["steps"] / fit.steps), **changes),
            preprocessing=dataclasses.replace(preprocessing, size_px=values["size_px"]),
            augmentation=_scaled(self.base.augmentation, values["augmentation_strength"]),
        )

    def settings(self, values: Mapping[str, Any]) -> dict[str, object]:
        """Return the settings that are varied, at a point of the space, as run.toml would have them."""
        config = self.config(values)
        special = {
            "size_px": config.preprocessing.size_px,
            "augmentation_strength": _rounded(values["augmentation_strength"]),
        }
        return {name: special[name] if name in special else getattr(config.fit, name) for name in self.distributions}

    def drawn(self, trial: Trial) -> dict[str, Any]:
        """Return the point that Optuna proposes for a trial."""
        return {
            name: trial.suggest_categorical(name, one.choices)
            if isinstance(one, CategoricalDistribution)
            else trial.suggest_float(name, one.low, one.high, log=one.log)
            for name, one in self.distributions.items()
        }


def search_space(base: RunConfig) -> SearchSpace:
    """Return what is varied around some settings; every value of theirs lies inside.

    The learning rate is that of Adam; other optimisers get it in their own measure. Rates and sizes also
    reach the defaults of the backbone, so a base that is far off is told. The limit of epochs goes along with the
    steps. One strength multiplies all changes of the augmentation but the flip, which is there or not. A pretrained
    backbone also gets the share of its layers that train.

    Args:
        base: The settings to start from.
    """
    fit, size_px = base.fit, base.preprocessing.size_px
    usual = default_config(base.backbone)
    rate, usual_rate = (one.learning_rate / _RATE_OF[one.optimiser] for one in (fit, usual.fit))
    if base.backbone == "plain-cnn":
        sizes = {*_PLAIN_CNN_SIZES, size_px}
    else:
        near = (size_px - _SIZE_STEP_PX, size_px + _SIZE_STEP_PX)
        sizes = {size_px, usual.preprocessing.size_px, *(one for one in near if _LEAST_SIZE_PX <= one <= _MOST_SIZE_PX)}
    distributions: dict[str, Distribution] = {
        "learning_rate": FloatDistribution(
            min(rate, usual_rate) / _RATE_FACTOR, max(rate, usual_rate) * _RATE_FACTOR, log=True
        ),
        "steps": FloatDistribution(fit.steps * _LEAST_LENGTH, fit.steps * _MOST_LENGTH, log=True),
        "optimiser": CategoricalDistribution(sorted({*_OPTIMISERS, fit.optimiser})),
        "dropout": FloatDistribution(0.0, max(0.6, fit.dropout)),
        "label_smoothing": FloatDistribution(0.0, max(0.2, fit.label_smoothing)),
        "weight_decay": FloatDistribution(min(1e-5, fit.weight_decay or 1e-5), max(0.1, fit.weight_decay), log=True),
        "size_px": CategoricalDistribution(sorted(sizes)),
        "augmentation_strength": FloatDistribution(0.0, 2.0),
        "ema_momentum": CategoricalDistribution(sorted({*_EMA_MOMENTUMS, fit.ema_momentum})),
    }
    start = {
        "learning_rate": rate,
        "steps": float(fit.steps),
        "optimiser": fit.optimiser,
        "dropout": fit.dropout,
        "label_smoothing": fit.label_smoothing,
        "weight_decay": fit.weight_decay or 1e-5,
        "size_px": size_px,
        "augmentation_strength": 1.0,
        "ema_momentum": fit.ema_momentum,
    }
    if base.weights != "none" and base.backbone != "plain-cnn":
        distributions["trainable_fraction"] = FloatDistribution(0.0, 1.0)
        start["trainable_fraction"] = fit.trainable_fraction
    return SearchSpace(base, distributions, start)


def shortened(config: RunConfig) -> RunConfig:
    """Return settings whose training is as short as that of a trial; the schedule is as long as the training."""
    return dataclasses.replace(config, fit=_lengthened(config.fit, SHORT))


def _lengthened(fit: FitSettings, factor: float) -> FitSettings:
    """Return settings with so many times the steps, and the limit of epochs that goes with them; 0 epochs stay 0."""
    steps, epochs = max(1, round(_rounded(fit.steps * factor))), math.ceil(fit.epochs * factor)
    return dataclasses.replace(fit, steps=min(steps, _MOST_STEPS), epochs=min(epochs, _MOST_EPOCHS))


def _scaled(policy: Augmentation, strength: float) -> Augmentation:
    values: dict[str, Any] = {
        name: min(_rounded(getattr(policy, name) * strength), MOST_AUGMENTATION[name]) for name in _SCALED
    }
    return dataclasses.replace(policy, **values)


def _rounded(value: float) -> float:
    """Return three digits of a value: what run.toml shows is what was tried."""
    return float(f"{value:.3g}")
