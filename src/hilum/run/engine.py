"""The engine: runs the graph of a model file with OpenVINO.

Each core computes one film, from the first layer to the last. This is faster than one batch on all cores, because the
data of a film stay in the cache of one core. It also makes the answer independent of the other films.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openvino

from hilum.console import count_of
from hilum.errors import ModelFileError
from hilum.run.compiled import compiled_network
from hilum.run.core import openvino_core
from hilum.run.modelfile import ModelFile
from hilum.run.out_of_distribution import OutOfDistributionDetector

__all__ = ["Engine", "Outputs", "PendingOutputs"]

_FILM_SECONDS = 120.0  # longest time for a film; a network of hilum needs a thousandth of it
_MOST_IDLE = 32  # requests kept for the next films
_PRECISIONS = {"f32": "f32", "bf16": "bf16"}


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of the graph for N films.

    Attributes:
        logits: (N, K) float32.
        features: (N, D) float32, the layer before the logits.
        activation: (N, K, h, w) float32, the evidence for each finding by place.
        members: (N, M, K) float32, the probabilities of each member of an ensemble; else None.
    """

    logits: np.ndarray
    features: np.ndarray
    activation: np.ndarray
    members: np.ndarray | None = None


class PendingOutputs:
    """Outputs that are being computed.

    Args:
        requests: One started request for each film.
        has_members: Whether the graph is an ensemble.
        seconds: Longest time to wait for all of them; no limit by default.
        idle: Takes the requests when their outputs are copied.
    """

    def __init__(
        self,
        requests: list[openvino.InferRequest],
        *,
        has_members: bool = False,
        seconds: float | None = None,
        idle: deque[openvino.InferRequest] | None = None,
    ) -> None:
        self._requests, self._has_members, self._seconds, self._idle = requests, has_members, seconds, idle

    def wait(self) -> Outputs:
        """Return the outputs when they are ready; call it once.

        Raises:
            ModelFileError: They take too long. The other requests are cancelled.
        """
        begin = time.monotonic()
        for request in self._requests:
            if self._seconds is None:
                request.wait()
            elif not request.wait_for(max(1, round(1000 * (begin + self._seconds - time.monotonic())))):
                for other in self._requests:
                    other.cancel()
                films = count_of(len(self._requests), "film")
                raise ModelFileError(
                    f"The model has not answered for {films} within {self._seconds:.0f} s.",
                    fix="Use a smaller model or a faster computer.",
                )
        names = ("logits", "features", "activation", *(("members",) if self._has_members else ()))
        outputs = Outputs(
            *(np.concatenate([request.get_tensor(name).data for request in self._requests]) for name in names)
        )
        requests, self._requests = self._requests, []
        if self._idle is not None:
            self._idle.extend(requests)
        return outputs


class Engine:
    """A compiled graph, safe to use from several threads.

    Args:
        model: The model file. The engine uses the file's precision, with which the model was measured.
        num_threads: Threads of the engine; all cores by default.
        alter: Changes the graph before it is compiled. Only experiments use it; a model that serves is never changed.

    Attributes:
        has_members: Whether the graph is an ensemble and also returns the probabilities of each member.

    Raises:
        ModelFileError: The engine cannot compile the graph, or the graph has other inputs and outputs.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        num_threads: int | None = None,
        alter: Callable[[openvino.Model], None] | None = None,
    ) -> None:
        precision = _PRECISIONS.get(model.metadata.precision)
        if precision is None:
            raise ModelFileError(
                f"The model file asks for the precision `{model.metadata.precision}`; expected f32 or bf16."
            )
        num_threads = self._num_streams = num_threads or os.cpu_count() or 1
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": num_threads,
            "NUM_STREAMS": num_threads,
            "ENABLE_CPU_PINNING": False,  # the threads that decode need the cores too
        }
        size = model.metadata.preprocessing.size_px
        core = openvino_core()

        def read() -> openvino.Model:
            graph = core.read_model(model.data)
            self._check(graph, model)
            if alter is not None:
                alter(graph)
            graph.reshape({"film": [1, 1, size, size]})  # a fixed shape computes faster
            return graph

        try:
            if alter is None:
                self._compiled = compiled_network(core, model.data, settings, read)
            else:
                self._compiled = core.compile_model(read(), "CPU", settings)
            self.has_members = any("members" in port.names for port in self._compiled.outputs)
            self._idle: deque[openvino.InferRequest] = deque(maxlen=_MOST_IDLE)
        except RuntimeError as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"The engine cannot run the model file `{model.path}`.") from error

    @staticmethod
    def _check(graph: openvino.Model, model: ModelFile) -> None:
        """Refuse a graph with other inputs and outputs."""
        inputs = {name for port in graph.inputs for name in port.names}
        outputs = {name for port in graph.outputs for name in port.names}
        if "film" not in inputs or not {"logits", "features", "activation"} <= outputs:
            raise ModelFileError(
                f"The graph of `{model.path}` takes {sorted(inputs)} and returns {sorted(outputs)}; "
                "expected `film` and `logits`, `features`, `activation`."
            )
        Engine._check_shapes(graph, model)

    @staticmethod
    def _check_shapes(graph: openvino.Model, model: ModelFile) -> None:
        """Refuse a graph whose shapes do not fit the findings and the film size of the metadata."""
        size, num_findings = model.metadata.preprocessing.size_px, len(model.metadata.findings)
        expected = {"film": [-1, 1, size, size], "logits": [-1, num_findings], "activation": [-1, num_findings, -1, -1]}
        if model.metadata.gate:
            expected["features"] = [-1, OutOfDistributionDetector.from_dict(model.metadata.gate).bank.shape[1]]
        if any("members" in port.names for port in graph.outputs):
            expected["members"] = [-1, -1, num_findings]
        for name, shape in expected.items():
            port = graph.input(name) if name == "film" else graph.output(name)
            if not port.partial_shape.compatible(openvino.PartialShape(shape)):
                raise ModelFileError(
                    f"The graph and the metadata of `{model.path}` do not fit: `{name}` has the shape "
                    f"{port.partial_shape}; expected {openvino.PartialShape(shape)}."
                )

    def start(self, films: np.ndarray) -> PendingOutputs:
        """Begin to compute and return at once.

        Args:
            films: (N, 1, S, S) float32 in [0, 1].
        """
        films = np.ascontiguousarray(films, dtype=np.float32)
        requests = []
        for position in range(len(films)):
            try:
                request = self._idle.pop()
            except IndexError:
                request = self._compiled.create_infer_request()  # takes half a millisecond, and memory
            request.set_tensor("film", openvino.Tensor(films[position : position + 1]))
            request.start_async()
            requests.append(request)
        seconds = _FILM_SECONDS * -(-len(requests) // self._num_streams)
        return PendingOutputs(requests, has_members=self.has_members, seconds=seconds, idle=self._idle)

    def run(self, films: np.ndarray) -> Outputs:
        """Return the outputs for films (N, 1, S, S) float32 in [0, 1]."""
        return self.start(films).wait()
