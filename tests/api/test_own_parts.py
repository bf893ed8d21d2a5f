"""A user's own network, augmentation and callbacks, and settings as words."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from hilum.api.own_parts import chosen_config, own_parts
from hilum.errors import ConfigError


def small(shape: tuple[int, int, int]) -> keras.Model:
    film = keras.Input(shape)
    return keras.Model(film, keras.layers.Conv2D(4, 5, strides=4, activation="relu")(film))


def test_settings_are_words_and_sections_are_dictionaries(tiny_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("seed = 3\n[fit]\nepochs = 7\nbatch_size = 12\n")
    config = chosen_config(tiny_data, file, "plain-cnn", {"seed": 1, "fit": {"epochs": 2}})
    assert (config.backbone, config.seed, config.fit.epochs, config.fit.batch_size) == ("plain-cnn", 1, 2, 12)
    assert config.fit.learning_rate == 1e-3  # the default of plain-cnn


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sed": 1}, "`sed`.*Did you mean `seed`"),
        ({"fit": {"epoch": 1}}, "`fit.epoch`.*Did you mean `epochs`"),
        ({"fit": 3}, "`fit`"),
    ],
)
def test_an_unknown_setting_is_an_error(tiny_data: Path, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        chosen_config(tiny_data, None, None, settings)


def test_a_network_of_the_user_decides_its_size_and_starts_as_it_is(tiny_data: Path) -> None:
    model = small((48, 48, 1))
    config = chosen_config(tiny_data, None, model, {})
    assert (config.preprocessing.size_px, config.weights) == (48, "none")
    assert chosen_config(tiny_data, None, model, {"weights": "imagenet"}).weights == "imagenet"
    with pytest.raises(ConfigError, match="received a `float`"):
        chosen_config(tiny_data, None, 0.5, {})  # type: ignore[arg-type]
    make = own_parts(model, None, (), config).backbone
    assert make is not None
    first, second = make(), make()
    first.set_weights([np.zeros_like(weight) for weight in first.get_weights()])
    for mine, given in zip(second.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(mine, given)


def test_a_function_gets_the_input_shape(tiny_data: Path) -> None:
    config = chosen_config(tiny_data, None, small, {"preprocessing": {"size_px": 64}})
    own = own_parts(small, None, (), config)
    assert own.backbone is not None
    assert own.backbone().input_shape == (None, 64, 64, 1)
    named = own_parts("plain-cnn", None, (), config)
    assert named.backbone is None
    assert list(named.callbacks()) == []
