"""Decodes films in separate processes, so that no film can crash or block hilum or exhaust its memory.

Picture decoders are written in C and C++. A malicious or damaged file can make one crash, compute for hours, or
allocate gigabytes. A decoder process has limits of memory and time, and a process that dies is replaced, so only one
film is lost. Processes are started when needed, at most one for each waiting thread, and are kept for later films.

Linux enforces the limits of memory (RLIMIT_AS) and computing time (RLIMIT_CPU). Other systems have the limit of total
time only.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator

from hilum.errors import HilumError
from hilum.film.decoder_process import DecoderProcess, Lost, PoolLimits, called_after, refused_film
from hilum.film.radiograph import Radiograph

__all__ = ["DecoderPool", "DecodersStopped", "PoolLimits", "decode_apart", "decoders_end_after"]

_DECODER = "hilum.film.decode:decode_here"


class DecodersStopped(RuntimeError):
    """The film was not decoded because this process is ending; the film itself may be valid."""


class DecoderPool:
    """Decoder processes for any number of threads.

    Args:
        decoder: ``module:function`` that a process calls with the bytes of a film, its name and ``min_side_px``.
        limits: The limits for one film.
        num_processes: The most processes at once; further threads wait. Default: the number of cores plus one.
    """

    def __init__(
        self, decoder: str = _DECODER, limits: PoolLimits | None = None, *, num_processes: int | None = None
    ) -> None:
        self._decoder, self._limits = decoder, limits or PoolLimits()
        self._free = threading.Semaphore(num_processes or (os.cpu_count() or 1) + 1)
        self._lock = threading.Lock()
        self._idle: list[DecoderProcess] = []
        self._all: set[DecoderProcess] = set()
        self._stopped = False

    def decode(self, data: bytes, *, name: str = "film", min_side_px: int | None = None) -> Radiograph:
        """Return a film decoded in another process; arguments as in hilum.film.decode.decode.

        An earlier film may have damaged a process. So if a process that has decoded other films crashes, the film is
        tried once more in a new process.

        Raises:
            UndecodableFilm, UnsupportedFilm: From the decoder; or it exceeded its limits or crashed.
            DecodersStopped: This process is ending.
        """
        with self._free:
            for _ in range(2):
                worker = self._borrow()
                served_others = worker.num_films > 0
                try:
                    return worker.decode(data, name, min_side_px)
                except Lost as lost:
                    cause = str(lost)
                finally:
                    self._give_back(worker)
                if self._stopped:
                    raise DecodersStopped
                if cause != "crash" or not served_others:
                    break
            raise refused_film(name, cause)

    def stop(self) -> None:
        """Kill all processes; current and later films end with DecodersStopped."""
        with self._lock:
            self._stopped = True
            workers, idle = list(self._all), list(self._idle)
            self._idle.clear()
        for worker in workers:
            worker.kill(wait=True)
        for worker in idle:
            worker.end()

    def _borrow(self) -> DecoderProcess:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.lives:
                    return worker
                self._all.discard(worker)
                worker.end()
            if self._stopped:
                raise DecodersStopped
            try:
                worker = DecoderProcess(self._decoder, self._limits)
            except OSError as error:
                raise HilumError(
                    f"Cannot start the process that decodes films: {error.strerror}.",
                    fix="Close other programs, or allow more processes.",
                ) from error
            self._all.add(worker)
            return worker

    def _give_back(self, worker: DecoderProcess) -> None:
        with self._lock:
            if self._stopped:
                worker.end()
            if worker.lives:
                self._idle.append(worker)
            else:
                self._all.discard(worker)


def decode_apart(data: bytes, *, name: str = "film", min_side_px: int | None = None) -> Radiograph:
    """Return a film decoded in another process: see DecoderPool.decode. All threads share one pool."""
    return _the_pool().decode(data, name=name, min_side_px=min_side_px)


@contextlib.contextmanager
def decoders_end_after(seconds: float) -> Iterator[None]:
    """Stop all decoders if the block takes longer than ``seconds``; for a process that is shutting down.

    Current and later films then end with DecodersStopped. A block that ends in time changes nothing.
    """
    with called_after(seconds, lambda: _the_pool().stop()):
        yield


_pool: DecoderPool | None = None
_pool_lock = threading.Lock()


def _the_pool() -> DecoderPool:
    global _pool  # noqa: PLW0603
    with _pool_lock:
        if _pool is None:
            _pool = DecoderPool()
            atexit.register(_pool.stop)
        return _pool


def _forget_pool() -> None:
    """Start without a pool in a forked process, since the decoder processes belong to the parent."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
