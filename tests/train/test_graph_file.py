"""Writing model files: metadata, and graphs whose logits are corrected."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from hilum.errors import ModelFileError
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.correction import Correction
from hilum.train.graph_file import (
    LARGEST_DIFFERENCE,
    GraphDraft,
    corrected_graph,
    read_graph,
    seal_corrected,
    write_metadata,
    write_model,
)

RNG = np.random.default_rng(3)
FILMS = RNG.random((3, 1, 32, 32), dtype=np.float32)
LINEAR = Correction("linear", 1.0, RNG.normal(size=3), RNG.normal(size=(4, 3)), 30.0)


def run(path: Path) -> Any:
    return Engine(read_model_file(path)).run(FILMS)


def test_logits_and_heat_maps_are_corrected(tmp_path: Path, tiny_model: Path, tiny_metadata: Metadata) -> None:
    shipped, path = run(tiny_model), tmp_path / "new.onnx"
    graph, follows = corrected_graph(read_graph(tiny_model.read_bytes()), LINEAR)
    write_model(path, graph, tiny_metadata)
    found = run(path)
    assert follows
    added = shipped.features @ LINEAR.kernel
    assert found.logits == pytest.approx(shipped.logits + LINEAR.constants + added, abs=1e-4)
    assert found.features == pytest.approx(shipped.features)
    sums = found.activation.sum(axis=(2, 3)) - shipped.activation.sum(axis=(2, 3))
    assert sums == pytest.approx(added, abs=1e-4)  # the map still sums to the logit, but for the constants


def test_a_model_may_be_corrected_twice(tmp_path: Path, tiny_model: Path, tiny_metadata: Metadata) -> None:
    graph = read_graph(tiny_model.read_bytes())
    for _ in range(2):
        graph, _ = corrected_graph(graph, LINEAR)
    write_model(tmp_path / "new.onnx", graph, tiny_metadata)
    shipped = run(tiny_model)
    added = 2 * (shipped.features @ LINEAR.kernel + LINEAR.constants)
    assert run(tmp_path / "new.onnx").logits == pytest.approx(shipped.logits + added, abs=1e-4)


def test_other_heat_maps_stay(
    tmp_path: Path, tiny_model: Path, tiny_graph: Callable[[], Any], tiny_metadata: Metadata
) -> None:
    graph = tiny_graph()
    pooled = next(node for node in graph.graph.node if node.op_type == "GlobalAveragePool")
    pooled.op_type = "GlobalMaxPool"
    made, follows = corrected_graph(graph, LINEAR)
    write_model(tmp_path / "new.onnx", made, tiny_metadata)
    assert not follows
    assert run(tmp_path / "new.onnx").activation == pytest.approx(run(tiny_model).activation)


def test_constants_alone_leave_the_maps(tmp_path: Path, tiny_model: Path, tiny_metadata: Metadata) -> None:
    graph, follows = corrected_graph(read_graph(tiny_model.read_bytes()), dataclasses.replace(LINEAR, kernel=None))
    write_model(tmp_path / "new.onnx", graph, tiny_metadata)
    shipped, found = run(tiny_model), run(tmp_path / "new.onnx")
    assert follows
    assert found.logits == pytest.approx(shipped.logits + LINEAR.constants, abs=1e-4)
    assert found.activation == pytest.approx(shipped.activation)


def test_metadata_are_replaced_and_the_graph_is_not(tmp_path: Path, write_model: Callable[..., Path]) -> None:
    path = write_model(tmp_path / "model.onnx")
    logits, metadata = run(path).logits, read_model_file(path).metadata
    write_metadata(path, dataclasses.replace(metadata, name="other"))
    assert read_model_file(path).metadata.name == "other"
    assert run(path).logits.tolist() == logits.tolist()


def test_it_is_written_where_it_agrees_and_not_where_it_does_not(
    tmp_path: Path, tiny_model: Path, tiny_metadata: Metadata
) -> None:
    parent, correction = read_model_file(tiny_model), Correction("constants", 1.0, np.array([1.0, -1.0, 0.0]))
    expected = Engine(parent).run(FILMS).logits + correction.constants
    path = tmp_path / "model.onnx"
    difference, follows = seal_corrected(path, parent, correction, tiny_metadata, (FILMS, expected))
    assert (difference <= LARGEST_DIFFERENCE, follows) == (True, True)
    assert Engine(read_model_file(path)).run(FILMS).logits == pytest.approx(expected, abs=1e-4)
    path.unlink()
    with pytest.raises(ModelFileError, match=r"differ by 0\.01 in logits on 3 films"):
        seal_corrected(path, parent, correction, tiny_metadata, (FILMS, expected + 0.01))
    assert list(tmp_path.iterdir()) == []


def test_numbers_become_constants_and_inner_names_get_a_prefix() -> None:
    draft = GraphDraft()
    places = draft.node("TopK", "values", [2], num_outputs=2, largest=1)
    halved = draft.node("Mul", places, 0.5)
    draft.node("Gather", halved, 1, axis=0, output="second")
    shapes = {"values": ["n"], "second": []}
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    model = draft.model("part", ports[:1], ports[1:], 15, 8)
    onnx.checker.check_model(model)
    found = ReferenceEvaluator(model).run(None, {"values": np.array([1, 8, 4], np.float32)})[0]
    assert (found, found.dtype) == (2.0, np.float32)
    inner = {name for node in model.graph.node for name in (*node.input, *node.output)} - {"values", "second"}
    assert inner
    assert all(name.startswith("part/") for name in inner)
    assert {tensor.data_type for tensor in model.graph.initializer} == {TensorProto.INT64, TensorProto.FLOAT}
