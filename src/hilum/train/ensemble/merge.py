"""Several model files' graphs as one graph: ``film`` goes to every member, and what they say is combined inside.

The merged graph returns what any sealed graph returns, and ``members`` (N, M, K): each member's probabilities at its
own temperature. A member that wants smaller films gets them by averaging areas, as film/preprocess.py shrinks them, and
equalised again where its films are equalised.

Parts that are the same in several members, as a backbone that was left frozen, are kept and computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from hilum.errors import ModelFileError
from hilum.train.ensemble.combination import LEAST_STACKED, Combination
from hilum.train.graph_file import GraphDraft

__all__ = ["GraphPart", "input_graph", "merge_graphs"]

_OUTPUTS = ("logits", "features", "activation")
_OPSETS = range(13, 18)  # in which the operators below have the form used here
_LEAST_LOG = -60.0  # so that no probability is lost altogether; far below what matters
_LEVELS = 256
_RANDOM = ("Random", "Bernoulli", "Multinomial", "Dropout")


@dataclass(frozen=True, eq=False)
class GraphPart:
    """One member of an ensemble.

    Attributes:
        model: Its graph, which is not changed.
        temperature: Its logits are divided by it.
        size_px: The side of the films it wants.
        order: For each of the ensemble's findings, its place among the member's.
    """

    model: onnx.ModelProto
    temperature: float
    size_px: int
    order: tuple[int, ...]


def merge_graphs(
    parts: Sequence[GraphPart], combination: Combination, *, size_px: int, equalize: bool
) -> onnx.ModelProto:
    """Return one graph of M members.

    Args:
        parts: The members, at least one.
        combination: How their probabilities become the ensemble's logits.
        size_px: Side of the films that the merged graph takes, at least as large as any member's.
        equalize: Whether the preprocessing equalises films; a member's smaller film is then equalised again.

    Raises:
        ModelFileError: The graphs cannot be merged.
    """
    opset, ir_version = _versions(parts)
    sizes = [part.size_px for part in parts]
    merged = input_graph(sizes, size_px=size_px, equalize=equalize, opset=opset, ir_version=ir_version)
    try:
        for index, part in enumerate(parts):
            member = onnx.ModelProto()
            member.CopyFrom(part.model)
            del member.metadata_props[:]
            member.ir_version = ir_version
            member = compose.add_prefix(member, f"m{index}/", inplace=True)
            merged = compose.merge_models(merged, member, [(f"film_{index}", f"m{index}/film")])
        ends = _output_graph(parts, combination, opset=opset, ir_version=ir_version)
        joints = [(f"m{index}/{name}", f"in{index}/{name}") for index in range(len(parts)) for name in _OUTPUTS]
        merged = compose.merge_models(merged, ends, joints, producer_name="hilum", producer_version="")
        del merged.graph.value_info[:]
        _share(merged.graph)
        merged.graph.name = "ensemble"
        onnx.checker.check_model(merged)
    except (ValueError, onnx.checker.ValidationError) as error:
        raise ModelFileError(
            f"The members' graphs cannot be merged: {error}.", fix="Train them again with one version of hilum."
        ) from error
    return merged


def input_graph(
    sizes: Sequence[int], *, size_px: int, equalize: bool, opset: int = 15, ir_version: int = 8
) -> onnx.ModelProto:
    """Return the graph from ``film`` (N, 1, S, S) to each member's ``film_0``, ``film_1``, ...

    Args:
        sizes: The side each member wants, at most size_px.
        size_px: S.
        equalize: Whether a smaller film is equalised again.
        opset: Version of the operators.
        ir_version: Version of the file format.
    """
    draft = GraphDraft()
    films: dict[int, str] = {}
    for size in sorted(set(sizes)):
        name = draft.node("Identity", "film")
        if size != size_px:
            name = draft.node("MatMul", draft.constant(_area_matrix(size, size_px)), name)
            name = draft.node("MatMul", name, draft.constant(_area_matrix(size, size_px).T))
            name = _equalized(draft, name, size) if equalize else name
        films[size] = name
    for index, size in enumerate(sizes):
        draft.node("Identity", films[size], output=f"film_{index}")
    ports = [_port(f"film_{index}", ["B", 1, size, size]) for index, size in enumerate(sizes)]
    return draft.model("input", [_port("film", ["N", 1, size_px, size_px])], ports, opset, ir_version)


def _output_graph(
    parts: Sequence[GraphPart], combination: Combination, *, opset: int, ir_version: int
) -> onnx.ModelProto:
    """Return the graph from the members' outputs to the ensemble's."""
    draft = GraphDraft()
    num_members, num_findings = len(parts), len(parts[0].order)
    shapes = [{name: _shape(part.model, name) for name in _OUTPUTS} for part in parts]
    inputs = [_port(f"in{i}/{name}", ["B", *shapes[i][name]]) for i in range(num_members) for name in _OUTPUTS]
    side = max((shape["activation"][1:] for shape in shapes), key=lambda grid: grid[0] * grid[1])  # (h, w)
    logs, features, maps = [], [], []
    for index, part in enumerate(parts):
        logits, feature, evidence = (f"in{index}/{name}" for name in _OUTPUTS)
        if part.order != tuple(range(num_findings)):
            order = draft.constant(np.array(part.order, np.int64))
            logits, evidence = (draft.node("Gather", name, order, axis=1) for name in (logits, evidence))
        scaled = draft.node("Div", logits, draft.constant(np.float32(part.temperature)))
        log = draft.node("Max", draft.node("LogSoftmax", scaled, axis=1), draft.constant(np.float32(_LEAST_LOG)))
        logs.append(draft.node("Unsqueeze", log, draft.constant(np.array([1], np.int64))))  # (N, 1, K)
        features.append(feature)
        maps.append(_on_grid(draft, evidence, shapes[index]["activation"][1:], side))
    log = draft.node("Concat", *logs, axis=1)  # (N, M, K)
    members = draft.node("Exp", log)
    draft.node("Identity", members, output="members")
    draft.node("Concat", *features, axis=1, output="features")
    if combination.coefficients is not None:
        _stacked(draft, log, combination.coefficients, np.asarray(combination.intercept))
        kernel = combination.coefficients - combination.coefficients.mean(axis=2, keepdims=True)  # (K, M, K)
    else:
        draft.node("Log", draft.mean(members, axis=1), output="logits")
        kernel = np.repeat(np.eye(num_findings)[:, None, :], num_members, axis=1) / num_members
    kernel = kernel / np.array([part.temperature for part in parts])[None, :, None]
    kernel = kernel.reshape(num_findings, num_members * num_findings, 1, 1).astype(np.float32)
    draft.node("Conv", draft.node("Concat", *maps, axis=1), draft.constant(kernel), output="activation")
    depth = sum(shape["features"][0] for shape in shapes)
    outputs = [
        _port("logits", ["N", num_findings]),
        _port("features", ["N", depth]),
        _port("activation", ["N", num_findings, *side]),
        _port("members", ["N", num_members, num_findings]),
    ]
    return draft.model("output", inputs, outputs, opset, ir_version)


def _stacked(draft: GraphDraft, log: str, coefficients: np.ndarray, intercept: np.ndarray) -> None:
    """Add the logits of a stack, from logarithms of probabilities (N, M, K)."""
    num_findings, num_members, _ = coefficients.shape
    log = draft.node("Max", log, draft.constant(np.float32(np.log(LEAST_STACKED))))
    ratios = draft.node("Sub", log, draft.mean(log, axis=2, keepdims=1))
    flat = draft.node("Reshape", ratios, draft.constant(np.array([-1, num_members * num_findings], np.int64)))
    weights = draft.constant(coefficients.reshape(num_findings, -1).astype(np.float32))
    bias = draft.constant(intercept.astype(np.float32))
    draft.node("Gemm", flat, weights, bias, transB=1, output="logits")


def _equalized(draft: GraphDraft, film: str, size: int) -> str:
    """Return the film (N, 1, s, s) with its histogram equalised, as OpenCV does on 256 levels."""
    flat = draft.node("Reshape", film, draft.constant(np.array([-1, size * size, 1], np.int64)))
    levels = draft.node("Round", draft.node("Mul", flat, draft.constant(np.float32(_LEVELS - 1))))  # (N, s*s, 1)
    is_at_most = draft.node("LessOrEqual", levels, draft.constant(np.arange(_LEVELS, dtype=np.float32)))
    counts = draft.node("ReduceSum", draft.cast(is_at_most), draft.constant(np.array([1], np.int64)), keepdims=1)
    darkest = draft.node("ReduceMin", levels, axes=[1], keepdims=1)  # (N, 1, 1)
    is_darkest = draft.node("Equal", levels, darkest)
    first = draft.node("ReduceSum", draft.cast(is_darkest), draft.constant(np.array([1], np.int64)), keepdims=1)
    rest = draft.node("Sub", draft.constant(np.float32(size * size)), first)
    rest = draft.node("Max", rest, draft.constant(np.float32(1)))  # a film of one level
    share = draft.node("Div", draft.node("Sub", counts, first), rest)  # (N, 1, 256): a level's new value
    share = draft.node("Round", draft.node("Mul", share, draft.constant(np.float32(_LEVELS - 1))))
    value = draft.node("Div", share, draft.constant(np.float32(_LEVELS - 1)))
    is_level = draft.cast(draft.node("Equal", levels, draft.constant(np.arange(_LEVELS, dtype=np.float32))))
    column = draft.node("Transpose", value, perm=[0, 2, 1])  # (N, 256, 1)
    return draft.node(
        "Reshape",
        draft.node("MatMul", is_level, column),  # (N, s*s, 1)
        draft.constant(np.array([-1, 1, size, size], np.int64)),
    )


def _on_grid(draft: GraphDraft, maps: str, grid: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Return maps (N, K, h, w) on another grid, with the sum over all places as it was."""
    if grid == wanted:
        return maps
    rows, columns = (_area_matrix(new, old) * (old / new) for new, old in zip(wanted, grid, strict=True))
    return draft.node("MatMul", draft.node("MatMul", draft.constant(rows), maps), draft.constant(columns.T))


def _area_matrix(new: int, old: int) -> np.ndarray:
    """Return (new, old) float32: each new place is the mean of the old ones it covers, by their share."""
    edges = np.arange(new + 1) * (old / new)
    places = np.arange(old)
    overlap = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return (np.clip(overlap, 0, None) * (new / old)).astype(np.float32)


def _versions(parts: Sequence[GraphPart]) -> tuple[int, int]:
    opsets = {entry.version for part in parts for entry in part.model.opset_import if entry.domain in ("", "ai.onnx")}
    if len(opsets) != 1 or not opsets <= set(_OPSETS):
        raise ModelFileError(
            f"The members' graphs cannot be merged: they have the operator sets {sorted(opsets)}; expected one of "
            f"{_OPSETS.start} to {_OPSETS.stop - 1}, the same in all.",
            fix="Train them again with one version of hilum.",
        )
    return opsets.pop(), max(part.model.ir_version for part in parts)


def _shape(model: onnx.ModelProto, name: str) -> tuple[int, ...]:
    """Return the shape of an output without its first axis."""
    port = next(item for item in model.graph.output if item.name == name)
    shape = tuple(item.dim_value for item in port.type.tensor_type.shape.dim[1:])
    if not shape or min(shape) < 1:
        raise ModelFileError(f"The members' graphs cannot be merged: the shape of `{name}` is not known.")
    return shape


def _port(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _share(graph: onnx.GraphProto) -> None:
    """Keep one of several equal constants, and of several equal nodes with the same inputs; the answers stay."""
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return  # an inner graph names constants of the outer one
    renamed: dict[str, str] = {}
    constants: dict[bytes, str] = {}
    tensors = []
    for tensor in graph.initializer:
        name, tensor.name = tensor.name, ""
        first = constants.setdefault(tensor.SerializeToString(deterministic=True), name)
        tensor.name, renamed[name] = name, first
        if first == name:
            tensors.append(tensor)
    kept_outputs = {port.name for port in graph.output}
    results: dict[bytes, list[str]] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        bare = onnx.NodeProto()
        bare.CopyFrom(node)
        bare.name, bare.doc_string = "", ""
        del bare.output[:]
        key = bare.SerializeToString(deterministic=True)
        outputs = list(node.output)
        if kept_outputs.isdisjoint(outputs) and not node.op_type.startswith(_RANDOM):
            first_outputs = results.setdefault(key, outputs)
            if first_outputs is not outputs:
                renamed.update(zip(outputs, first_outputs, strict=True))
                continue
        nodes.append(node)
    kept = onnx.GraphProto()
    kept.initializer.extend(tensors)
    kept.node.extend(nodes)
    del graph.initializer[:], graph.node[:]
    graph.MergeFrom(kept)
