"""The small networks that ship beside the classifiers: they take one grey square and return one array.

They run in the thread that decoded the film. If the processor has bf16, they use it: that halves their time and
changed no decision (docs/log.md).
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

import numpy as np
import openvino
from numpy.typing import NDArray

from hilum.errors import ModelFileError
from hilum.run.compiled import compiled_network
from hilum.run.core import openvino_core
from hilum.run.models import helper_bytes

__all__ = ["HelperNetwork", "load_helper"]

_SETTINGS = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}


class HelperNetwork(ABC):
    """A compiled small network, safe to use from several threads. `load_helper` makes one.

    Attributes:
        name: What messages call the network.
        file: Its file in the package `hilum.run`.
        key: The metadata key under which the file describes the network.
        side_px: Side of the input, in pixels.
        facts: The description in the file.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    key: ClassVar[str]
    side_px: ClassVar[int]

    def __init__(self, data: bytes, precision: str) -> None:
        core = openvino_core()
        graph = core.read_model(data)
        self.facts: dict[str, Any] = json.loads(graph.get_rt_info(["framework", self.key]).astype(str))
        graph.reshape([1, 1, self.side_px, self.side_px])
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            precision = "f32"  # emulated bf16 is slow
        settings = {**_SETTINGS, "INFERENCE_PRECISION_HINT": precision}
        self._compiled = compiled_network(core, data, settings, lambda: graph)
        self._requests = threading.local()
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Compare the facts with what the code expects.

        Raises:
            ValueError, KeyError, TypeError: They are those of another network.
        """

    def ask(self, view: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output for a film (1, S, S) float32 in [0, 1]."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(view[np.newaxis])))
        request.infer()
        return np.array(request.get_output_tensor().data[0], np.float32)


_Helper = TypeVar("_Helper", bound=HelperNetwork)


def load_helper(kind: type[_Helper], data: bytes | None = None, precision: str = "bf16") -> _Helper:
    """Return a small network.

    Args:
        kind: Which one.
        data: The bytes of its ONNX file; by default the file that ships with hilum.
        precision: ``bf16`` (if the processor has it) or ``f32``, in which the network must agree with Keras.

    Raises:
        ModelFileError: It cannot be used.
    """
    data = data or helper_bytes(kind.file)
    try:
        return kind(data, precision)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"The {kind.name}'s network cannot be used.", fix="Install hilum again.") from error
