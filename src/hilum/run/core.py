"""OpenVINO without its converters, and its one core.

`import openvino` imports the converters too. hilum never uses them, and they take a tenth of a start.
"""

from __future__ import annotations

import functools
import sys

_CONVERTERS = "openvino.tools.ovc"
_left_out = sys.modules.setdefault(_CONVERTERS, None) is None  # type: ignore[arg-type]  # OpenVINO then does without
import openvino  # noqa: E402

if _left_out:
    del sys.modules[_CONVERTERS]  # who wants them can import them

__all__ = ["openvino", "openvino_core"]


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the one OpenVINO core of this process; several threads may use it.

    It must live as long as the process. If another thread frees the last core, the thread that first compiled a
    network loses its signal stack, and Ctrl-C then ends Python with a segmentation fault (OpenVINO 2026.4).
    """
    return openvino.Core()
