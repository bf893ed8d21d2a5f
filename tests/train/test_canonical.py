"""Two files of one network are the same, whatever order and names they were written in, and whenever."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hilum.train.seal import canonical_graph, save_keras


def shuffled(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Return the same model, with other names and orders wherever they mean nothing."""
    rng = random.Random(seed)
    other = onnx.ModelProto()
    other.CopyFrom(model)
    graph = other.graph
    graph.doc_string = f"converted from {seed}"
    ports = {port.name for port in (*graph.input, *graph.output)}
    names = {name for node in graph.node for name in (*node.input, *node.output) if name and name not in ports}
    numbers = rng.sample(range(10_000), len(names))
    renamed = {name: f"{name}__{number}" for name, number in zip(sorted(names), numbers, strict=True)}
    for tensor in graph.initializer:
        tensor.name = renamed[tensor.name]
    for number, node in enumerate(graph.node):
        node.name = f"{rng.random()}-{number}"
        for wires in (node.input, node.output):
            wires[:] = [renamed.get(name, name) for name in wires]
        attributes = list(node.attribute)
        rng.shuffle(attributes)
        del node.attribute[:]
        node.attribute.extend(attributes)
    for part in (graph.initializer, graph.output):
        items = list(part)
        rng.shuffle(items)
        del part[:]
        part.extend(items)
    ready, pending = ports - {port.name for port in graph.output}, list(graph.node)
    ready |= {tensor.name for tensor in graph.initializer}
    del graph.node[:]
    while pending:  # any order in which every node comes behind what it needs
        node = rng.choice([one for one in pending if set(one.input) <= ready])
        graph.node.append(node)
        ready |= set(node.output)
        pending.remove(node)
    return other


def data(model: onnx.ModelProto) -> bytes:
    return canonical_graph(model).SerializeToString(deterministic=True)


@pytest.mark.parametrize("seed", range(5))
def test_order_and_names_do_not_count(tiny_graph: Callable[[], Any], seed: int) -> None:
    graph = tiny_graph()
    other = shuffled(graph, seed)
    assert other.SerializeToString(deterministic=True) != graph.SerializeToString(deterministic=True)
    assert data(other) == data(graph)
    assert data(canonical_graph(other)) == data(graph)


def test_the_graph_computes_what_it_did(tiny_graph: Callable[[], Any]) -> None:
    from onnx.reference import ReferenceEvaluator

    graph = tiny_graph()
    made = canonical_graph(shuffled(graph, 1))
    onnx.checker.check_model(made, full_check=True)
    assert [port.name for port in made.graph.output] == ["activation", "features", "logits"]
    film = np.random.default_rng(0).random((2, 1, 32, 32), dtype=np.float32)
    wanted = ReferenceEvaluator(graph).run(["logits", "features", "activation"], {"film": film})
    found = ReferenceEvaluator(made).run(["logits", "features", "activation"], {"film": film})
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_weights_make_another_file(tiny_graph: Callable[[], Any]) -> None:
    graph, other = tiny_graph(), tiny_graph()
    weights = next(tensor for tensor in other.graph.initializer if tensor.name == "bias")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) + np.float32(1e-6), "bias"))
    assert data(graph) != data(other)


def test_what_no_output_needs_is_left_out(tiny_graph: Callable[[], Any]) -> None:
    graph = tiny_graph()
    graph.graph.node.append(helper.make_node("Relu", ["logits"], ["nobody"]))
    assert data(graph) == data(tiny_graph())


def small_network() -> keras.Model:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    film = keras.Input((4,), name="film")
    policy = keras.DTypePolicy("float32")  # shared, so that Keras names it by its address
    hidden = keras.layers.Dense(3, dtype=policy, name="hidden")(film)
    return keras.Model(film, keras.layers.Dense(2, dtype=policy, name="logits")(hidden))


def test_a_keras_file_holds_no_date_and_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [small_network(), small_network()]
    save_keras(networks[0], tmp_path / "first.keras")
    monkeypatch.setattr("time.localtime", lambda *_: (2031, 1, 2, 3, 4, 5, 0, 2, 0))
    save_keras(networks[1], tmp_path / "second.keras")
    assert (tmp_path / "first.keras").read_bytes() == (tmp_path / "second.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.keras", "second.keras"]
    with zipfile.ZipFile(tmp_path / "first.keras") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert "shared_object_id" in archive.read("config.json").decode()
        assert json.loads(archive.read("metadata.json"))["keras_version"] == keras.__version__
    loaded = keras.models.load_model(tmp_path / "first.keras")
    for one, other in zip(loaded.get_weights(), networks[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
