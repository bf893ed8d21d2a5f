"""The graph from pixels to probabilities answers as `predict` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from hilum.errors import ModelFileError
from hilum.film.preprocess import Preprocessing
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.correction import Correction
from hilum.train.ensemble.combination import Combination
from hilum.train.ensemble.merge import GraphPart, merge_graphs
from hilum.train.graph_file import corrected_graph, read_graph, write_model
from hilum.train.pixels_graph import pixels_graph

SHAPES = [(20, 50), (32, 32), (31, 90), (40, 64), (63, 300), (128, 128), (129, 257), (500, 611)]  # S is 32


def answers(path: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and features of a model file's graph from pixels, by onnxruntime."""
    read = read_model_file(path)
    graph = pixels_graph(read_graph(read.data), read.metadata)
    found = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"pixels": pixels})
    return found[0], found[1]


def check(path: Path, pixels: np.ndarray) -> None:
    wanted = Classifier(path).predict(pixels)
    probabilities, features = answers(path, pixels)
    assert probabilities == pytest.approx(list(wanted.probabilities.values()), abs=1e-5)
    assert features == pytest.approx(wanted.features, abs=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_films_of_any_size(tiny_model: Path, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape)
    check(tiny_model, rng.integers(0, 256, shape, np.uint8))
    check(tiny_model, (rng.beta(2, 5, shape) * 170).astype(np.uint8))  # many pixels lie between two of the 256 levels


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_film_without_contrast(tiny_model: Path, value: int) -> None:
    check(tiny_model, np.full((80, 90), value, np.uint8))


@pytest.mark.parametrize("settings", [{"equalize": False}, {"window_percentiles": (0, 100)}, {"size_px": 32}])
def test_every_setting_of_preprocessing(
    write_model: Callable[..., Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    preprocessing = dataclasses.replace(Preprocessing(size_px=32), **settings)
    path = write_model(tmp_path / "model.onnx", preprocessing=preprocessing.to_dict())
    check(path, np.random.default_rng(1).integers(20, 190, (97, 71), np.uint8))


def test_ports_and_names(tiny_model: Path) -> None:
    read = read_model_file(tiny_model)
    graph = pixels_graph(read_graph(read.data), read.metadata)
    ports = {
        port.name: [axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim]
        for port in (*graph.graph.input, *graph.graph.output)
    }
    assert ports == {"pixels": ["H", "W"], "probabilities": [3], "features": [4]}
    assert graph.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not any("activation" in name for node in graph.graph.node for name in node.output)  # nobody asks for it
    assert not graph.metadata_props


def test_a_corrected_model(tiny_model: Path, tiny_metadata: Metadata, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    correction = Correction("linear", 1.0, rng.normal(size=3), rng.normal(size=(4, 3)), 30.0)
    graph, _ = corrected_graph(read_graph(tiny_model.read_bytes()), correction)
    write_model(tmp_path / "new.onnx", graph, tiny_metadata)
    check(tmp_path / "new.onnx", rng.integers(0, 256, (80, 70), np.uint8))


def test_an_ensemble(tiny_graph: Callable[[], Any], write_model: Callable[..., Path], tmp_path: Path) -> None:
    parts = [GraphPart(tiny_graph(), temperature, 32, (0, 1, 2)) for temperature in (0.7, 2.0)]
    graph = merge_graphs(parts, Combination("average"), size_px=32, equalize=True)
    path = write_model(tmp_path / "model.onnx", graph=graph, temperature=1.0)
    check(path, np.random.default_rng(5).integers(0, 256, (80, 70), np.uint8))


def test_what_cannot_be_exported(
    write_model: Callable[..., Path], tiny_graph: Callable[[], Any], tmp_path: Path
) -> None:
    noisy = Preprocessing(size_px=32, denoise="median").to_dict()
    with pytest.raises(ModelFileError, match=r"`preprocessing.denoise` is `median`"):
        answers(write_model(tmp_path / "denoise.onnx", preprocessing=noisy), np.zeros((64, 64), np.uint8))
    graph = tiny_graph()
    graph.opset_import[0].version = 11
    with pytest.raises(ModelFileError, match="operator set 11"):
        answers(write_model(tmp_path / "old.onnx", graph=graph), np.zeros((64, 64), np.uint8))
