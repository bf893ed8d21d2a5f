"""OpenVINO's one core of this process."""

from __future__ import annotations

import functools

import openvino

__all__ = ["openvino_core"]


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the one OpenVINO core of this process; several threads may use it.

    It must live as long as the process. If another thread frees the last core, the thread that first compiled a
    network loses its signal stack, and Ctrl-C then ends Python with a segmentation fault (OpenVINO 2026.4).
    """
    return openvino.Core()
