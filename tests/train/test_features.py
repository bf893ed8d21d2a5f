"""Pooled features: those of the backbone, in the views that a head is fitted on."""

from __future__ import annotations

import keras
import numpy as np

from hilum.train.features import pooled_features
from hilum.train.networks import Network


def small() -> Network:
    film = keras.Input((16, 16, 1))
    backbone = keras.Model(film, keras.layers.Conv2D(3, 5, strides=4)(film))
    maps = keras.Input(backbone.output_shape[1:])
    head = keras.Model(maps, keras.layers.GlobalAveragePooling2D(name="features")(maps))
    return Network(keras.Model(film, head(backbone(film))), backbone, head, "small", True)


def test_features_are_those_of_the_backbone_in_one_view_or_two() -> None:
    network, steps = small(), []
    pixels = np.random.default_rng(0).random((70, 16, 16)).astype(np.float16)
    found = pooled_features(network, pixels, mirrored=True, step=lambda: steps.append(1))
    films = pixels[..., np.newaxis].astype(np.float32)
    for view, seen in zip(found, (films, films[:, :, ::-1]), strict=True):
        np.testing.assert_allclose(view, np.asarray(network.backbone(seen)).mean(axis=(1, 2)), atol=1e-5)
    assert len(steps) == 4
    assert pooled_features(network, pixels).shape == (1, 70, 3)
