"""Sealing: the trained network as one ``model.onnx`` that any door can serve, checked number by number.

The sealed graph takes ``film`` (N, 1, S, S) and returns ``logits`` (N, K), ``features`` (N, D) and ``activation``
(N, K, h, w). The activation of a finding is, at every place of the last feature maps, the sum over channels of the map
times the gradient of the finding's logit with respect to it. For a pooled linear head that is the class activation map
(and Grad-CAM); for the fully connected head of plain-cnn the gradient is written out as two matrix products through the
hidden units that are switched on, so the activation sums to the logit but for the biases. No engine needs gradients.

The same network gives the same file, byte for byte, so that two runs of the same command and seed can be compared by
their hashes. The ONNX exporter numbers names and orders nodes and weights by Python's hashes, which differ from process
to process; Keras writes the date, memory addresses and the time of day into a ``.keras`` file. None of it means
anything, and all of it is written here in one way.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers, ops

from hilum.console import hushed
from hilum.errors import ModelFileError
from hilum.files import replace_file
from hilum.run.modelfile import Metadata
from hilum.train.graph_file import write_checked
from hilum.train.networks import Network

__all__ = [
    "canonical_graph",
    "save_keras",
    "seal",
    "serving_model",
]

_OUTPUTS = ("logits", "features", "activation")
_OPSET = 15
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can state
_SAVED = "1980-01-01@00:00:00"
_CHECK_BATCH = 16


def serving_model(network: Network) -> keras.Model:
    """Return the network as it is served: ``film`` (N, 1, S, S) -> logits, features, activation."""
    size_px = network.model.input_shape[1]
    film = keras.Input((1, size_px, size_px), name="film")
    maps = network.backbone(layers.Permute((2, 3, 1))(film))  # (N, h, w, D)
    logits_layer = network.head.get_layer("logits")
    features_layer = network.head.get_layer("features")
    if isinstance(features_layer, layers.Dense):
        features = features_layer(layers.Flatten()(maps))
        activation = _FullyConnectedEvidence(features_layer, logits_layer)([maps, features])
    else:
        features = features_layer(maps)
        activation = _LinearEvidence(logits_layer)(maps)
    outputs = {"logits": logits_layer(features), "features": features, "activation": activation}
    return keras.Model(film, outputs, name="hilum")


class _LinearEvidence(layers.Layer):  # type: ignore[misc]
    """Feature maps (N, h, w, D) -> (N, K, h, w): each place's share of each logit under average pooling."""

    def __init__(self, logits: layers.Dense) -> None:
        super().__init__(trainable=False)
        self.kernel = np.asarray(logits.kernel)  # (D, K)

    def call(self, maps: Any) -> Any:
        _, height, width, depth = maps.shape
        kernel = (self.kernel / (height * width)).reshape(1, 1, depth, -1)
        return ops.transpose(ops.conv(maps, kernel), (0, 3, 1, 2))


class _FullyConnectedEvidence(layers.Layer):  # type: ignore[misc]
    """Feature maps (N, h, w, C) and hidden units (N, H) -> (N, K, h, w): map times gradient, summed over channels."""

    def __init__(self, hidden: layers.Dense, logits: layers.Dense) -> None:
        super().__init__(trainable=False)
        self.hidden_kernel = np.asarray(hidden.kernel)  # (h * w * C, H)
        self.logits_kernel = np.asarray(logits.kernel)  # (H, K)

    def call(self, inputs: Any) -> Any:
        maps, hidden = inputs
        _, height, width, channels = maps.shape
        num_findings = self.logits_kernel.shape[1]
        switched_on = ops.cast(hidden > 0, "float32")[:, None, :]  # (N, 1, H)
        gradient = ops.matmul(switched_on * self.logits_kernel.T[None], self.hidden_kernel.T)  # (N, K, h * w * C)
        gradient = ops.reshape(gradient, (-1, num_findings, height, width, channels))
        return ops.sum(gradient * maps[:, None], axis=-1)


def seal(network: Network, films: np.ndarray, metadata: Metadata, path: Path) -> float:
    """Write the model file, unless the engine disagrees with Keras on real films.

    Args:
        network: The trained network.
        films: (N, 1, S, S) float32, real films to compare on; validation films, never the test.
        metadata: What the file says of itself.
        path: Where the file goes; replaced in one step.

    Returns:
        The largest difference in logits on these films.

    Raises:
        ModelFileError: Engine and Keras differ by more than `LARGEST_DIFFERENCE`; nothing is written.
    """
    model = serving_model(network)
    model.predict_on_batch(films[:1])  # a model never called cannot be exported
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".seal-") as folder:
        exported = Path(folder) / "model.onnx"
        with hushed(), warnings.catch_warnings():  # Keras asks for np.object, to see whether tf2onnx still needs it
            warnings.filterwarnings("ignore", message="In the future `np.object`", category=FutureWarning)
            model.export(str(exported), format="onnx", opset_version=_OPSET, verbose=False)
        graph = onnx.load(exported)
    _name_outputs(graph, model)
    graph = canonical_graph(graph)
    graph.producer_name, graph.producer_version = "hilum", metadata.hilum_version
    onnx.checker.check_model(graph)
    expected = np.zeros((len(films), network.head.output_shape[-1]), np.float32)
    for start in range(0, len(films), _CHECK_BATCH):
        batch = slice(start, start + _CHECK_BATCH)
        expected[batch] = np.asarray(model.predict_on_batch(films[batch])["logits"])
    reported = "this backbone together with the versions of keras, tf2onnx and openvino"
    pair = films, expected
    return write_checked(path, graph, metadata, pair, compared="engine and Keras", reported=reported)


def _name_outputs(graph: onnx.ModelProto, model: keras.Model) -> None:
    """Name input, outputs and their batch axis; the exporter makes up names, in the order of sorted keys."""
    initializers = {item.name for item in graph.graph.initializer}
    inputs = [item for item in graph.graph.input if item.name not in initializers]
    ranks = {"logits": 2, "features": 2, "activation": 4}
    if len(inputs) != 1 or len(graph.graph.output) != len(_OUTPUTS):
        raise ModelFileError(f"Not sealed: the export has {len(inputs)} inputs and {len(graph.graph.output)} outputs.")
    renamed = {inputs[0].name: "film"}
    for name, item in zip(sorted(_OUTPUTS), graph.graph.output, strict=True):
        if len(item.type.tensor_type.shape.dim) not in (0, ranks[name]):
            raise ModelFileError(f"Not sealed: the exported output `{item.name}` is not `{name}`.")
        renamed[item.name] = name
    for item in [*inputs, *graph.graph.output]:
        item.name = renamed[item.name]
        for axis in item.type.tensor_type.shape.dim[:1]:
            axis.dim_param = "N"
    for node in graph.graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]


def canonical_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same model with nodes, weights and names in the one order that its wiring gives.

    The graph is walked from its outputs, sorted by name, to its inputs; nodes come out in the order in which they are
    computed, weights in the order in which they are used, and both are numbered. What no output needs is left out.
    A graph that holds other graphs (loops, conditions) is returned as it is.

    Args:
        model: The exported model; not changed. The names of its inputs and outputs stay.
    """
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        return model
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    ports = {port.name for port in (*graph.input, *graph.output)}
    names = {name: name for name in ports - set(weights)}
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    kept.graph.doc_string = ""  # the exporter's counter of functions, another one where a training was continued
    for part in (kept.graph.node, kept.graph.initializer, kept.graph.value_info):
        del part[:]
    by_content: dict[bytes, str] = {}
    for node in _in_order(graph):
        copied = kept.graph.node.add()
        copied.CopyFrom(node)
        number = len(kept.graph.node) - 1
        copied.name, copied.doc_string = f"{node.op_type}_{number}", ""
        for name in node.input:
            if name in weights and name not in names:
                names[name] = _keep_weight(kept.graph, weights[name], by_content)
        for position, name in enumerate(node.output):
            if name:
                names.setdefault(name, f"{node.op_type}_{number}:{position}")
        copied.input[:] = [names[name] if name else "" for name in node.input]
        copied.output[:] = [names[name] if name else "" for name in node.output]
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        del copied.attribute[:]
        copied.attribute.extend(attributes)
    ordered = sorted(graph.output, key=lambda port: port.name)
    del kept.graph.output[:]
    kept.graph.output.extend(ordered)
    return kept


def _keep_weight(graph: onnx.GraphProto, tensor: onnx.TensorProto, by_content: dict[bytes, str]) -> str:
    """Add a weight under its number, unless an equal one is there; return its name."""
    bare = onnx.TensorProto()
    bare.CopyFrom(tensor)
    bare.name, bare.doc_string = "", ""
    content = bare.SerializeToString(deterministic=True)
    if content not in by_content:
        by_content[content] = bare.name = f"weight_{len(graph.initializer)}"
        graph.initializer.append(bare)
    return by_content[content]


def _in_order(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that the outputs need, each behind those that it needs; what is used first comes first."""
    maker = {name: position for position, node in enumerate(graph.node) for name in node.output if name}
    seen: set[int] = set()
    for port in sorted(graph.output, key=lambda one: one.name):
        pending = [(maker[port.name], False)] if port.name in maker else []
        while pending:
            position, is_ready = pending.pop()
            if is_ready:
                yield graph.node[position]
            elif position not in seen:
                seen.add(position)
                pending.append((position, True))
                inputs = [maker[name] for name in graph.node[position].input if name in maker]
                pending += [(needed, False) for needed in reversed(inputs)]


def save_keras(model: keras.Model, path: Path) -> None:
    """Write a Keras model to a ``.keras`` file that holds no date and no memory address.

    Args:
        model: The model.
        path: The file; replaced in one step.
    """
    unsorted = path.with_name(f"dated-{path.name}")
    model.save(unsorted)
    written = io.BytesIO()
    with zipfile.ZipFile(unsorted) as dated, zipfile.ZipFile(written, "w") as plain:
        for name in sorted(dated.namelist()):
            content = dated.read(name)
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | {"date_saved": _SAVED}).encode()
            elif name == "config.json":
                content = json.dumps(_numbered(json.loads(content), {})).encode()
            plain.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    unsorted.unlink()
    replace_file(path, written.getvalue())


def _numbered(value: Any, numbers: dict[int, int]) -> Any:
    """Return a configuration whose shared objects are numbered as they come, not named by their addresses."""
    if isinstance(value, list):
        return [_numbered(one, numbers) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: numbers.setdefault(one, len(numbers)) if key == "shared_object_id" else _numbered(one, numbers)
        for key, one in value.items()
    }
