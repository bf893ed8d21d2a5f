"""The engine: computes what the graph says, alike for one film and for many, and refuses graphs of another kind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx.reference import ReferenceEvaluator

from hilum.errors import ModelFileError
from hilum.run.core import openvino_core
from hilum.run.engine import Engine, PendingOutputs
from hilum.run.modelfile import read_model_file

WriteModel = Callable[..., Path]
BuildGraph = Callable[[], onnx.ModelProto]


def films(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((num, 1, 32, 32), dtype=np.float32)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Engine:
    return Engine(read_model_file(tiny_model), num_threads=1)


def test_the_engine_computes_what_the_graph_says(engine: Engine, tiny_graph: BuildGraph) -> None:
    batch = films(5)
    outputs = engine.run(batch)
    expected = ReferenceEvaluator(tiny_graph()).run(["logits", "features", "activation"], {"film": batch})
    for found, wanted in zip((outputs.logits, outputs.features, outputs.activation), expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert outputs.activation.shape == (5, 3, 4, 4)


def test_a_batch_that_takes_too_long_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.run.engine._FILM_SECONDS", 0.25)
    assert len(engine.run(films(3)).logits) == 3

    class Endless:
        cancelled = 0

        def wait_for(self, milliseconds: int) -> bool:
            time.sleep(milliseconds / 1000)
            return False

        def cancel(self) -> None:
            self.cancelled += 1

    requests = [Endless(), Endless()]
    begin = time.monotonic()
    with pytest.raises(ModelFileError, match=r"not answered for 2 films within 0 s"):
        PendingOutputs(requests, seconds=0.25).wait()  # type: ignore[arg-type]
    assert 0.2 < time.monotonic() - begin < 5
    assert [request.cancelled for request in requests] == [1, 1]


def test_one_film_and_many_give_the_same(engine: Engine) -> None:
    batch = films(17)
    together = engine.run(batch)
    for position in range(17):
        alone = engine.run(batch[position : position + 1])
        np.testing.assert_allclose(alone.logits[0], together.logits[position], atol=1e-6)
        np.testing.assert_allclose(alone.activation[0], together.activation[position], atol=1e-6)


def test_outputs_are_not_overwritten_by_the_next_films(engine: Engine) -> None:
    first = engine.run(films(2))
    kept = first.logits.copy()
    engine.run(films(2, seed=1))
    np.testing.assert_array_equal(first.logits, kept)


def test_films_in_flight_do_not_mix(engine: Engine) -> None:
    batches = [films(3, seed) for seed in range(8)]
    expected = [engine.run(batch).logits for batch in batches]
    pending = [engine.start(batch) for batch in batches]
    for wanted, computing in reversed(list(zip(expected, pending, strict=True))):
        np.testing.assert_allclose(computing.wait().logits, wanted, atol=1e-6)
    with ThreadPoolExecutor(4) as pool:
        for wanted, found in zip(expected, pool.map(lambda batch: engine.run(batch).logits, batches), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_films_of_any_float_and_order_are_taken(engine: Engine) -> None:
    batch = films(2)
    turned = np.asfortranarray(batch.astype(np.float64))
    np.testing.assert_allclose(engine.run(turned).logits, engine.run(batch).logits, atol=1e-6)


def test_an_unknown_precision_is_refused(tmp_path: Path, write_model: WriteModel) -> None:
    with pytest.raises(ModelFileError, match="precision `f8`"):
        Engine(read_model_file(write_model(tmp_path / "model.onnx", precision="f8")))


def rename_an_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[4].output[0] = "scores"


def rename_the_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "image"


def lose_an_output(model: onnx.ModelProto) -> None:
    del model.graph.output[2]


@pytest.mark.parametrize("change", [rename_an_output, rename_the_input, lose_an_output], ids=lambda one: one.__name__)
def test_a_graph_with_other_inputs_and_outputs_is_refused(
    tmp_path: Path, write_model: WriteModel, tiny_graph: BuildGraph, change: Callable[[onnx.ModelProto], None]
) -> None:
    graph = tiny_graph()
    change(graph)
    model = read_model_file(write_model(tmp_path / "model.onnx", graph=graph))
    with pytest.raises(ModelFileError, match="expected `film` and `logits`, `features`, `activation`"):
        Engine(model)


def test_a_graph_the_engine_cannot_run_is_refused(
    tmp_path: Path, write_model: WriteModel, tiny_graph: BuildGraph
) -> None:
    graph = tiny_graph()
    graph.graph.node[1].op_type = "NoSuchOperation"
    model = read_model_file(write_model(tmp_path / "model.onnx", graph=graph))
    with pytest.raises(ModelFileError, match="cannot run") as caught:
        Engine(model)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "changes",
    [{"findings": ["Normal", "Covid-19"]}, {"preprocessing": {"size_px": 64}}],
    ids=["number of findings", "size of the film"],
)
def test_metadata_that_do_not_fit_the_graph_are_refused(
    tmp_path: Path, write_model: WriteModel, changes: dict[str, object]
) -> None:
    model = read_model_file(write_model(tmp_path / "model.onnx", **changes))
    with pytest.raises(ModelFileError, match="do not fit"):
        Engine(model)


def test_an_altered_graph_is_another_network_and_the_file_is_not(tiny_model: Path) -> None:
    model = read_model_file(tiny_model)
    film = np.random.default_rng(0).random((1, 1, 32, 32), dtype=np.float32)
    seen: list[str] = []

    def alter(graph: openvino.Model) -> None:
        for node in graph.get_ordered_ops():
            if node.get_type_name() == "Constant" and len(node.shape) == 4:
                zeros = openvino.opset13.constant(np.zeros(node.shape, np.float32))
                for reader in node.output(0).get_target_inputs():
                    reader.replace_source_output(zeros.output(0))
                seen.append(node.get_friendly_name())

    altered = Engine(model, alter=alter).run(film)
    assert len(seen) == 2
    assert (altered.activation == 0).all()
    assert (Engine(model).run(film).activation != 0).any()


# --- the OpenVINO core ------------------------------------------------------------------------------------------------


_A_SIGNAL_AFTER_THE_LAST_NETWORK = """
import gc, signal, sys, threading
from hilum.run.engine import Engine
from hilum.run.modelfile import read_model_file
from pathlib import Path

engines = [Engine(read_model_file(Path(sys.argv[1])))]
dropping = threading.Thread(target=lambda: (engines.clear(), gc.collect()))
dropping.start()
dropping.join()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
signal.raise_signal(signal.SIGINT)
"""


def test_there_is_one() -> None:
    assert openvino_core() is openvino_core()


def test_a_signal_is_handled_after_another_thread_dropped_the_last_network(tiny_model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _A_SIGNAL_AFTER_THE_LAST_NETWORK, tiny_model],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_the_engine_sends_no_report(tmp_path: Path) -> None:
    """OpenVINO's own import reports itself to its maker, and first leaves an identifier in the home folder."""
    code = "import hilum.run.engine, openvino.tools.ovc.telemetry_utils as used; print(used.tm.__name__)"
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "SYSTEMROOT", "PYTHONPATH"}}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "openvino.tools.ovc.telemetry_stub\n"
    assert not list(tmp_path.iterdir())
