"""The engine: runs the graph of a model file with OpenVINO, on any number of films at a time.

Each core computes a film of its own, from the first layer to the last. That is faster than a batch on all cores, since
a film's maps stay in the cache of one core, and it gives a film the same answer alone and among others.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openvino

from hilum.console import count_of
from hilum.errors import ModelFileError
from hilum.run.modelfile import ModelFile
from hilum.run.out_of_distribution import OutOfDistributionDetector

__all__ = ["Engine", "Outputs", "PendingOutputs", "openvino_core"]

# The one OpenVINO core of a process.
#
# It is never let go. Its CPU plugin gives the thread that first compiles a network a stack of its own for signals, and
# takes it back when the last core and network are gone; where another thread dropped those, the first one is left with
# a stack that is no more, and its next signal, such as Ctrl-C, ends Python with a segmentation fault (OpenVINO 2026.4).


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the core by which every network is read and compiled; several threads may use it."""
    return openvino.Core()


_FILM_SECONDS = 120.0  # a film at most: a thousand times what a network of hilum takes
_PRECISIONS = {"f32": "f32", "bf16": "bf16"}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the graph says of N films.

    Attributes:
        logits: (N, K) float32.
        features: (N, D) float32, the layer before the logits.
        activation: (N, K, h, w) float32, what speaks for each finding and where.
        members: (N, M, K) float32, of an ensemble the probabilities of each member; else None.
    """

    logits: np.ndarray
    features: np.ndarray
    activation: np.ndarray
    members: np.ndarray | None = None


class PendingOutputs:
    """Outputs that are being computed.

    Args:
        requests: One a film, all begun.
        has_members: Whether the graph is an ensemble's.
        seconds: How long to wait for them all at most; as long as it takes when not given.
    """

    def __init__(
        self, requests: list[openvino.InferRequest], *, has_members: bool = False, seconds: float | None = None
    ) -> None:
        self._requests, self._has_members, self._seconds = requests, has_members, seconds

    def wait(self) -> Outputs:
        """Return the outputs when they are there.

        Raises:
            ModelFileError: They take too long, as no model of hilum does; what is left of them is given up.
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
                    fix="Give a smaller model, or a computer with more to spare.",
                )
        names = ("logits", "features", "activation", *(("members",) if self._has_members else ()))
        return Outputs(
            *(np.concatenate([request.get_tensor(name).data for request in self._requests]) for name in names)
        )


class Engine:
    """A compiled graph, safe to use from several threads.

    Args:
        model: The model file; its precision is the one that was measured, so no caller chooses another.
        num_threads: Threads of the engine; all cores when not given.
        alter: Called with the graph before it is compiled, to judge another network than the file's; a model that
            answers for films is never altered.

    Attributes:
        has_members: Whether the graph is an ensemble's, which also returns the probabilities of each member.

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
                f"The model file asks for the precision `{model.metadata.precision}`; known: f32, bf16."
            )
        num_threads = self._num_streams = num_threads or os.cpu_count() or 1
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": num_threads,
            "NUM_STREAMS": num_threads,
            "ENABLE_CPU_PINNING": False,  # the threads that decode need the cores too
        }
        size = model.metadata.preprocessing.size_px
        try:
            core = openvino_core()
            graph = core.read_model(model.data)
            self._check(graph, model)
            self.has_members = any("members" in port.names for port in graph.outputs)
            if alter is not None:
                alter(graph)
            graph.reshape({"film": [1, 1, size, size]})  # a known number of films computes faster than any number
            self._compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"The engine cannot run the model file `{model.path}`.") from error

    @staticmethod
    def _check(graph: openvino.Model, model: ModelFile) -> None:
        """Refuse a graph of other inputs and outputs."""
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
        """Refuse metadata that speak of other findings or another film size than the graph does."""
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
        """Begin to compute; the caller may go on decoding.

        Args:
            films: (N, 1, S, S) float32 in [0, 1].
        """
        films = np.ascontiguousarray(films, dtype=np.float32)
        requests = []
        for position in range(len(films)):
            request = self._compiled.create_infer_request()
            request.set_tensor("film", openvino.Tensor(films[position : position + 1]))
            request.start_async()
            requests.append(request)
        seconds = _FILM_SECONDS * -(-len(requests) // self._num_streams)
        return PendingOutputs(requests, has_members=self.has_members, seconds=seconds)

    def run(self, films: np.ndarray) -> Outputs:
        """Return what the graph says of (N, 1, S, S) float32 films."""
        return self.start(films).wait()
