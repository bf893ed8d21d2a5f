"""Training the gate's network and sealing it as the file that ships with hilum; recipes/gate.py is its command."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from helper_network import seal_helper
from hilum.run.answer import softmax
from hilum.run.gate import GATE_KEY, KINDS, VIEW_PX, load_gate

__all__ = ["build_gate", "fit_gate", "gate_probabilities", "seal_gate"]

_CHANNELS = (24, 32, 48, 64)
_HIDDEN = 48
_LARGEST_DIFFERENCE = 1e-3  # of a probability, between the engine and Keras
_PREDICT_BATCH = 512
Views = NDArray[np.float32]


def build_gate() -> keras.Model:
    """Return the gate's network, untrained: views (N, 1, 64, 64) -> logits (N, 10), some 70,000 weights."""
    view = keras.Input((1, VIEW_PX, VIEW_PX), name="view")
    x = layers.Rescaling(2.0, offset=-1.0)(layers.Reshape((VIEW_PX, VIEW_PX, 1))(view))
    x = _conv(x, 16, kernel=5, strides=2)
    for channels in _CHANNELS:
        x = layers.MaxPooling2D(2)(_conv(x, channels)) if channels != _CHANNELS[-1] else _conv(x, channels)
    x = _conv(x, 16, kernel=1)  # places are kept: up and down must be told apart
    x = layers.Dense(_HIDDEN, activation="relu")(layers.Dropout(0.1)(layers.Flatten()(x)))
    return keras.Model(view, layers.Dense(len(KINDS), name="logits")(x), name="gate")


def _conv(x: keras.KerasTensor, channels: int, *, kernel: int = 3, strides: int = 1) -> keras.KerasTensor:
    x = layers.Conv2D(channels, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def fit_gate(views: Views, kinds: NDArray[np.int64], *, epochs: int, seed: int, batch_size: int = 128) -> keras.Model:
    """Return a gate's network fitted to views (N, 1, 64, 64) and their kinds (N,), indices into KINDS."""
    keras.utils.set_random_seed(seed)
    model = build_gate()
    num_steps = epochs * -(-len(views) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, num_steps, warmup_target=3e-3, warmup_steps=num_steps // 10)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.02),
    )
    model.fit(views, np.eye(len(KINDS), dtype=np.float32)[kinds], batch_size=batch_size, epochs=epochs, verbose=0)
    return model


def gate_probabilities(model: keras.Model, views: Views) -> NDArray[np.float64]:
    """Return how likely each view (N, 1, 64, 64) is of each kind, (N, 10)."""
    return softmax(model.predict(views, batch_size=_PREDICT_BATCH, verbose=0))


def seal_gate(model: keras.Model, views: Views, path: Path, *, least_chest: float, most_cut_off: float) -> int:
    """Write the gate's file, unless the engine disagrees with Keras; return its bytes.

    Args:
        model: The trained network.
        views: (N, 1, 64, 64), to compare on.
        path: Where the file goes; replaced in one step.
        least_chest: As in run.gate.GateNetwork.
        most_cut_off: As there.

    Raises:
        ModelFileError: Engine and Keras disagree; nothing is written.
    """
    expected = gate_probabilities(model, views)

    def difference(data: bytes) -> float:
        network = load_gate(data, "f32")
        return float(np.abs(np.array([network.probabilities(view) for view in views]) - expected).max())

    facts = {"kinds": KINDS, "least_chest": least_chest, "most_cut_off": most_cut_off}
    return seal_helper(model, path, facts, key=GATE_KEY, difference=difference, most=_LARGEST_DIFFERENCE)
