"""Writing a graph node by node."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from hilum.train.graph_draft import GraphDraft


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
