"""Writing model files: a graph with its metadata, and a graph whose logits are corrected. Needs onnx, no Keras.

A correction is appended: ``logits`` plus constants plus ``features`` times a matrix. Where the heat map is one 1x1
convolution of the maps that ``features`` are the mean of, as in every network with a linear head, the same matrix goes
into that convolution, so that the map still sums to the logit but for the constants. Other heat maps (plain-cnn,
ensembles) stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hilum.errors import ModelFileError
from hilum.files import replace_file
from hilum.run.engine import Engine
from hilum.run.modelfile import METADATA_KEY, Metadata, ModelFile, read_model_file
from hilum.train.correction import Correction

__all__ = [
    "LARGEST_DIFFERENCE",
    "GraphDraft",
    "Input",
    "corrected_graph",
    "read_graph",
    "seal_corrected",
    "write_checked",
    "write_metadata",
    "write_model",
]

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


LARGEST_DIFFERENCE = 1e-4  # in logits, between the engine in float32 and what a file was made from
_CHECK_BATCH = 16
_RESHAPES = ("Squeeze", "Flatten", "Reshape", "Identity")


def read_graph(data: bytes) -> onnx.ModelProto:
    """Return the graph in the bytes of a model file that was checked."""
    return onnx.load_model_from_string(data)


def write_model(path: Path, graph: onnx.ModelProto, metadata: Metadata) -> None:
    """Write a graph with its metadata as a model file, in one step. Metadata that are not hilum's are kept."""
    kept = {entry.key: entry.value for entry in graph.metadata_props} | {METADATA_KEY: metadata.to_json()}
    helper.set_model_props(graph, kept)
    replace_file(path, graph.SerializeToString(deterministic=True))


def write_metadata(path: Path, metadata: Metadata) -> None:
    """Put other metadata into a sealed model file; its graph stays as it is."""
    write_model(path, onnx.load(path), metadata)


def write_checked(
    path: Path,
    graph: onnx.ModelProto,
    metadata: Metadata,
    films: tuple[np.ndarray, np.ndarray],
    *,
    compared: str,
    reported: str,
) -> float:
    """Write a model file, unless the engine answers real films otherwise than it should.

    Args:
        path: Where the file goes; replaced in one step.
        graph: The graph.
        metadata: What the file says of itself.
        films: (N, 1, S, S) float32, and their logits (N, K).
        compared: What is compared with what, for the message.
        reported: What a report of a difference should name.

    Returns:
        The largest difference in logits.

    Raises:
        ModelFileError: It is more than `LARGEST_DIFFERENCE`; nothing is written.
    """
    pictures, expected = films
    partial = path.with_suffix(".unchecked")
    write_model(partial, graph, metadata)
    try:
        engine = Engine(read_model_file(partial))
        batches = [slice(start, start + _CHECK_BATCH) for start in range(0, len(pictures), _CHECK_BATCH)]
        apart = [np.abs(engine.run(pictures[batch]).logits - expected[batch]).max() for batch in batches]
        difference = float(np.max([0.0, *apart]))
        if not difference <= LARGEST_DIFFERENCE:  # not a number is a difference too
            raise ModelFileError(
                f"Not sealed: {compared} differ by {difference:.2g} in logits on {len(pictures)} films; at most "
                f"{LARGEST_DIFFERENCE:g} is allowed.",
                fix=f"Please report {reported}.",
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def corrected_graph(model: onnx.ModelProto, correction: Correction) -> tuple[onnx.ModelProto, bool]:
    """Return a model whose logits are corrected, and whether its heat maps follow.

    Args:
        model: The model as shipped; it is not changed.
        correction: What to add to its logits. The temperature is no part of the graph.

    Raises:
        ModelFileError: No node of the graph makes its logits.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    last = next((node for node in graph.node if "logits" in node.output), None)
    if last is None:
        raise ModelFileError("The graph cannot be corrected: none of its nodes makes `logits`.")
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    names |= {tensor.name for tensor in graph.initializer}
    number = next(number for number in range(len(names) + 1) if not any(f"adapted_{number}" in name for name in names))
    mark = f"adapted_{number}/"  # a model may be adapted more than once

    def keep(word: str, values: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), mark + word))
        return mark + word

    shipped = mark + "logits_as_shipped"
    for node in graph.node:
        for ports in (node.input, node.output):
            ports[:] = [shipped if name == "logits" else name for name in ports]
    follows = True
    if correction.kernel is not None:
        follows = _correct_maps(graph, correction.kernel, keep)
        product, shipped = mark + "product", mark + "sum"
        graph.node.append(helper.make_node("MatMul", ["features", keep("kernel", correction.kernel)], [product]))
        graph.node.append(helper.make_node("Add", [last.output[0], product], [shipped]))
    graph.node.append(helper.make_node("Add", [shipped, keep("constants", correction.constants)], ["logits"]))
    onnx.checker.check_model(made)
    return made, follows


def _correct_maps(graph: onnx.GraphProto, kernel: np.ndarray, keep: Callable[[str, np.ndarray], str]) -> bool:
    """Put a correction (D, K) into the convolution that makes the heat maps, if there is one; return whether."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    evidence = maker.get("activation")
    if evidence is None or evidence.op_type != "Conv" or evidence.input[1] not in weights:
        return False
    shares = numpy_helper.to_array(weights[evidence.input[1]])  # (K, D, 1, 1)
    port = next(one for one in graph.output if one.name == "activation")
    places = [one.dim_value for one in port.type.tensor_type.shape.dim[2:]]  # h, w
    if shares.shape != (*kernel.T.shape, 1, 1) or len(places) != 2 or not all(places):
        return False
    pooled = maker.get("features")
    while pooled is not None and pooled.op_type in _RESHAPES:
        pooled = maker.get(pooled.input[0])
    if pooled is None or pooled.op_type != "GlobalAveragePool" or pooled.input[0] != evidence.input[0]:
        return False
    shipped = evidence.input[1]
    evidence.input[1] = keep("evidence", shares + kernel.T[:, :, None, None] / (places[0] * places[1]))
    if not any(shipped in node.input for node in graph.node):
        graph.initializer.remove(weights[shipped])
    return True


def seal_corrected(
    path: Path, parent: ModelFile, correction: Correction, metadata: Metadata, films: tuple[np.ndarray, np.ndarray]
) -> tuple[float, bool]:
    """Write a corrected model file.

    Args:
        path: Where the file goes; replaced in one step.
        parent: The model as shipped.
        correction: Put into the graph, all but its temperature.
        metadata: What the file says of itself.
        films: Real films to compare on, (N, 1, S, S) float32, and their corrected logits (N, K), by the parent's logits
            and features.

    Returns:
        The largest difference in logits, and whether the heat maps follow the correction.

    Raises:
        ModelFileError: The new file answers otherwise; nothing is written.
    """
    graph, follows = corrected_graph(read_graph(parent.data), correction)
    compared = "the new file and its parent with the correction"
    reported = "this model together with the versions of onnx and openvino"
    return write_checked(path, graph, metadata, films, compared=compared, reported=reported), follows
