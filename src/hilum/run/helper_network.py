"""The small networks that ship beside the classifiers: they take one grey square and return one array.

They run in the thread that decoded the film. If the processor has bf16, they use it: that halves their time and
changed no decision (docs/log.md).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from hilum.errors import ModelFileError
from hilum.run.engine import openvino_core

__all__ = ["HelperNetwork", "usable"]

_SETTINGS = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}


class HelperNetwork:
    """A compiled small network, safe to use from several threads.

    Args:
        data: The bytes of its ONNX file.
        key: The metadata key under which the file describes the network.
        side_px: Side of the input, in pixels.
        precision: ``bf16`` (if the processor has it) or ``f32``, in which the network must agree with Keras.

    Attributes:
        facts: The description in the file.

    Raises:
        RuntimeError, ValueError: The file cannot be used; see ``usable``.
    """

    def __init__(self, data: bytes, key: str, side_px: int, *, precision: str = "bf16") -> None:
        core = openvino_core()
        graph = core.read_model(data)
        self.facts: dict[str, Any] = json.loads(graph.get_rt_info(["framework", key]).astype(str))
        graph.reshape([1, 1, side_px, side_px])
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            precision = "f32"  # emulated bf16 is slow
        self._compiled = core.compile_model(graph, "CPU", {**_SETTINGS, "INFERENCE_PRECISION_HINT": precision})
        self._requests = threading.local()

    def ask(self, view: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output for a film (1, S, S) float32 in [0, 1]."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(view[np.newaxis])))
        request.infer()
        return np.array(request.get_output_tensor().data[0], np.float32)


@contextmanager
def usable(name: str) -> Iterator[None]:
    """Raise ModelFileError, with the network's name, if a small network cannot be loaded."""
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"The {name}'s network cannot be used.", fix="Install hilum again.") from error
