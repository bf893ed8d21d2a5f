"""Where the time of predicting goes: disk, decoding, preprocessing, gate and lungs, network, writing.

A thread that works for a `Timings` has a clock, which always runs for one part. `in_part` turns it to another one for a
while; in a thread without a clock it does nothing. The engine's own threads have none: their time is what remains of
the process's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["FilmTimes", "Part", "Timings", "in_part", "spent_elsewhere"]

_DISK_IS_SLOW = 0.3  # of all time of a thread, waiting for the disk


class Part(StrEnum):
    """What a film's time is spent on."""

    disk = "disk"
    decoding = "decoding"
    preprocessing = "preprocessing"
    gate = "gate and lungs"
    network = "network"
    writing = "writing"


@dataclass(frozen=True)
class FilmTimes:
    """Where the time of a run went.

    Attributes:
        num_films: Films judged.
        seconds: Time of the run on the wall clock.
        core_ms: Milliseconds of a core a film, for each part.
        waiting_ms: Milliseconds a film that a thread waited for the disk.
    """

    num_films: int
    seconds: float
    core_ms: Mapping[Part, float]
    waiting_ms: float

    def __str__(self) -> str:
        if not self.num_films:
            return "No film was judged, so no time was measured."
        total = sum(self.core_ms.values())
        lines = [f"{self.num_films / self.seconds:.1f} films/s; a film took {total:.1f} ms of a core:"]
        lines += [f"  {part:14}{ms:7.1f} ms{100 * ms / total:5.0f} %" for part, ms in self.core_ms.items()]
        return "\n".join([*lines, self._slowest()])

    def _slowest(self) -> str:
        """Return a sentence that names what takes most time."""
        ms_a_thread = 1000 * self.seconds * ((os.cpu_count() or 1) + 1) / self.num_films
        if self.waiting_ms > _DISK_IS_SLOW * ms_a_thread:
            return f"The disk is slowest: a film waited {self.waiting_ms:.1f} ms for it."
        part = max(self.core_ms, key=lambda one: self.core_ms[one])
        subject = {Part.gate: "The gate and the lungs take", Part.network: "The network takes"}
        return f"{subject.get(part, f'{part.capitalize()} takes')} most of the time."


class _Clock:
    """The time of one thread, part by part."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(Part, 0.0)
        self.elsewhere = self.waiting = 0.0
        self._part = Part.writing
        self._core, self._wall = time.thread_time(), time.perf_counter()

    def turn_to(self, part: Part) -> Part:
        """Let the clock run for a part; return the one it ran for."""
        core, wall, before = time.thread_time(), time.perf_counter(), self._part
        self.spent[before] += core - self._core
        if before is Part.disk:
            self.waiting += max(0.0, wall - self._wall - (core - self._core))
        self._part, self._core, self._wall = part, core, wall
        return before


_clock: ContextVar[_Clock | None] = ContextVar("clock", default=None)


class Timings:
    """Adds up the time of films from now on, in several threads."""

    def __init__(self) -> None:
        self._spent = dict.fromkeys(Part, 0.0)
        self._elsewhere = self._waiting = 0.0
        self._num_films = 0
        self._lock = threading.Lock()
        self._core, self._wall = time.process_time(), time.perf_counter()

    @contextmanager
    def clocked(self, *, num_films: int = 0) -> Iterator[None]:
        """Count the time of this thread in the block, in which so many films are judged."""
        clock = _Clock()
        token = _clock.set(clock)
        try:
            yield
        finally:
            _clock.reset(token)
            clock.turn_to(Part.writing)
            with self._lock:
                for part, seconds in clock.spent.items():
                    self._spent[part] += seconds
                self._elsewhere += clock.elsewhere
                self._waiting += clock.waiting
                self._num_films += num_films

    def result(self) -> FilmTimes:
        """Return the times so far; call it outside of all clocked blocks."""
        seconds, core = time.perf_counter() - self._wall, time.process_time() - self._core
        spent = dict(self._spent)
        spent[Part.network] += max(0.0, core - sum(spent.values()))  # by the engine's threads
        spent[Part.decoding] += self._elsewhere
        number = max(1, self._num_films)
        core_ms = {part: 1000 * spent[part] / number for part in Part}
        return FilmTimes(self._num_films, seconds, core_ms, 1000 * self._waiting / number)


@contextmanager
def in_part(part: Part) -> Iterator[None]:
    """Count the time of this thread in the block for a part."""
    clock = _clock.get()
    if clock is None:
        yield
        return
    before = clock.turn_to(part)
    try:
        yield
    finally:
        clock.turn_to(before)


def spent_elsewhere(seconds: float) -> None:
    """Count time that a decoder process has spent for this thread."""
    if clock := _clock.get():
        clock.elsewhere += seconds
