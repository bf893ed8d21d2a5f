"""The networks hilum trains, in Keras 3: ``plain-cnn``, EfficientNet-Lite and any ``keras.applications`` backbone.

``hilum-chest`` is ``efficientnet-lite0`` with the weights of the chest model that ships with hilum.

Every network takes ``film`` (N, S, S, 1) float32 in [0, 1] and returns logits (N, K). Its scaling of the input is
part of the network, so that nobody has to remember it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from hilum.errors import ConfigError, MissingExtra

try:
    import keras
    from keras import layers
except ImportError as error:  # pragma: no cover - seen only without the extra
    raise MissingExtra("Training", "train") from error

from hilum.train.backbones import LITES, OWN, application_names, check_backbone, name_key
from hilum.train.batches import Films
from hilum.train.efficientnet import efficientnet_lite, load_imagenet

__all__ = ["Network", "build_network", "compute_logits", "freeze_below", "weight_key"]

_CHEST_WEIGHTS = "chest_backbone.npz"  # in this package, half precision; made by recipes/chest.py

_PLAIN_CNN_CHANNELS = (16, 32, 64, 96, 128)
_PLAIN_CNN_HIDDEN = 64
_PREDICT_BATCH = 64

# How the families of keras.applications want their input: scale and offset of a value in [0, 1], for a grey film.
_MINUS_ONE_TO_ONE = (2.0, -1.0)
_IMAGENET_TORCH = ((1 / 0.229, 1 / 0.224, 1 / 0.225), (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225))
_IMAGENET_CAFFE = (255.0, (-103.939, -116.779, -123.68))
_AS_BYTES = (255.0, 0.0)
_INPUT_SCALING: tuple[tuple[str, Any], ...] = (
    (r"MobileNetV3|EfficientNet|ConvNeXt", _AS_BYTES),
    (r"MobileNet|Xception|Inception|ResNet\d+V2|NASNet", _MINUS_ONE_TO_ONE),
    (r"DenseNet", _IMAGENET_TORCH),
    (r"VGG|ResNet", _IMAGENET_CAFFE),
)


@dataclass(frozen=True, eq=False)
class Network:
    """A network in the three parts that training, sealing and explaining need.

    Attributes:
        model: The whole, (N, S, S, 1) in [0, 1] -> logits (N, K).
        backbone: (N, S, S, 1) -> feature maps (N, h, w, D).
        head: Feature maps (N, h, w, D) -> logits (N, K).
        name: The name it was asked for by.
        pretrained: Whether the backbone starts from weights learned elsewhere.
    """

    model: keras.Model
    backbone: keras.Model
    head: keras.Model
    name: str
    pretrained: bool


def build_network(
    backbone: str | Callable[[], keras.Model],
    *,
    num_findings: int,
    size_px: int,
    weights: str,
    dropout: float,
    precision: str = "float32",
) -> Network:
    """Return a new network, ready to train.

    Args:
        backbone: A name that check_backbone knows, or a function that returns a network of the user: films (N, S, S, 1)
            or (N, S, S, 3) in [0, 1] -> maps (N, h, w, D).
        num_findings: K, at least 2.
        size_px: S, the side of the square input.
        weights: ``imagenet`` to start from ImageNet where the network has such weights, ``chest`` (of hilum-chest) from
            chest films, ``none`` for random ones.
        dropout: Share of features dropped before the last layer in training, 0 to below 1.
        precision: What the backbone computes with, a dtype policy of Keras; weights and head are float32 in any case.

    Returns:
        The network; the head is always new.

    Raises:
        ConfigError: The name is unknown, its weights are not available, or the user's network does not fit.
    """
    make, name = (None, backbone) if isinstance(backbone, str) else (backbone, OWN)
    check_backbone(name, size_px)
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        body = _own(make, size_px) if name == OWN else _backbone(name, size_px, weights)
    finally:
        keras.config.set_dtype_policy(usual)
    head_of = _fully_connected_head if name == "plain-cnn" else _pooled_head
    head = head_of(body.output_shape[1:], num_findings, dropout)
    pretrained = weights != "none" and name != "plain-cnn"
    film = keras.Input((size_px, size_px, 1), name="film")
    model = keras.Model(film, head(body(film)), name=name.replace("-", "_"))
    return Network(model=model, backbone=body, head=head, name=name, pretrained=pretrained)


def compute_logits(model: keras.Model, films: Films) -> np.ndarray:
    """Return the logits (N, K) of films that are not augmented."""
    parts = [
        np.asarray(model.predict_on_batch(films.batch(slice(start, start + _PREDICT_BATCH))))
        for start in range(0, len(films), _PREDICT_BATCH)
    ]
    return np.concatenate(parts)  # (N, K)


def freeze_below(backbone: keras.Model, trainable_fraction: float) -> None:
    """Freeze the backbone but for the top share of its layers that hold weights.

    Batch normalisation stays frozen everywhere in a pretrained backbone: a hundred films are too few for new
    statistics, and frozen ones make training and serving the same function.

    Args:
        backbone: The backbone, changed in place.
        trainable_fraction: 0 freezes all of it, 1 trains all of it.
    """
    backbone.trainable = True
    weighted = [layer for layer in backbone.layers if layer.weights]
    num_frozen = round(len(weighted) * (1 - trainable_fraction))
    for position, layer in enumerate(weighted):
        layer.trainable = position >= num_frozen and not isinstance(layer, layers.BatchNormalization)


def _backbone(name: str, size_px: int, weights: str) -> keras.Model:
    if name == "plain-cnn":
        return _plain_cnn(size_px)
    if name not in LITES:
        return _application(name, size_px, weights)
    backbone = efficientnet_lite(LITES[name], size_px)
    if weights == "imagenet":
        load_imagenet(backbone, name)
    elif weights == "chest":
        _load_chest(backbone)
    return backbone


def _own(make: Callable[[], keras.Model] | None, size_px: int) -> keras.Model:
    """Return the user's network as a backbone of grey films."""
    if make is None:
        raise ConfigError("The backbone `own` is a network that is given in Python.", fix="Name another backbone.")
    model = make()
    taken, given = model.input_shape, model.output_shape
    if taken[1:] not in ((size_px, size_px, 1), (size_px, size_px, 3)) or len(given) != 4:
        raise ConfigError(
            f"The backbone must take films (N, {size_px}, {size_px}, 1 or 3) and return maps (N, h, w, D); it takes "
            f"{taken} and returns {given}."
        )
    if taken[-1] == 1:
        return model
    film = keras.Input((size_px, size_px, 1), name="film")
    return keras.Model(film, model(layers.Concatenate(name="three_channels")([film, film, film])), name="own_backbone")


def _pooled_head(shape: tuple[int, ...], num_findings: int, dropout: float) -> keras.Model:
    maps = keras.Input(shape, name="maps")
    features = layers.GlobalAveragePooling2D(name="features")(maps)
    dropped = layers.Dropout(dropout)(features)
    return keras.Model(maps, layers.Dense(num_findings, name="logits")(dropped), name="head")


def _fully_connected_head(shape: tuple[int, ...], num_findings: int, dropout: float) -> keras.Model:
    maps = keras.Input(shape, name="maps")
    flat = layers.Flatten(name="flat")(maps)
    features = layers.Dense(_PLAIN_CNN_HIDDEN, activation="relu", name="features")(layers.Dropout(dropout)(flat))
    dropped = layers.Dropout(dropout)(features)
    return keras.Model(maps, layers.Dense(num_findings, name="logits")(dropped), name="head")


def _plain_cnn(size_px: int) -> keras.Model:
    film = keras.Input((size_px, size_px, 1), name="film")
    x = layers.Rescaling(2.0, offset=-1.0)(film)
    for number, channels in enumerate(_PLAIN_CNN_CHANNELS, start=1):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if number < len(_PLAIN_CNN_CHANNELS):  # the last maps keep 4 places a side at 64 px, for the heat map
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    return keras.Model(film, x, name="plain_cnn_backbone")


def _load_chest(backbone: keras.Model) -> None:
    with (files("hilum.train") / _CHEST_WEIGHTS).open("rb") as file, np.load(file, allow_pickle=False) as saved:
        for weight in backbone.weights:
            weight.assign(saved[weight_key(weight)].astype(np.float32))


def weight_key(weight: Any) -> str:
    """Return under which name a backbone's weight is kept in a file, the same for every backbone of the kind."""
    return "/".join(weight.path.split("/")[-2:])


def _application(name: str, size_px: int, weights: str) -> keras.Model:
    known = next(one for one in application_names() if name_key(one) == name_key(name))
    constructor = getattr(keras.applications, known)
    try:
        inner = constructor(
            include_top=False, weights=None if weights == "none" else weights, input_shape=(size_px, size_px, 3)
        )
    except ValueError as error:
        raise ConfigError(f"Keras cannot build `{name}` for {size_px}x{size_px} px: {error}") from error
    except Exception as error:  # keras raises bare Exception when a download fails
        raise ConfigError(
            f"The ImageNet weights of `{name}` could not be downloaded ({type(error).__name__}).",
            fix="Connect to the internet once (Keras keeps them in ~/.keras/models), train it from "
            "scratch with `--weights none`, "
            "or use efficientnet-lite0, whose weights are installed with hilum.",
        ) from error
    scale, offset = next(
        (value for pattern, value in _INPUT_SCALING if re.match(pattern, constructor.__name__)), _AS_BYTES
    )
    film = keras.Input((size_px, size_px, 1), name="film")
    x = layers.Concatenate(name="three_channels")([film, film, film])
    x = layers.Rescaling(_as_list(scale), offset=_as_list(offset), name="input_scaling")(x)
    return keras.Model(film, _without_normalization(inner)(x), name=f"{name_key(name)}_backbone")


def _as_list(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _without_normalization(model: keras.Model) -> keras.Model:
    """Return the model with Normalization layers as Rescaling: the former do not survive the export to ONNX."""
    if not any(isinstance(layer, layers.Normalization) for layer in model.layers):
        return model

    def exchange(layer: Any) -> Any:
        if not isinstance(layer, layers.Normalization):
            return layer.__class__.from_config(layer.get_config())
        mean, variance = np.asarray(layer.mean).ravel(), np.asarray(layer.variance).ravel()
        scale = 1 / np.maximum(np.sqrt(variance), keras.backend.epsilon())
        return layers.Rescaling(scale.tolist(), offset=(-mean * scale).tolist(), name=layer.name)

    changed = keras.models.clone_model(model, clone_function=exchange)
    kept = [layer for layer in model.layers if layer.weights and not isinstance(layer, layers.Normalization)]
    for layer in kept:
        changed.get_layer(layer.name).set_weights(layer.get_weights())
    return changed
