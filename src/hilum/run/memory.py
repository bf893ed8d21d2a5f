"""Memory settings of the C library: flat memory for serving, reused blocks for training."""

from __future__ import annotations

import ctypes

__all__ = ["hold_memory", "keep_memory_flat"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # malloc.h
_NEVER = 2**31 - 1
_MIB = 1024 * 1024


def keep_memory_flat() -> None:
    """Let the C library return freed large blocks to the system. Does nothing without glibc.

    By default glibc keeps ever larger blocks in an arena for each thread. A process that decodes films of many sizes
    then grows for hours to several times what it needs. Blocks below 2 MiB, which most films need, are used again: to
    get new memory for each film takes an eighth of all its time. With more than that, memory grows with the films.
    """
    _ask({_M_ARENA_MAX: 2, _M_MMAP_THRESHOLD: 2 * _MIB, _M_TRIM_THRESHOLD: 4 * _MIB})


def hold_memory() -> None:
    """Let the C library keep freed large blocks for reuse. Does nothing without glibc.

    By default glibc returns blocks above 32 MiB to the system. A training step frees and allocates dozens of them, and
    the system has to clear each page again. Call this before threads get arenas of their own, so before TensorFlow is
    imported.
    """
    _ask({_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER})


def _ask(settings: dict[int, int]) -> None:
    try:
        library = ctypes.CDLL(None)
        for name, value in settings.items():
            library.mallopt(name, value)
    except (OSError, AttributeError):
        return
