"""Writing an ONNX graph node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["GraphDraft", "Input"]

Input = str | int | float | list[int] | NDArray[Any] | np.generic


class GraphDraft:
    """Nodes and constants of a graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: Input, output: str = "", num_outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first output.

        Args:
            operator: Its type.
            inputs: Names of values. A number, list or array becomes a constant: int64 of int, float32 of float.
            output: The name of the first output; made up by default.
            num_outputs: How many outputs the operator has.
            attributes: Of the node.
        """
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        ports = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        names = [name, *(f"{name}_{number}" for number in range(1, num_outputs))]
        self.nodes.append(helper.make_node(operator, ports, names, **attributes))
        return name

    def mean(self, name: str, *, axis: int, keepdims: int = 0) -> str:
        """Add nodes for the mean over an axis."""
        return self.node("ReduceMean", name, axes=[axis], keepdims=keepdims)

    def cast(self, name: str, *, to: int = TensorProto.FLOAT) -> str:
        """Add a node that turns values into another type, float32 by default."""
        return self.node("Cast", name, to=to)

    def constant(self, value: int | float | list[int] | NDArray[Any] | np.generic) -> str:
        """Add a constant."""
        if not isinstance(value, np.ndarray | np.generic):
            value = np.asarray(value, np.float32 if isinstance(value, float) else np.int64)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name))
        return name

    def model(
        self,
        name: str,
        inputs: list[onnx.ValueInfoProto],
        outputs: list[onnx.ValueInfoProto],
        opset: int,
        ir_version: int,
    ) -> onnx.ModelProto:
        """Return the graph, its inner names made its own."""
        kept = {port.name for port in (*inputs, *outputs)}
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [item if item in kept else f"{name}/{item}" for item in names]
        for tensor in self.constants:
            tensor.name = f"{name}/{tensor.name}"
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
