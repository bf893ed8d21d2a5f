"""What a search varies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hilum.errors import ConfigError, InconsistentDataset, InputError
from hilum.train.augment import Augmentation
from hilum.train.config import FitSettings, RunConfig, default_config
from hilum.train.config_file import read_config, to_toml
from hilum.train.tune.search_space import Search, SearchSpace, TuneSettings, check_search, search_space, shortened

ODD = dataclasses.replace(
    default_config("plain-cnn"),
    fit=FitSettings(optimiser="sgd", learning_rate=0.123456, dropout=0.8, label_smoothing=0.4, weight_decay=0.0),
)
BASES = (default_config(), default_config("plain-cnn"), default_config("MobileNetV2"), ODD)


@pytest.mark.parametrize("base", BASES, ids=["lite0", "plain-cnn", "MobileNetV2", "odd"])
def test_the_start_is_the_base_itself_and_lies_inside(base: RunConfig) -> None:
    space = search_space(base)
    assert space.config(space.start) is base
    assert list(space.start) == list(space.distributions)
    for name, one in space.distributions.items():
        assert one._contains(one.to_internal_repr(space.start[name])), name


def corner(space: SearchSpace, end: int) -> dict[str, object]:
    """Return the first or last value of everything."""
    values: dict[str, object] = {}
    for name, one in space.distributions.items():
        if isinstance(one, CategoricalDistribution):
            values[name] = one.choices[end]
        elif isinstance(one, FloatDistribution):
            values[name] = (one.low, one.high)[end]
    return values


@pytest.mark.parametrize("base", BASES, ids=["lite0", "plain-cnn", "MobileNetV2", "odd"])
@pytest.mark.parametrize("end", [0, -1])
def test_every_point_is_settings_that_survive_the_file(base: RunConfig, end: int, tmp_path: Path) -> None:
    space = search_space(base)
    config = space.config(corner(space, end))
    path = tmp_path / "run.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert read_config(path) == config
    assert config.preprocessing.size_px % 32 == 0
    assert config.seed == base.seed


def test_what_varies_depends_on_where_the_weights_come_from() -> None:
    pretrained, scratch = search_space(default_config()), search_space(default_config("plain-cnn"))
    assert set(pretrained.distributions) - set(scratch.distributions) == {"trainable_fraction"}
    assert set(scratch.distributions) < set(pretrained.distributions)


def test_a_rate_that_is_far_off_is_searched_up_to_beyond_the_default() -> None:
    base = default_config()
    wrong = dataclasses.replace(base, fit=dataclasses.replace(base.fit, learning_rate=base.fit.learning_rate / 100))
    one = search_space(wrong).distributions["learning_rate"]
    assert isinstance(one, FloatDistribution)
    assert one.low < wrong.fit.learning_rate
    assert one.high > 5 * base.fit.learning_rate


def test_an_input_that_is_far_too_small_is_searched_up_to_the_default() -> None:
    base = default_config()
    small = dataclasses.replace(base, preprocessing=dataclasses.replace(base.preprocessing, size_px=32))
    sizes = search_space(small).distributions["size_px"]
    assert isinstance(sizes, CategoricalDistribution)
    assert set(sizes.choices) == {32, 96, base.preprocessing.size_px}


def test_a_trial_trains_for_a_quarter_and_the_limit_of_epochs_goes_with_the_steps() -> None:
    base = default_config()
    short = shortened(base)
    assert (short.fit.steps, short.fit.epochs) == (125, 8)
    for num_films in (50, 200, 1000):
        whole, part = (one.fit.num_epochs(num_films) for one in (base, short))
        assert part == pytest.approx(whole / 4, abs=1)
    space = search_space(base)
    double = space.config({**space.start, "steps": 1000.0}).fit
    assert (double.steps, double.epochs) == (1000, 60)
    alone = dataclasses.replace(base, fit=dataclasses.replace(base.fit, epochs=0))
    assert shortened(alone).fit.epochs == 0


def test_one_strength_moves_all_changes_but_the_flip() -> None:
    space = search_space(default_config())
    for strength in (0.0, 0.5, 2.0):
        policy = space.config({**space.start, "augmentation_strength": strength, "dropout": 0.1}).augmentation
        default = Augmentation()
        assert policy.flip_probability == default.flip_probability
        assert policy.photometric_probability == default.photometric_probability
        assert policy.rotation_degrees == default.rotation_degrees * strength
        assert policy.gamma == default.gamma * strength
        assert policy.lost_resolution_fraction == min(default.lost_resolution_fraction * strength, 0.95)


def test_each_optimiser_gets_the_rate_in_its_own_measure() -> None:
    space = search_space(default_config())
    rates = {
        name: space.config({**space.start, "optimiser": name, "learning_rate": 1e-4}).fit.learning_rate
        for name in ("adamw", "lion", "sgd")
    }
    assert rates == {"adamw": 1e-4, "lion": 2e-5, "sgd": 3e-3}


def test_folders_and_films_are_looked_at(tmp_path: Path) -> None:
    films, out, base = tmp_path / "films", tmp_path / "out", default_config("plain-cnn")
    for finding in ("Normal", "Covid"):
        (films / finding).mkdir(parents=True)
        for number in range(3):
            (films / finding / f"{number}.png").write_bytes(b"no film: it is only counted")
    check_search(Search(films, out, base))
    with pytest.raises(InputError, match="lies in the data folder"):
        check_search(Search(films, films / "out", base))
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(InputError, match="holds no search"):
        check_search(Search(films, out, base))
    (out / "search.json").write_text("precious")
    with pytest.raises(InputError, match="holds no search"):
        check_search(Search(films, out, base))
    (out / "search.json").write_text('{"settings": "", "films": "", "folds": 5}')
    check_search(Search(films, out, base))
    (films / "Covid" / "0.png").unlink()
    with pytest.raises(InconsistentDataset, match="has 2 films to divide; expected at least 3"):
        check_search(Search(films, out, base))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_trials": 0}, "number of trials must lie between 1 and"),
        ({"num_folds": 1}, "number of folds"),
        ({"minutes": -1.0}, "number of minutes"),
        ({"minutes": float("nan")}, "number of minutes"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TuneSettings(**settings)


def test_settings_are_shown_with_the_digits_that_were_tried() -> None:
    space = search_space(default_config("plain-cnn"))
    assert set(space.settings(space.start)) == set(space.start)
    assert space.settings({**space.start, "dropout": 0.123456})["dropout"] == 0.123
