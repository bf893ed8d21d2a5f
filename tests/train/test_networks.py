"""The networks: shapes, and names and weights that are not to be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.train.networks import Network, build_network, freeze_below


def drawing(size_px: int) -> np.ndarray:
    """Return a film that is the same on every machine, (1, S, S, 1)."""
    y, x = np.mgrid[0:size_px, 0:size_px] / size_px
    film = 0.5 + 0.3 * np.sin(9 * x + 3 * y) + 0.2 * np.cos(14 * y * x)
    return film.astype(np.float32)[None, ..., None]


def build(name: str, **changes: Any) -> Network:
    options = {"num_findings": 3, "size_px": 64, "weights": "none", "dropout": 0.2}
    return build_network(name, **{**options, **changes})


@pytest.mark.parametrize("size_px", [32, 64, 96])
def test_plain_cnn_takes_any_size(size_px: int) -> None:
    network = build("plain-cnn", size_px=size_px, num_findings=4)
    logits = np.asarray(network.model(drawing(size_px)))
    assert logits.shape == (1, 4)
    assert np.isfinite(logits).all()
    maps = network.backbone(drawing(size_px))
    np.testing.assert_allclose(np.asarray(network.head(maps)), logits, rtol=1e-5, atol=1e-6)
    assert not network.pretrained


def test_a_network_of_keras_applications_by_any_spelling() -> None:
    network = build("mobilenet-v2", num_findings=2)
    assert network.model.output_shape == (None, 2)
    assert network.backbone.output_shape == (None, 2, 2, 1280)
    assert [layer.name for layer in network.head.layers[-1:]] == ["logits"]
    scaling = network.backbone.get_layer("input_scaling")
    np.testing.assert_allclose(np.asarray(scaling(np.array([[[[0.0, 0.5, 1.0]]]]))).ravel(), [-1, 0, 1], atol=1e-6)


def test_a_normalisation_layer_becomes_a_rescaling_that_does_the_same() -> None:
    from hilum.train.networks import _without_normalization

    film = keras.Input((8, 8, 3))
    normalised = keras.layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.05, 0.09])(film)
    model = keras.Model(film, keras.layers.Conv2D(2, 3)(normalised))
    changed = _without_normalization(model)
    assert not any(isinstance(layer, keras.layers.Normalization) for layer in changed.layers)
    pixels = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(changed(pixels)), np.asarray(model(pixels)), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"])
def test_networks_of_keras_that_normalise_inside_are_built_without_it(name: str) -> None:
    keras.backend.clear_session()
    network = build(name, num_findings=2)
    assert not any(isinstance(layer, keras.layers.Normalization) for layer in network.model._flatten_layers())
    logits = np.asarray(network.model(drawing(64)))
    assert logits.shape == (1, 2)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("plain-ccn", "plain-cnn"), ("efficientnet-lite", "efficientnet-lite0"), ("MobilNetV3Smal", "MobileNetV3Small")],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, suggested: str) -> None:
    with pytest.raises(ConfigError, match=f"No backbone is called `{name}`") as caught:
        build(name)
    assert f"`{suggested}`" in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_size_that_a_network_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="Keras cannot build `InceptionV3` for 64x64 px"):
        build("InceptionV3")


def test_weights_that_cannot_be_fetched_are_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from urllib.error import URLError

    from keras.src.utils import file_utils

    def offline(*_arguments: object, **_options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(file_utils, "urlretrieve", offline)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(ConfigError, match="The ImageNet weights of `MobileNetV2` could not be downloaded") as caught:
        build("MobileNetV2", weights="imagenet", size_px=96)
    assert "--weights none" in caught.value.fix
    assert "efficientnet-lite0" in caught.value.fix


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_freezing_leaves_the_top_share_trainable_and_normalisation_alone(fraction: float) -> None:
    backbone = build("efficientnet-lite0").backbone
    freeze_below(backbone, fraction)
    weighted = [layer for layer in backbone.layers if layer.weights]
    assert not any(layer.trainable for layer in weighted if isinstance(layer, keras.layers.BatchNormalization))
    trainable = [layer.trainable for layer in weighted if not isinstance(layer, keras.layers.BatchNormalization)]
    assert trainable == sorted(trainable)  # frozen below, trainable above
    assert np.mean(trainable) == pytest.approx(fraction, abs=0.05)
