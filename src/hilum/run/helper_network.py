"""The small networks that ship beside the classifiers: one grey square in, one array out, one film at a time.

They need no batches and no threads of their own: whoever judges a film asks them in the thread that decoded it. They
are served in bf16 where the processor has it: that halves their time and changed no decision
(docs/log.md).
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
        key: Where in the file stands what the network says of itself.
        side_px: The side of the films it sees.
        precision: ``bf16``, where the processor has it, or ``f32``, in which it must agree with Keras.

    Attributes:
        facts: What the network says of itself.

    Raises:
        RuntimeError, ValueError: The file cannot be used; see ``usable``.
    """

    def __init__(self, data: bytes, key: str, side_px: int, *, precision: str = "bf16") -> None:
        core = openvino_core()
        graph = core.read_model(data)
        self.facts: dict[str, Any] = json.loads(graph.get_rt_info(["framework", key]).astype(str))
        graph.reshape([1, 1, side_px, side_px])
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            precision = "f32"  # else bf16 is imitated, slowly
        self._compiled = core.compile_model(graph, "CPU", {**_SETTINGS, "INFERENCE_PRECISION_HINT": precision})
        self._requests = threading.local()

    def ask(self, view: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network says of a film (1, S, S) float32 in [0, 1]."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(view[np.newaxis])))
        request.infer()
        return np.array(request.get_output_tensor().data[0], np.float32)


@contextmanager
def usable(name: str) -> Iterator[None]:
    """Turn what goes wrong while a small network is loaded into one error.

    Args:
        name: What it is called in the message.

    Raises:
        ModelFileError: The network cannot be used.
    """
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"The {name}'s network cannot be used.", fix="Install hilum anew.") from error
