"""The device that trains, and the numbers that it computes with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from hilum.film.preprocess import Preprocessing
from hilum.run.modelfile import Metadata
from hilum.train import device, trial
from hilum.train.batches import Films
from hilum.train.config import FitSettings, RunConfig
from hilum.train.device import device_words, precision_of
from hilum.train.fit import TrainingFilms, fit
from hilum.train.graph_file import LARGEST_DIFFERENCE
from hilum.train.networks import Network, compute_logits
from hilum.train.seal import save_keras, seal
from hilum.train.trial import fit_network

CONFIG = RunConfig(
    backbone="plain-cnn",
    weights="none",
    preprocessing=Preprocessing(size_px=32),
    fit=FitSettings(epochs=3, learning_rate=1e-3, batch_size=8, keep="last", precision="mixed_bfloat16"),
)


def with_precision(precision: str) -> RunConfig:
    return dataclasses.replace(CONFIG, fit=dataclasses.replace(CONFIG.fit, precision=precision))


def films(seed: int) -> Films:
    """Return films that are brighter above or below."""
    labels = np.arange(16) % 2
    pixels = np.random.default_rng(seed).random((16, 32, 32)) * 0.5
    pixels[labels == 0, :16] += 0.5
    pixels[labels == 1, 16:] += 0.5
    return Films(pixels.astype(np.float16), labels)


def test_a_named_precision_is_taken_without_a_measurement(tmp_path: Path) -> None:
    assert precision_of(with_precision("mixed_bfloat16"), tmp_path) == "mixed_bfloat16"
    words = device_words(with_precision("float32"), tmp_path)
    assert words.startswith("Training on ")
    assert words.endswith(" in float32.")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_auto_measures_once_and_a_continued_training_keeps_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, fit=dataclasses.replace(CONFIG.fit, precision="auto", batch_size=2))
    chosen = precision_of(config, tmp_path)
    times = json.loads((tmp_path / "precision.json").read_text())
    assert set(times) == {"float32", "mixed_bfloat16"}
    assert times[chosen] == min(times.values()) > 0
    monkeypatch.setattr(device, "_measured", None)
    assert precision_of(config, tmp_path) == chosen
    assert f" in {chosen}: " in device_words(config, tmp_path)


def test_the_words_name_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {"device_name": "NVIDIA T4"})
    assert device_words(CONFIG, tmp_path) == "Training on the GPU NVIDIA T4 in mixed_bfloat16."


@pytest.mark.slow
def test_what_trains_in_bfloat16_is_served_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Network] = []

    def watched(network: Network, *arguments: Any, **options: Any) -> Any:
        trained.append(network)
        return fit(network, *arguments, **options)

    monkeypatch.setattr(trial, "fit", watched)
    both = TrainingFilms(films(0), films(1))
    network, history = fit_network(both, CONFIG, num_findings=2, checkpoint=tmp_path / "model.npz")
    conv, served = trained[0].backbone.get_layer("conv2"), network.backbone.get_layer("conv2")
    assert (conv.compute_dtype, conv.variable_dtype) == ("bfloat16", "float32")
    assert (served.compute_dtype, network.head.get_layer("logits").compute_dtype) == ("float32", "float32")
    np.testing.assert_array_equal(np.asarray(conv.kernel), np.asarray(served.kernel))

    rough, exact = compute_logits(trained[0].model, both.validation), compute_logits(network.model, both.validation)
    assert rough.dtype == exact.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.1
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]

    pixels = both.validation.batch(slice(0, 16)).transpose(0, 3, 1, 2)
    metadata = Metadata(name="m", findings=("a", "b"), preprocessing=CONFIG.preprocessing, hilum_version="0.0")
    assert seal(network, pixels, metadata, tmp_path / "model.onnx") <= LARGEST_DIFFERENCE
    save_keras(network.model, tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
    assert loaded.optimizer.iterations == trained[0].model.optimizer.iterations > 0
