"""The program of a decoder process: receives films, returns pixels or errors, until its parent process ends.

decoder_process.py starts it with the decoding function, the limits and the shared memory. Messages on standard input
and output are a length of four bytes, then JSON. The bytes of a film and its pixels are passed through a file in memory
that both processes have open, or after the JSON on Windows, where a process cannot inherit such a file.
"""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError

__all__ = ["READY", "Channel", "serve_films"]

READY = {"ready": True}  # the first message of a process, sent after its imports
_LONGEST_MESSAGE = 1024 * 1024
_PIECE_BYTES = 16 * 1024 * 1024  # of shared memory; a larger film is passed in several pieces


@dataclass(frozen=True)
class Channel:
    """One end of the connection between a process and its decoder process.

    Attributes:
        reading: The stream of messages received.
        writing: The stream of messages sent.
        shared: Descriptor of the file in memory that both ends have open, or None.
    """

    reading: BinaryIO
    writing: BinaryIO
    shared: int | None

    def send(self, message: dict[str, Any], data: bytes | memoryview = b"") -> None:
        """Send a message and its bytes, in pieces. BrokenPipeError: the other end has closed."""
        view = memoryview(data).cast("B")
        self._put(view[:_PIECE_BYTES])
        text = json.dumps(message | {"num_bytes": len(view)}).encode()
        self._write(struct.pack("<I", len(text)) + text)
        if self.shared is None:
            self._write(view)
            return
        for start in range(_PIECE_BYTES, len(view), _PIECE_BYTES):
            self._exactly(1)  # the other end has taken the last piece
            self._put(view[start : start + _PIECE_BYTES])
            self._write(b".")

    def receive(self) -> dict[str, Any]:
        """Return the next message. EOFError: the other end has closed, or the message is not valid."""
        length = struct.unpack("<I", self._exactly(4))[0]
        if length > _LONGEST_MESSAGE:
            raise EOFError
        message = json.loads(self._exactly(length))
        if not isinstance(message, dict):
            raise EOFError
        return message

    def receive_into(self, array: NDArray[Any]) -> None:
        """Fill an array with the bytes of the last message. EOFError: they are too few."""
        view = array.reshape(-1).data.cast("B")
        for start in range(0, len(view), _PIECE_BYTES):
            if start and self.shared is not None:
                self._write(b".")
                self._exactly(1)
            self._take(view[start : start + _PIECE_BYTES])

    def receive_bytes(self, num_bytes: int) -> bytes:
        """Return the bytes of the last message. EOFError: they are too few."""
        if self.shared is not None and num_bytes <= _PIECE_BYTES:
            data = os.pread(self.shared, num_bytes, 0)
            if len(data) != num_bytes:
                raise EOFError
            return data
        if self.shared is None:
            return self._exactly(num_bytes)
        buffer = np.empty(num_bytes, np.uint8)
        self.receive_into(buffer)
        return buffer.tobytes()

    def _put(self, piece: memoryview) -> None:
        position = 0
        while self.shared is not None and position < len(piece):
            position += os.pwrite(self.shared, piece[position:], position)

    def _take(self, piece: memoryview) -> None:
        position = 0
        while position < len(piece):
            if self.shared is not None:
                num_read = os.preadv(self.shared, [piece[position:]], position)
            else:
                num_read = self.reading.readinto(piece[position:])  # type: ignore[attr-defined]
            if not num_read:
                raise EOFError
            position += num_read

    def _write(self, data: bytes | memoryview) -> None:
        self.writing.write(data)
        self.writing.flush()

    def _exactly(self, num_bytes: int) -> bytes:
        data = self.reading.read(num_bytes)
        if len(data) != num_bytes:
            raise EOFError
        return data


def serve_films(decoder: str, memory_bytes: int, cpu_seconds: float, shared: int) -> None:
    """Decode films from standard input until it ends.

    Args:
        decoder: ``module:function``, called with the bytes of a film, its name and ``min_side_px``.
        memory_bytes: Memory limit for a film, beyond the memory in use before the first film.
        cpu_seconds: Limit of computing time for a film; the system ends this process after it.
        shared: Descriptor of the shared memory, or -1.
    """
    channel = Channel(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"), None if shared < 0 else shared)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # messages of decoders must not mix with ours
        os.dup2(nowhere, number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent process, and so this one
    warnings.simplefilter("ignore")
    module, _, function = decoder.partition(":")
    decode = getattr(import_module(module), function)
    _limit_memory(memory_bytes)
    try:
        channel.send(READY)
        while True:
            _answer(channel, decode, channel.receive(), cpu_seconds)
    except (EOFError, OSError):
        return


def _answer(channel: Channel, decode: Any, request: Mapping[str, Any], cpu_seconds: float) -> None:
    _limit_time(cpu_seconds)
    start = time.process_time()
    pixels: NDArray[Any] | None = None
    data = channel.receive_bytes(request["num_bytes"])
    _end_with_parent(channel.reading, armed=True)
    try:
        radiograph = decode(data, name=request["name"], min_side_px=request["min_side_px"])
        pixels = radiograph.pixels
        others = {one.name: getattr(radiograph, one.name) for one in fields(radiograph) if one.name != "pixels"}
        reply = {"shape": pixels.shape, "radiograph": others}
        del data, radiograph
    except HilumError as error:
        reply = {"error": error.to_dict()}
    except MemoryError:
        reply = {"failure": "memory"}
    except Exception as error:  # noqa: BLE001 - damaged bytes raise any kind of error
        reply = {"failure": type(error).__name__}
    _end_with_parent(channel.reading, armed=False)
    reply["seconds"] = time.process_time() - start
    channel.send(reply, b"" if pixels is None else pixels.reshape(-1).data)


def _limit_memory(memory_bytes: int) -> None:
    """Limit the memory of this process on systems that support it, and write no core dump."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + memory_bytes,) * 2)
    except (ImportError, OSError, ValueError):
        return


def _limit_time(cpu_seconds: float) -> None:
    """Let the system end this process after this much more computing time."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + cpu_seconds), hard))
    except (ImportError, OSError, ValueError):
        return


def _end_with_parent(reading: BinaryIO, *, armed: bool) -> None:
    """Let the system end this process when the parent closes the connection while a decoder is running.

    Linux only, by the signal SIGIO. On other systems the limit of time ends the process.
    """
    if sys.platform == "linux":
        import fcntl

        number = reading.fileno()
        fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        fcntl.fcntl(number, fcntl.F_SETFL, flags | os.O_ASYNC if armed else flags & ~os.O_ASYNC)
