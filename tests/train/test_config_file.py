"""Settings are written and read back alike, and the command line stands over the file, the file over the defaults."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.film.preprocess import Preprocessing
from hilum.train.config import FitSettings, RunConfig, default_config
from hilum.train.config_file import read_config, to_toml

from .shared import written


@pytest.mark.parametrize(
    "config",
    [
        default_config(),
        default_config("plain-cnn"),
        dataclasses.replace(
            default_config("MobileNetV2"),
            weights="none",
            seed=2**32 - 1,
            folds=5,
            preprocessing=Preprocessing(size_px=96, window_percentiles=(1, 99.25)),
            fit=FitSettings(learning_rate=1e-8, weight_decay=0.0, optimiser="sgd", class_weights="none"),
        ),
    ],
    ids=lambda config: config.backbone,
)
def test_settings_survive_the_file(tmp_path: Path, config: RunConfig) -> None:
    assert read_config(written(tmp_path, to_toml(config))) == config


def test_every_setting_stands_in_the_file() -> None:
    def names(one: Any) -> dict[str, Any]:
        values = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
        return {name: names(value) if dataclasses.is_dataclass(value) else 0 for name, value in values.items()}

    def keys(table: dict[str, Any]) -> dict[str, Any]:
        return {name: keys(value) if isinstance(value, dict) else 0 for name, value in table.items()}

    assert keys(tomllib.loads(to_toml(default_config()))) == names(default_config())


def test_without_a_file_the_defaults_of_the_backbone_hold() -> None:
    assert read_config(None) == default_config() == RunConfig(preprocessing=Preprocessing(size_px=160))
    assert read_config(None, {"backbone": "plain-cnn", "seed": None}) == default_config("plain-cnn")


def test_the_file_stands_over_the_defaults_of_its_backbone(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, 'backbone = "plain-cnn"\n[fit]\nepochs = 3\nlearning_rate = 1\n'))
    base = default_config("plain-cnn")
    assert config == dataclasses.replace(base, fit=dataclasses.replace(base.fit, epochs=3, learning_rate=1.0))
    assert isinstance(config.fit.learning_rate, float)


def test_the_command_line_stands_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'backbone = "plain-cnn"\nweights = "none"\nseed = 3\n')
    config = read_config(path, {"seed": 9, "folds": 2, "backbone": "MobileNetV2", "weights": None})
    assert (config.seed, config.folds, config.backbone, config.weights) == (9, 2, "MobileNetV2", "none")


def test_words_set_anything_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'backbone = "plain-cnn"\n[fit]\nepochs = 3\nsteps = 7\n')
    words = ["fit.epochs=5", "fit.learning_rate = 1", "fit.optimiser=lion", "preprocessing.equalize=false"]
    words += ["preprocessing.window_percentiles=[1, 99]", "by_source=true", "seed=4", "seed=5", "folds=3"]
    config = read_config(path, {"folds": 2}, words)
    fit = dataclasses.replace(default_config("plain-cnn").fit, epochs=5, steps=7, learning_rate=1.0, optimiser="lion")
    assert (config.fit, config.seed, config.folds, config.by_source) == (fit, 5, 2, True)
    assert (config.preprocessing.equalize, config.preprocessing.window_percentiles) == (False, (1.0, 99.0))
    assert read_config(None, None, ["backbone=plain-cnn"]) == default_config("plain-cnn")


@pytest.mark.parametrize(
    ("word", "message", "fix"),
    [
        ("fit.epocs=5", "Unknown setting `fit.epocs`", "Did you mean `epochs`?"),
        ("fitt.epochs=5", "Unknown setting `fitt`", "Did you mean `fit`?"),
        ("epochs=5", "Unknown setting `epochs`", "Did you mean `fit.epochs`?"),
        ("fit.epochs=five", "`fit.epochs` must be of type int; received 'five'", "The default is 30."),
        ("fit.epochs=1.5", "`fit.epochs` must be of type int; received 1.5", ""),
        ("fit.epochs=-1", "`fit.epochs` must lie between", ""),
        ("fit.optimiser=adem", "`fit.optimiser` cannot be `adem`", "Did you mean `adam`?"),
        ("fit.epochs", "`--set fit.epochs` is not a setting with a value", "--set fit.epochs=5"),
        ("=5", "`--set =5` is not a setting with a value", ""),
        ("fit=5", "`fit` must be a table", ""),
        ("seed.x=5", "`seed` must be of type int", ""),
        ("backbone=plain-cn", "No backbone is called `plain-cn`", "Did you mean `plain-cnn`"),
        ("preprocessing.size_px=100", "a multiple of 32 px; received 100", "Set preprocessing.size_px to 96."),
    ],
)
def test_a_word_that_sets_nothing_is_refused(word: str, message: str, fix: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_config(None, None, [word])
    assert fix in caught.value.fix


def test_a_file_of_an_earlier_version_is_read_unless_it_crops_films(tmp_path: Path) -> None:
    earlier = to_toml(default_config()).replace("[fit]", "lung_crop = false\n\n[fit]")
    assert read_config(written(tmp_path, earlier)) == default_config()
    gone = r"`preprocessing\.lung_crop` no longer exists"
    with pytest.raises(ConfigError, match=gone):
        read_config(written(tmp_path, earlier.replace("lung_crop = false", "lung_crop = true")))
    with pytest.raises(ConfigError, match=gone):
        read_config(None, None, ["preprocessing.lung_crop=true"])


@pytest.mark.parametrize("content", [b"[fit", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ConfigError, match="is not TOML"):
        read_config(tmp_path / "run.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError, match="Cannot read the settings file"):
            read_config(path)


def test_a_network_of_the_user_has_no_name_in_a_settings_file() -> None:
    with pytest.raises(ConfigError, match="given in Python"):
        read_config(None, {"backbone": "own"})


@pytest.mark.parametrize(("film_px", "size_px"), [(28, 96), (12, 64), (50, 160), (2000, 160), (None, 160)])
def test_small_films_get_a_small_network_input_unless_a_size_is_named(film_px: int | None, size_px: int) -> None:
    assert read_config(None, film_px=lambda: film_px).preprocessing.size_px == size_px
    named = read_config(None, None, ["preprocessing.size_px=128"], film_px=lambda: film_px)
    assert named.preprocessing.size_px == 128
