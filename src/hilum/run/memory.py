"""Memory of a process that decodes films of many sizes for hours: what is freed goes back to the system."""

from __future__ import annotations

import ctypes

__all__ = ["keep_memory_flat"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h


def keep_memory_flat() -> None:
    """Ask the C library to give large blocks back to the system when they are freed; glibc only, else nothing happens.

    By default it learns from each large block that is freed to keep the next one, in an arena for each thread: a
    process that decodes films of many sizes then grows for hours towards several times what it needs.
    """
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 2)
        library.mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        library.mallopt(_M_TRIM_THRESHOLD, 1024 * 1024)
    except (OSError, AttributeError):
        return
