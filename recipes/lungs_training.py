"""Training the lung segmenter's network and sealing it as the file that ships; recipes/lungs.py is its command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers, ops
from numpy.typing import NDArray

from helper_network import seal_helper
from hilum.run.lungs import LUNGS_KEY, LUNGS_PREPROCESSING, LUNGS_PX, load_lungs

__all__ = ["build_lungs", "fit_lungs", "lung_logits", "seal_lungs"]

_DEPTHS = (16, 32, 64, 96)  # channels at 64, 32, 16 and 8 pixels a side
_LARGEST_DIFFERENCE = 5e-3  # of a probability, between the engine with weights in half precision and Keras
_SMALLEST_HALVED = 256  # weights; smaller constants stay as they are
_PREDICT_BATCH = 64
Views = NDArray[np.float32]


def build_lungs(depths: tuple[int, ...] = _DEPTHS) -> keras.Model:
    """Return the segmenter's network, untrained: views (N, 1, 128, 128) -> logits (N, 1, 128, 128).

    Source: Ronneberger, Fischer, Brox 2015, U-Net (here maps are added, not joined: half the arithmetic).
    """
    view = keras.Input((1, LUNGS_PX, LUNGS_PX), name="view")
    x = layers.Rescaling(2.0, offset=-1.0)(layers.Reshape((LUNGS_PX, LUNGS_PX, 1))(view))
    skips = [_conv(x, depths[0], kernel=5, strides=2)]
    for depth in depths[1:]:
        skips.append(_conv(_conv(skips[-1], depth, strides=2), depth))
    x = _conv(_conv(skips[-1], depths[-1], dilation=2), depths[-1])
    for depth, skip in zip(depths[-2::-1], skips[-2::-1], strict=True):
        x = layers.UpSampling2D(2, interpolation="bilinear")(_conv(x, depth, kernel=1))
        x = _conv(_conv(layers.Add()([x, skip]), depth), depth)
    x = layers.Conv2DTranspose(1, 2, strides=2)(x)  # (N, 128, 128, 1)
    return keras.Model(view, layers.Reshape((1, LUNGS_PX, LUNGS_PX), name="lungs")(x), name="lungs")


def _conv(
    x: keras.KerasTensor, channels: int, *, kernel: int = 3, strides: int = 1, dilation: int = 1
) -> keras.KerasTensor:
    x = layers.Conv2D(
        channels,
        kernel,
        strides=strides,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))


def _loss(truth: Any, logits: Any) -> Any:
    """Return binary cross-entropy plus one minus the soft Dice coefficient, a film."""
    entropy = ops.mean(ops.relu(logits) - logits * truth + ops.softplus(-ops.abs(logits)), axis=(1, 2, 3))
    lungs = ops.sigmoid(logits)
    shared, both = ops.sum(lungs * truth, axis=(1, 2, 3)), ops.sum(lungs + truth, axis=(1, 2, 3))
    return entropy + 1 - (2 * shared + 50.0) / (both + 50.0)


class _Views(keras.utils.PyDataset):
    """Batches made as they are asked for, each from its own seed: the same whatever order they are made in."""

    def __init__(self, make: Callable[[np.random.Generator], tuple[Views, Views]], num: int, size: int, seed: int):
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self._make, self._num, self._size, self._seed = make, num, size, seed

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> tuple[Views, Views]:
        rng = np.random.default_rng([self._seed, index])
        made = [self._make(rng) for _ in range(self._size)]
        return np.stack([view for view, _ in made]), np.stack([mask for _, mask in made])


def fit_lungs(
    make_view: Callable[[np.random.Generator], tuple[Views, Views]],
    *,
    num_steps: int,
    seed: int,
    batch_size: int = 16,
    depths: tuple[int, ...] = _DEPTHS,
    rate: float = 3e-3,
) -> keras.Model:
    """Return a segmenter's network fitted to views.

    Args:
        make_view: Returns a view (1, 128, 128) and its mask, 0 or 1, of the same shape, from a random generator.
        num_steps: Batches to learn from.
        seed: Decides first weights and views; the same seed gives the same network on the same machine.
        batch_size: Views a batch.
        depths: Channels from the finest maps to the coarsest.
    """
    keras.utils.set_random_seed(seed)
    model = build_lungs(depths)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps, warmup_target=rate, warmup_steps=max(num_steps // 20, 1)
    )
    model.compile(optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-3), loss=_loss)
    model.fit(_Views(make_view, num_steps, batch_size, seed), epochs=1, shuffle=False, verbose=0)
    return model


def lung_logits(model: keras.Model, views: Views) -> NDArray[np.float32]:
    """Return logits of lung (N, 128, 128) for views (N, 1, 128, 128)."""
    return np.asarray(model.predict(views, batch_size=_PREDICT_BATCH, verbose=0))[:, 0]


def seal_lungs(model: keras.Model, views: Views, path: Path, facts: Mapping[str, Any]) -> int:
    """Write the segmenter's file, unless the engine disagrees with Keras; return its bytes.

    Args:
        model: The trained network.
        views: (N, 1, 128, 128), to compare on.
        path: Where the file goes; replaced in one step.
        facts: What the file says of itself: source and licence of its training films, figures.

    Raises:
        ModelFileError: Engine and Keras disagree; nothing is written.
    """
    expected = _sigmoid(lung_logits(model, views))

    def difference(data: bytes) -> float:
        network = load_lungs(data, "f32")
        return float(np.abs(_sigmoid(np.array([network.scores(view) for view in views])) - expected).max())

    told = {**facts, "preprocessing": LUNGS_PREPROCESSING.to_dict()}
    return seal_helper(
        model, path, told, key=LUNGS_KEY, difference=difference, most=_LARGEST_DIFFERENCE, change=_halve_weights
    )


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))), np.float32)


def _halve_weights(graph: onnx.ModelProto) -> None:
    """Keep large constants in half precision; a cast before their use leaves the arithmetic in float32."""
    casts = []
    for item in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(item)
        if values.dtype == np.float32 and values.size >= _SMALLEST_HALVED:
            name = item.name
            item.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}:half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}:half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
