"""The same network gives the same file, byte for byte.

The ONNX exporter numbers its names and orders nodes and weights by Python's hashes, which differ from process to
process. Keras writes the date, memory addresses and the time of day into a ``.keras`` file. None of it means anything,
and all of it is written here in one way, so that two runs of the same command and seed can be compared by their hashes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import onnx

from hilum.files import replace_file

__all__ = ["canonical_graph", "save_keras"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can state
_SAVED = "1980-01-01@00:00:00"


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
