"""A graph that is not safe is refused by its bytes alone, wherever in the file it hides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hilum.run.onnx_bytes
from hilum.run.modelfile import read_model_file

from .shared import refused

WriteModel = Callable[..., Path]
BuildGraph = Callable[[], onnx.ModelProto]


def with_node(build: BuildGraph, node: onnx.NodeProto) -> onnx.ModelProto:
    model = build()
    model.graph.node.append(node)
    return model


def branch() -> onnx.GraphProto:
    value = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [1])
    constant = helper.make_node("Constant", [], ["out"], value_float=1.0)
    return helper.make_graph([constant], "body", [], [value])


@pytest.mark.parametrize("operator", ["Loop", "If", "Scan", "SequenceMap", "Something"])
def test_graphs_that_repeat_or_branch_are_refused(
    tmp_path: Path, tiny_graph: BuildGraph, write_model: WriteModel, operator: str
) -> None:
    node = helper.make_node(operator, ["film"], ["more"], body=branch())
    error = refused(write_model(tmp_path / "model.onnx", graph=with_node(tiny_graph, node)))
    assert "a loop, a branch or a function" in error.message
    if operator != "Something":  # without its graph it is of no use, and no better
        bare = helper.make_node(operator, ["film"], ["more"])
        assert "loop" in refused(write_model(tmp_path / "bare.onnx", graph=with_node(tiny_graph, bare))).message


def test_graphs_with_functions_are_refused(tmp_path: Path, tiny_graph: BuildGraph, write_model: WriteModel) -> None:
    model = tiny_graph()
    body = [helper.make_node("Relu", ["x"], ["y"])]
    made = helper.make_function("of.mine", "Twice", ["x"], ["y"], body, [helper.make_opsetid("", 15)])
    model.functions.append(made)
    assert "function" in refused(write_model(tmp_path / "model.onnx", graph=model)).message


def test_a_graph_with_too_many_nodes_is_refused(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hilum.run.onnx_bytes, "MAX_NODES", 5)
    assert "more than 5 nodes" in refused(tiny_model).message


def outside_tensor(name: str = "outside") -> TensorProto:
    """Return a tensor whose numbers lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def in_an_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(outside_tensor())


def in_a_sparse_initializer(model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(outside_tensor())


def in_a_node(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["constant"])
    node.attribute.append(helper.make_attribute("value", outside_tensor()))
    model.graph.node.append(node)


def in_a_list_of_tensors(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["constant"])
    attribute = node.attribute.add(name="values", type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(outside_tensor())
    model.graph.node.append(node)


def in_nested_subgraphs(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [outside_tensor()])
    for depth in range(30):
        inner = helper.make_graph([helper.make_node("If", ["film"], ["x"], then_branch=inner)], f"g{depth}", [], [])
    model.graph.node.extend(inner.node)


def in_a_list_of_subgraphs(model: onnx.ModelProto) -> None:
    node = helper.make_node("Scan", ["film"], ["x"])
    attribute = node.attribute.add(name="bodies", type=onnx.AttributeProto.GRAPHS)
    attribute.graphs.append(helper.make_graph([], "inner", [], [], [outside_tensor()]))
    model.graph.node.append(node)


def in_a_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["y"], value=outside_tensor())
    model.functions.append(helper.make_function("own", "f", [], ["y"], [node], [helper.make_opsetid("", 15)]))


def in_a_functions_default(model: onnx.ModelProto) -> None:
    function = helper.make_function("own", "f", [], [], [], [helper.make_opsetid("", 15)])
    function.attribute_proto.append(helper.make_attribute("value", outside_tensor()))
    model.functions.append(function)


def in_training_info(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(outside_tensor())


@pytest.mark.parametrize(
    "hide",
    [
        in_an_initializer,
        in_a_sparse_initializer,
        in_a_node,
        in_a_list_of_tensors,
        in_nested_subgraphs,
        in_a_list_of_subgraphs,
        in_a_function,
        in_a_functions_default,
        in_training_info,
    ],
    ids=lambda hide: hide.__name__,
)
def test_data_outside_the_file_are_refused(
    tmp_path: Path, write_model: WriteModel, tiny_graph: BuildGraph, hide: Callable[[onnx.ModelProto], None]
) -> None:
    model = tiny_graph()
    hide(model)
    assert "refers to data outside itself" in refused(write_model(tmp_path / "model.onnx", graph=model)).message


def test_a_location_alone_is_refused_even_where_it_is_not_said_to_be_used(
    tmp_path: Path, write_model: WriteModel, tiny_graph: BuildGraph
) -> None:
    model = tiny_graph()
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "inside")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    model.graph.initializer.append(tensor)
    refused(write_model(tmp_path / "model.onnx", graph=model))


def test_tensors_inside_are_let_through(tmp_path: Path, write_model: WriteModel, tiny_graph: BuildGraph) -> None:
    model = tiny_graph()
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "inside")
    tensor.data_location = TensorProto.DEFAULT
    model.graph.initializer.append(tensor)
    model.graph.node.append(helper.make_node("Constant", [], ["constant"], value=tensor))
    read_model_file(write_model(tmp_path / "model.onnx", graph=model))
