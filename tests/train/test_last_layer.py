"""The last layer of a network: fitted on features, and settled for films of other sources."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.train.batches import Films
from hilum.train.features import HeadFeatures, pooled_features
from hilum.train.head import fit_linear
from hilum.train.last_layer import fit_last_layer, settle_last_layer
from hilum.train.networks import build_network, compute_logits

LABELS = np.arange(24) % 2


def films(size_px: int) -> Films:
    pixels = np.random.default_rng(0).random((24, size_px, size_px)) * 0.5 + 0.4 * LABELS[:, None, None]
    return Films(pixels.astype(np.float16), LABELS, np.zeros(24, int))


def test_it_becomes_the_mean_of_itself_and_of_a_shrunk_head() -> None:
    train, weights = films(64), np.ones(24)
    net = build_network("efficientnet-lite0", num_findings=2, size_px=64, weights="imagenet", dropout=0.0)
    views = pooled_features(net, train.pixels)
    assert fit_last_layer(net, HeadFeatures(views, views[0][:8]), LABELS, weights, lambda _: 0.0) == 3.0
    alone, shrunk = net.head.get_layer("logits").get_weights()[0], fit_linear(views[0], LABELS, weights, penalty=1e4)
    settle_last_layer(net, train, weights, train.subset(np.arange(8)))
    kernel = net.head.get_layer("logits").get_weights()[0]

    def likeness(one: np.ndarray, other: np.ndarray) -> float:
        one, other = one[:, 1] - one[:, 0], other[:, 1] - other[:, 0]
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    assert likeness(kernel, shrunk.kernel) > likeness(alone, shrunk.kernel)
    assert (compute_logits(net.model, train).argmax(axis=1) == LABELS).mean() > 0.9


def test_of_a_network_that_began_with_random_weights_only_the_constants_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.train.last_layer.prior_shift", lambda *_: np.array([3.0, -3.0], np.float32))
    net, train = build_network("plain-cnn", num_findings=2, size_px=32, weights="none", dropout=0.0), films(32)
    before = net.head.get_layer("logits").get_weights()
    settle_last_layer(net, train, np.ones(24), train)
    after = net.head.get_layer("logits").get_weights()
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_allclose(after[1] - before[1], [1.5, -1.5], atol=1e-6)
