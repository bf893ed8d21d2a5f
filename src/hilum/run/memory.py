"""Memory as the C library keeps it: flat where films of many sizes are decoded for hours, held where networks train."""

from __future__ import annotations

import ctypes

__all__ = ["hold_memory", "keep_memory_flat"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # malloc.h
_NEVER = 2**31 - 1


def keep_memory_flat() -> None:
    """Ask the C library to give large blocks back to the system when they are freed; glibc only, else nothing happens.

    By default it learns from each large block that is freed to keep the next one, in an arena for each thread: a
    process that decodes films of many sizes then grows for hours towards several times what it needs.
    """
    _ask({_M_ARENA_MAX: 2, _M_MMAP_THRESHOLD: 256 * 1024, _M_TRIM_THRESHOLD: 1024 * 1024})


def hold_memory() -> None:
    """Ask the C library to keep large blocks for the next of their size; glibc only, else nothing happens.

    By default it gives every block of more than 32 MiB back to the system when it is freed. A training step frees and
    asks for dozens of such, and the system clears them page by page anew. To be called before threads have arenas of
    their own, so before TensorFlow is imported.
    """
    _ask({_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER})


def _ask(settings: dict[int, int]) -> None:
    try:
        library = ctypes.CDLL(None)
        for name, value in settings.items():
            library.mallopt(name, value)
    except (OSError, AttributeError):
        return
