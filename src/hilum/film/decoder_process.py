"""One process that decodes films: its limits, the connection to it, and the errors when it fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.errors import HilumError, RefusedFilm, UndecodableFilm, UnsupportedFilm
from hilum.film.radiograph import Radiograph
from hilum.film.worker import READY, Channel
from hilum.timings import spent_elsewhere

__all__ = ["DecoderProcess", "Lost", "PoolLimits", "called_after", "refused_film"]

_START = (  # the process imports hilum from the same path as this one
    "import json, sys; _, path, *rest = sys.argv; sys.path[:] = json.loads(path);"
    "from hilum.film.worker import serve_films; serve_films(rest[0], int(rest[1]), float(rest[2]), int(rest[3]))"
)
_START_SECONDS = 120.0  # time to import numpy and pydicom on a busy machine
_SEND_AGAIN = "Copy or export it again from where it came from."
_FILM_ERRORS = {kind.__name__: kind for kind in (UndecodableFilm, UnsupportedFilm)}
_ENVIRONMENT = {  # one thread; glibc keeps up to 64 MB for the next film, which is faster than new memory
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MALLOC_ARENA_MAX"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
}


@dataclass(frozen=True)
class PoolLimits:
    """Limits for decoding one film.

    Attributes:
        memory_bytes: Memory beyond the 100 MB of a decoder process without a film; enforced on Linux only.
        cpu_seconds: Computing time; the largest film takes about a third of it on a slow machine.
        wall_seconds: Total time, for systems that do not limit computing time and for decoders that block.
    """

    memory_bytes: int = 1024 * 1024 * 1024
    cpu_seconds: float = 10.0
    wall_seconds: float = 40.0


@contextlib.contextmanager
def called_after(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call a function from another thread if the block is not left within so many seconds."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Lost(Exception):
    """A decoder process died or was killed while it decoded a film; the message is the cause."""


class DecoderProcess:
    """One decoder process and the connection to it; for one thread at a time."""

    def __init__(self, decoder: str, limits: PoolLimits) -> None:
        self._limits, self._too_slow = limits, False
        self.num_films, self._ready = 0, False
        shared = _shared_file()
        number = -1 if shared is None else shared
        path = [os.fspath(entry) or os.getcwd() for entry in sys.path if isinstance(entry, str | os.PathLike)]  # noqa: PTH109
        arguments = [json.dumps(path), decoder, str(limits.memory_bytes), str(limits.cpu_seconds), str(number)]
        apart: dict[str, Any] = {"pass_fds": () if shared is None else (shared,), "process_group": 0}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
                **apart,  # Ctrl-C in the terminal is for the process that asks
            )
        except BaseException:
            if shared is not None:
                os.close(shared)
            raise
        self._channel = Channel(self._process.stdout, self._process.stdin, shared)  # type: ignore[arg-type]

    def decode(self, data: bytes, name: str, min_side_px: int | None) -> Radiograph:
        """Return the film. HilumError: the film is refused. Lost: the process has ended."""
        try:
            self._wait_until_ready()
            self.num_films += 1
            with called_after(self._limits.wall_seconds, self._end_as_too_slow):
                self._channel.send({"name": name, "min_side_px": min_side_px}, data)
                reply = self._channel.receive()
                spent_elsewhere(reply["seconds"])
                return self._film(reply, name)
        except (OSError, EOFError, KeyError, TypeError, json.JSONDecodeError) as error:
            self.end()
            raise Lost(self._cause()) from error
        except HilumError:
            raise
        except BaseException:  # such as Ctrl-C: the reply would be taken for that of the next film
            self.end()
            raise

    def end(self) -> None:
        """Kill the process and close the connection; called by the thread that uses it."""
        self.kill(wait=True)
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        if self._channel.shared is not None:
            with contextlib.suppress(OSError):
                os.close(self._channel.shared)

    def kill(self, *, wait: bool = False) -> None:
        """Kill the process; called by any thread."""
        with contextlib.suppress(OSError):
            self._process.kill()
        if wait:
            self._process.wait()

    @property
    def lives(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def _wait_until_ready(self) -> None:
        if not self._ready:
            with called_after(_START_SECONDS, self._end_as_too_slow):
                if self._channel.receive().get("ready") != READY["ready"]:
                    raise EOFError
            self._ready = True

    def _end_as_too_slow(self) -> None:
        self._too_slow = True
        self.kill()

    def _film(self, reply: Mapping[str, Any], name: str) -> Radiograph:
        if error := reply.get("error"):
            kind = RefusedFilm if error.get("refused") else _FILM_ERRORS.get(error["type"], UndecodableFilm)
            raise kind(str(error["message"]), fix=str(error["fix"]))
        if failure := reply.get("failure"):
            raise refused_film(name, str(failure))
        height, width = (int(side) for side in reply["shape"])
        pixels = np.empty((height, width), np.float32)
        self._channel.receive_into(pixels)
        others: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in reply["radiograph"].items()
        }
        return Radiograph(pixels, **others)

    def _cause(self) -> str:
        """Return why the process ended."""
        code = self._process.returncode
        if not self._ready:
            return f"start {code}"
        if self._too_slow or (os.name == "posix" and code == -signal.SIGXCPU):
            return "time"
        return "crash"


def refused_film(name: str, cause: str) -> HilumError:
    """Return the error for a film that a decoder process could not decode."""
    if cause.startswith("start"):
        return HilumError(
            f"Cannot start the process that decodes films (exit code {cause.partition(' ')[2]}).",
            fix="Check that hilum and all its dependencies are installed.",
        )
    if cause == "time":
        return UndecodableFilm(
            f"Cannot read the film `{name}`: decoding takes longer than any film needs.", fix=_SEND_AGAIN
        )
    if cause == "memory":
        return UndecodableFilm(
            f"Cannot read the film `{name}`: decoding takes more memory than any film needs.", fix=_SEND_AGAIN
        )
    said = "makes the decoder crash" if cause == "crash" else f"cannot be decoded ({cause})"
    return UndecodableFilm(f"Cannot read the film `{name}`: it is damaged and {said}.", fix=_SEND_AGAIN)


def _shared_file() -> int | None:
    """Return the descriptor of a file in memory; None on Windows, where a process cannot inherit one."""
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        return os.memfd_create("hilum-film")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
