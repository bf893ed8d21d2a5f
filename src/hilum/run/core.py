"""The one OpenVINO core of a process.

It is never let go. Its CPU plugin gives the thread that first compiles a network a stack of its own for signals, and
takes it back when the last core and network are gone; where another thread dropped those, the first one is left with
a stack that is no more, and its next signal, such as Ctrl-C, ends Python with a segmentation fault (OpenVINO 2026.4).
"""

from __future__ import annotations

import functools

import openvino

__all__ = ["openvino_core"]


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the core by which every network is read and compiled; several threads may use it."""
    return openvino.Core()
