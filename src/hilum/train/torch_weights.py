"""Reads the tensors of a legacy PyTorch weight file without PyTorch and without trusting it.

Such a file is a row of pickles followed by raw tensor storage. The unpickler here knows four harmless names
and refuses every other, so a file can bring numbers and nothing else.

Source: the format as written by ``torch.save(..., _use_new_zipfile_serialization=False)``.
"""

from __future__ import annotations

import collections
import pickle
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np

from hilum.errors import ModelFileError

__all__ = ["read_torch_weights"]

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


class _Storage:
    """A run of numbers that tensors view; filled after the pickles have been read."""

    def __init__(self, dtype: np.dtype, num_elements: int) -> None:
        self.dtype = dtype
        self.num_elements = num_elements
        self.numbers: np.ndarray | None = None


class _Tensor:
    """A view of a storage: offset, shape and strides, counted in elements."""

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def to_numpy(self) -> np.ndarray:
        numbers = self.storage.numbers
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if numbers is None or self.offset < 0 or min(self.stride, default=0) < 0 or last >= len(numbers):
            raise ModelFileError("A tensor of the weight file reaches outside its storage.")
        strides = tuple(step * numbers.itemsize for step in self.stride)
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides).copy()


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise ModelFileError(f"The weight file asks for `{module}.{name}`; only tensors are read, nothing was run.")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, num_elements, view = pid
        if kind != "storage" or view is not None or not isinstance(dtype, np.dtype):
            raise ModelFileError("The weight file holds a storage of an unknown kind.")
        return self.storages.setdefault(str(key), _Storage(dtype, int(num_elements)))


def read_torch_weights(path: Path) -> dict[str, np.ndarray]:
    """Return the named tensors of a legacy PyTorch weight file.

    Args:
        path: The ``.pth`` file.

    Returns:
        Name to array, in the layout PyTorch uses (convolutions: out, in, height, width).

    Raises:
        ModelFileError: The file is not of this format, is cut short, or asks for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except ModelFileError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise ModelFileError(f"Cannot read the weight file `{path.name}`: {error}.") from error


def _read(file: IO[bytes]) -> dict[str, np.ndarray]:
    if _RestrictedUnpickler(file).load() != _MAGIC_NUMBER:
        raise ModelFileError("The weight file is not in the legacy PyTorch format.")
    _RestrictedUnpickler(file).load()  # protocol version
    _RestrictedUnpickler(file).load()  # facts about the writing machine
    unpickler = _RestrictedUnpickler(file)
    tensors = unpickler.load()
    for key in _RestrictedUnpickler(file).load():
        storage = unpickler.storages[str(key)]
        (num_elements,) = struct.unpack("<q", file.read(8))
        if num_elements != storage.num_elements:
            raise ModelFileError("A storage of the weight file has another length than its tensors say.")
        data = file.read(num_elements * storage.dtype.itemsize)
        if len(data) != num_elements * storage.dtype.itemsize:
            raise ModelFileError("The weight file is cut short.")
        storage.numbers = np.frombuffer(data, storage.dtype)
    return {str(name): tensor.to_numpy() for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}
