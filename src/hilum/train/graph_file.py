"""Writing model files: a graph with its metadata, and a graph whose logits are corrected. Needs onnx, no Keras.

A correction is appended: ``logits`` plus constants plus ``features`` times a matrix. Where the heat map is one 1x1
convolution of the maps that ``features`` are the mean of, as in every network with a linear head, the same matrix goes
into that convolution, so that the map still sums to the logit but for the constants. Other heat maps (plain-cnn,
ensembles) stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hilum.errors import ModelFileError
from hilum.files import replace_file
from hilum.run.modelfile import METADATA_KEY, Metadata
from hilum.train.correction import Correction

__all__ = ["corrected_graph", "read_graph", "set_metadata", "write_metadata", "write_model"]

_RESHAPES = ("Squeeze", "Flatten", "Reshape", "Identity")


def read_graph(data: bytes) -> onnx.ModelProto:
    """Return the graph in the bytes of a model file that was checked."""
    return onnx.load_model_from_string(data)


def write_model(path: Path, graph: onnx.ModelProto, metadata: Metadata) -> None:
    """Write a graph with its metadata as a model file, in one step."""
    set_metadata(graph, metadata)
    replace_file(path, graph.SerializeToString(deterministic=True))


def set_metadata(graph: onnx.ModelProto, metadata: Metadata) -> None:
    """Put metadata into a graph; those that are not hilum's are kept."""
    kept = {entry.key: entry.value for entry in graph.metadata_props} | {METADATA_KEY: metadata.to_json()}
    helper.set_model_props(graph, kept)


def write_metadata(path: Path, metadata: Metadata) -> None:
    """Put other metadata into a sealed model file; its graph stays as it is."""
    write_model(path, onnx.load(path), metadata)


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
