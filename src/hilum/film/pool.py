"""Films decoded in processes of their own, so that no film can end, stop or fill the process that asks.

Decoders of pictures are written in C and C++. A file made for it, or merely damaged, can make one overrun its memory,
compute for hours, or ask for gigabytes, and no thread can be stopped. Here that costs one film: a decoder process has
a limit of memory and of time, and one that dies is replaced. Processes are started when they are first needed, one for
each thread that asks at the same time, and stay for the next film.

On Linux the system itself keeps the limits of memory (RLIMIT_AS) and of computing time (RLIMIT_CPU). Elsewhere the
limit of time and the restart hold.
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
    """The film was not decoded because this process is ending; nothing is wrong with it."""


class DecoderPool:
    """Decoder processes for any number of threads.

    Args:
        decoder: ``module:function`` that a process calls with the bytes of a film, its name and ``min_side_px``.
        limits: What one film may take.
        num_processes: Most processes at once; a thread that finds none free waits. One a core and one more, since a
            thread waits for the disk at times, when not given.
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
        """Return a film decoded in another process.

        A process may die of what an earlier film did to it. So where one dies that has decoded others before, the film
        is tried once more in a new one.

        Args:
            data: The whole file.
            name: What to call the film in messages.
            min_side_px: As in hilum.film.decode.decode.

        Raises:
            UndecodableFilm, UnsupportedFilm: As the decoder says; or it took too long, too much memory, or died.
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
        """Kill all processes; films under way and those that come later end with DecodersStopped."""
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
    """Let films be decoded within the block for so long, then end all decoders: for a process that was told to end.

    Films under way end with DecodersStopped then, and so do those that come later. A block that is left in time does
    no harm.
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
    """Begin anew in a forked process: the decoder processes are the parent's."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
