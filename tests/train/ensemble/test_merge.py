"""Merging graphs: the one graph says what its members say, and holds what they share once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import openvino
import pytest
from onnx import helper, numpy_helper

from hilum.errors import ModelFileError
from hilum.run.answer import softmax
from hilum.run.engine import Engine, Outputs
from hilum.run.modelfile import METADATA_KEY, Metadata, read_model_file
from hilum.train.ensemble.combination import Combination
from hilum.train.ensemble.merge import GraphPart, input_graph, merge_graphs

NUM_FINDINGS = 3
TEMPERATURES = (0.7, 1.0, 2.5)


def with_head(graph: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Return the hand-made graph with another last layer; what comes before it stays the same."""
    head = np.random.default_rng(seed).normal(size=(NUM_FINDINGS, 4)).astype(np.float32)
    values = {"head": head, "evidence": head[:, :, None, None] / 16}
    for tensor in graph.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return graph


def for_16_px(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the hand-made graph for films of half the side: its maps then are 2 x 2."""
    for port in (*graph.graph.input, *graph.graph.output):
        for axis in port.type.tensor_type.shape.dim[2:]:
            axis.dim_value //= 2
    return graph


@pytest.fixture
def parts(tiny_graph: Callable[[], onnx.ModelProto]) -> list[GraphPart]:
    return [
        GraphPart(with_head(tiny_graph(), seed), temperature, 32, (0, 1, 2))
        for seed, temperature in enumerate(TEMPERATURES)
    ]


@pytest.fixture
def run_graph(tmp_path: Path, tiny_metadata: Metadata) -> Callable[..., Outputs]:
    """Let the engine run a graph of hilum's kind on films."""

    def run(graph: onnx.ModelProto, films: np.ndarray) -> Outputs:
        metadata = json.loads(tiny_metadata.to_json())
        metadata["preprocessing"]["size_px"] = films.shape[-1]
        copied = onnx.ModelProto.FromString(graph.SerializeToString())
        helper.set_model_props(copied, {METADATA_KEY: json.dumps(metadata)})
        path = tmp_path / "graph.onnx"
        path.write_bytes(copied.SerializeToString())
        return Engine(read_model_file(path), num_threads=1).run(films)

    return run


def films(num: int = 6) -> np.ndarray:
    """Return equalised grey films that are not symmetrical."""
    rng = np.random.default_rng(0)
    drawn = [
        cv2.resize(rng.integers(0, 256, (8, 8), np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC) for _ in range(num)
    ]
    return np.stack([cv2.equalizeHist(film)[None].astype(np.float32) / 255 for film in drawn])


def by_hand(
    run_graph: Callable[..., Outputs], parts: list[GraphPart], batch: np.ndarray
) -> tuple[np.ndarray, list[Any]]:
    outputs = [run_graph(part.model, batch) for part in parts]
    return np.stack([softmax(out.logits, part.temperature) for out, part in zip(outputs, parts, strict=True)]), outputs


def test_the_average_of_members_is_the_one_worked_out_by_hand(
    parts: list[GraphPart], run_graph: Callable[..., Outputs]
) -> None:
    probabilities, outputs = by_hand(run_graph, parts, films())
    assert np.abs(probabilities[0] - probabilities[1]).max() > 0.05  # they differ, or this would show nothing
    merged = run_graph(merge_graphs(parts, Combination("average"), size_px=32, equalize=True), films())
    np.testing.assert_allclose(softmax(merged.logits), probabilities.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(np.asarray(merged.members).transpose(1, 0, 2), probabilities, atol=1e-6)
    np.testing.assert_allclose(merged.features, np.concatenate([one.features for one in outputs], axis=1), atol=1e-5)
    weighted = [one.activation / part.temperature / 3 for one, part in zip(outputs, parts, strict=True)]
    np.testing.assert_allclose(merged.activation, sum(weighted), atol=1e-5)


def test_no_member_alone_rules_a_finding_out(parts: list[GraphPart], run_graph: Callable[..., Outputs]) -> None:
    sure = [dataclasses.replace(parts[0], temperature=0.02), parts[1]]
    probabilities, _ = by_hand(run_graph, sure, films())
    assert probabilities[0].min() < 1e-9
    merged = run_graph(merge_graphs(sure, Combination("average"), size_px=32, equalize=True), films())
    expected = softmax(Combination("average").logits(probabilities))
    np.testing.assert_allclose(softmax(merged.logits), expected, atol=1e-5)
    assert np.isfinite(merged.logits).all()


def test_a_stack_in_the_graph_is_the_stack_outside(parts: list[GraphPart], run_graph: Callable[..., Outputs]) -> None:
    rng = np.random.default_rng(1)
    stack = Combination("stack", rng.normal(size=(3, 3, 3)), rng.normal(size=3), 0.01)
    probabilities, outputs = by_hand(run_graph, parts, films())
    merged = run_graph(merge_graphs(parts, stack, size_px=32, equalize=True), films())
    np.testing.assert_allclose(merged.logits, stack.logits(probabilities), atol=1e-4)
    # the maps of a stack sum to its logits but for the biases, which are the same for every film
    biases = merged.logits - merged.activation.sum(axis=(2, 3))
    np.testing.assert_allclose(biases, np.broadcast_to(biases[0], biases.shape), atol=1e-3)
    assert len(outputs) == 3


def test_findings_in_another_order_are_put_in_order(
    parts: list[GraphPart], tiny_graph: Callable[[], onnx.ModelProto], run_graph: Callable[..., Outputs]
) -> None:
    turned = GraphPart(parts[1].model, parts[1].temperature, 32, (2, 0, 1))
    merged = run_graph(merge_graphs([parts[0], turned], Combination("average"), size_px=32, equalize=True), films())
    probabilities, outputs = by_hand(run_graph, parts[:2], films())
    np.testing.assert_allclose(np.asarray(merged.members)[:, 1], probabilities[1][:, [2, 0, 1]], atol=1e-6)
    expected = (outputs[0].activation / 0.7 + outputs[1].activation[:, [2, 0, 1]]) / 2
    np.testing.assert_allclose(merged.activation, expected, atol=1e-5)


@pytest.mark.parametrize("equalize", [True, False])
def test_a_smaller_film_is_reduced_as_the_preprocessing_reduces_it(*, equalize: bool) -> None:
    batch = films()
    graph = input_graph([12, 32], size_px=32, equalize=equalize)
    core = openvino.Core()
    found = core.compile_model(core.read_model(graph.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        batch
    )
    np.testing.assert_array_equal(found["film_1"], batch)
    for film, reduced in zip(batch, found["film_0"], strict=True):
        expected = cv2.resize(film[0], (12, 12), interpolation=cv2.INTER_AREA)
        if equalize:
            expected = cv2.equalizeHist(np.rint(expected * 255).astype(np.uint8)).astype(np.float32) / 255
        assert reduced.shape == (1, 12, 12)
        np.testing.assert_allclose(reduced[0], expected, atol=2e-2 if equalize else 1e-5)  # a level may round elsewhere
        assert np.abs(reduced[0] - expected).mean() < 1e-3


def test_a_film_of_one_grey_value_does_not_become_nothing() -> None:
    graph = input_graph([12], size_px=32, equalize=True)
    core = openvino.Core()
    found = core.compile_model(core.read_model(graph.SerializeToString()), "CPU")(np.zeros((1, 1, 32, 32), np.float32))
    assert np.isfinite(found["film_0"]).all()


def test_members_of_two_sizes_share_one_grid(
    parts: list[GraphPart], tiny_graph: Callable[[], onnx.ModelProto], run_graph: Callable[..., Outputs]
) -> None:
    small = GraphPart(for_16_px(with_head(tiny_graph(), 7)), 1.5, 16, (0, 1, 2))
    merged = run_graph(merge_graphs([parts[0], small], Combination("average"), size_px=32, equalize=False), films())
    views = np.stack([cv2.resize(film[0], (16, 16), interpolation=cv2.INTER_AREA)[None] for film in films()])
    alone = run_graph(small.model, views)
    np.testing.assert_allclose(np.asarray(merged.members)[:, 1], softmax(alone.logits, 1.5), atol=1e-5)
    assert merged.activation.shape == (6, 3, 4, 4)
    whole = (
        run_graph(parts[0].model, films()).activation.sum(axis=(2, 3)) / 0.7 + alone.activation.sum(axis=(2, 3)) / 1.5
    )
    np.testing.assert_allclose(merged.activation.sum(axis=(2, 3)), whole / 2, atol=1e-4)


def test_what_members_share_is_kept_and_computed_once(
    parts: list[GraphPart], tiny_graph: Callable[[], onnx.ModelProto]
) -> None:
    merged = merge_graphs(parts, Combination("average"), size_px=32, equalize=True)
    shapes = [tuple(tensor.dims) for tensor in merged.graph.initializer]
    assert shapes.count((4, 1, 8, 8)) == 1  # the stem, alike in all three
    assert shapes.count((3, 4)) == 3  # the heads, which differ
    assert sum(node.op_type == "GlobalAveragePool" for node in merged.graph.node) == 1
    other = GraphPart(tiny_graph(), 1.0, 32, (0, 1, 2))
    stem = next(tensor for tensor in other.model.graph.initializer if tensor.name == "kernel")
    stem.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stem) + np.float32(1e-3), "kernel"))
    apart = merge_graphs([parts[0], other], Combination("average"), size_px=32, equalize=True)
    assert [tuple(tensor.dims) for tensor in apart.graph.initializer].count((4, 1, 8, 8)) == 2


def test_members_are_not_changed_by_merging(parts: list[GraphPart]) -> None:
    before = [part.model.SerializeToString() for part in parts]
    merge_graphs(parts, Combination("average"), size_px=32, equalize=True)
    assert [part.model.SerializeToString() for part in parts] == before


def test_graphs_of_two_operator_sets_are_refused(parts: list[GraphPart]) -> None:
    parts[1].model.opset_import[0].version = 16
    with pytest.raises(ModelFileError, match=r"operator sets \[15, 16\]"):
        merge_graphs(parts, Combination("average"), size_px=32, equalize=True)
