"""Settings: every mistake in them is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hilum.errors import ConfigError
from hilum.train.config import FitSettings, RunConfig, setting_names
from hilum.train.config_file import read_config

from .shared import written


@pytest.mark.parametrize(
    ("text", "name", "nearest"),
    [
        ("sede = 3", "sede", "seed"),
        ("[fit]\nlearning_rat = 0.1", "fit.learning_rat", "learning_rate"),
        ("[preprocessing]\nsize = 64", "preprocessing.size", "size_px"),
        ("[augmentations]\ngamma = 1", "augmentations", "augmentation"),
        ("[data]\nvalidation = 0.2", "data.validation", "validation_fraction"),
        ("epochs = 3", "epochs", "fit.epochs"),
        ("[fit]\nsize_px = 64", "fit.size_px", "preprocessing.size_px"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(tmp_path: Path, text: str, name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"Unknown setting `{name}`") as caught:
        read_config(written(tmp_path, text))
    assert f"Did you mean `{nearest}`?" in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ConfigError, match="not Unicode"):
        read_config(None, None, ["fit.optimiser=\udcff"])


def test_settings_made_in_code_are_checked_too() -> None:
    with pytest.raises(ConfigError, match=re.escape("`fit.epochs` must lie between 0 and 100000; received -1")):
        RunConfig(fit=FitSettings(epochs=-1))


def test_every_setting_has_a_name() -> None:
    assert {"seed", "fit.epochs", "preprocessing.size_px", "augmentation.gamma"} <= set(setting_names())
    for name in setting_names():
        section, _, key = name.rpartition(".")
        assert hasattr(getattr(RunConfig(), section) if section else RunConfig(), key)


def test_an_unknown_override_is_refused_too() -> None:
    with pytest.raises(ConfigError, match="Unknown setting `sed`"):
        read_config(None, {"sed": 1})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = 1.5", "`seed` must be of type int; received 1.5"),
        ("seed = true", "`seed` must be of type int; received True"),
        ('folds = "2"', "`folds` must be of type int"),
        ("backbone = 3", "`backbone` must be a name; received 3"),
        ("[fit]\ndropout = true", "`fit.dropout` must be of type float"),
        ("[fit]\noptimiser = 1", "`fit.optimiser` must be of type str"),
        ("fit = 3", "`fit` must be a table; received 3"),
        ("[preprocessing]\nwindow_percentiles = 5", "`preprocessing.window_percentiles` must be of type tuple"),
        ("[preprocessing]\nwindow_percentiles = [1, 2, 3]", "`preprocessing.window_percentiles` must be of type"),
        ('[preprocessing]\nwindow_percentiles = ["a", "b"]', "`preprocessing.window_percentiles` must be of type"),
        ("[seed]\nx = 1", "`seed` must be of type int"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, text))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = -1", "`seed` must lie between 0 and"),
        ("seed = 5000000000", "`seed` must lie between 0 and"),
        ("coverage = 1.0", "`coverage` must lie between 0.5 and 0.99"),
        ("folds = 1", "`folds` must be 0 or between 2 and 20"),
        ("folds = 21", "`folds` must be 0 or between 2 and 20"),
        ("[data]\nvalidation_fraction = 0.0", "`data.validation_fraction` must lie"),
        ("[data]\ntest_fraction = 0.9", "`data.test_fraction` must lie"),
        ("[fit]\nepochs = -1", "`fit.epochs` must lie"),
        ("[fit]\nbatch_size = 1", "`fit.batch_size` must lie"),
        ("[fit]\nlearning_rate = 0", "`fit.learning_rate` must lie"),
        ("[fit]\ndropout = nan", "`fit.dropout` must lie"),
        ("[fit]\nweight_decay = inf", "`fit.weight_decay` must lie"),
        ("[fit]\ntrainable_fraction = 1.1", "`fit.trainable_fraction` must lie"),
        ("[augmentation]\nrotation_degrees = -5", "`augmentation.rotation_degrees` must lie"),
        ("[preprocessing]\nsize_px = 8", "`size_px` must be"),
        ("[preprocessing]\nsize_px = 16", "`preprocessing.size_px` must lie between 32 and"),
        ("[preprocessing]\nwindow_percentiles = [99, 1]", "`window_percentiles` must be two rising numbers"),
        ('weights = "imagnet"', "Did you mean `imagenet`?"),
        ('[fit]\noptimiser = "adamv"', "The setting `fit.optimiser` cannot be `adamv`. Did you mean `adam`"),
        ('[fit]\nschedule = "cosine"', "`fit.schedule` no longer exists"),
        ("[fit]\npatience = 3", "`fit.patience` no longer exists"),
        ('[fit]\nclass_weights = "balance"', "Did you mean `balanced`?"),
    ],
)
def test_a_value_out_of_range_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, text))
    assert words in str(caught.value)
