"""Where the time goes: each moment of a thread belongs to one part, and what is slowest is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import hilum.timings
from hilum.film.pool import decode_apart
from hilum.timings import FilmTimes, Part, Timings, in_part, spent_elsewhere


def times_of(waiting_ms: float = 0, **ms: float) -> FilmTimes:
    """Return the times of ten films in a second; a millisecond a part if nothing else is said."""
    return FilmTimes(10, 1, {part: ms.get(part.name, 1) for part in Part}, waiting_ms)


def test_each_moment_belongs_to_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 0.0
    for clock in ("thread_time", "process_time", "perf_counter"):
        monkeypatch.setattr(hilum.timings.time, clock, lambda: moment)
    timings = Timings()
    with timings.clocked(num_films=2):
        moment += 1
        with in_part(Part.decoding):
            moment += 2
            with in_part(Part.disk):
                moment += 4
            moment += 8
            spent_elsewhere(64)
    with in_part(Part.gate):  # no clock runs
        moment += 16
    times = timings.result()
    spent = {"writing": 1, "decoding": 74, "disk": 4, "network": 16, "preprocessing": 0, "gate and lungs": 0}
    assert times.core_ms == {part: 500.0 * seconds for part, seconds in spent.items()}
    assert (times.num_films, times.seconds, times.waiting_ms) == (2, 31, 0)


def test_waiting_for_the_disk_is_no_time_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, core = iter((0, 1, 1, 6, 7, 8)), iter((0, 0, 2, 2))
    monkeypatch.setattr(hilum.timings.time, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(hilum.timings.time, "thread_time", lambda: next(core))
    timings = Timings()
    with timings.clocked(num_films=1), in_part(Part.disk):
        pass
    times = timings.result()
    assert (times.waiting_ms, times.core_ms[Part.disk], times.seconds) == (3000, 2000, 8)


def test_threads_are_added_up_and_know_nothing_of_each_other() -> None:
    timings, begun = Timings(), threading.Barrier(3)

    def work(part: Part) -> None:
        with timings.clocked(num_films=1), in_part(part):
            begun.wait(20)
            end = time.thread_time() + 0.05
            while time.thread_time() < end:
                pass

    threads = [threading.Thread(target=work, args=(part,)) for part in (Part.decoding, Part.gate)]
    for thread in threads:
        thread.start()
    begun.wait(20)
    for thread in threads:
        thread.join()
    times = timings.result()
    assert times.num_films == 2
    assert min(times.core_ms[Part.decoding], times.core_ms[Part.gate]) >= 25


def test_the_time_of_a_decoder_process_counts_as_decoding(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    data = write_film(tmp_path / "film.png", size_px=2000).read_bytes()
    timings = Timings()
    with timings.clocked(num_films=1):
        decode_apart(data)
    assert timings.result().core_ms[Part.decoding] > 1  # 4 million pixels


def test_the_slowest_part_is_named() -> None:
    assert str(times_of(decoding=5)).splitlines() == [
        "10.0 films/s; a film took 10.0 ms of a core:",
        "  disk              1.0 ms   10 %",
        "  decoding          5.0 ms   50 %",
        "  preprocessing     1.0 ms   10 %",
        "  gate and lungs    1.0 ms   10 %",
        "  network           1.0 ms   10 %",
        "  writing           1.0 ms   10 %",
        "Decoding takes most of the time.",
    ]
    assert str(times_of(network=2)).endswith("The network takes most of the time.")
    assert str(times_of(gate=2)).endswith("The gate and the lungs take most of the time.")
    assert str(times_of(1000, network=2)).endswith("The disk is slowest: a film waited 1000.0 ms for it.")
    assert str(FilmTimes(0, 1, dict.fromkeys(Part, 0.0), 0)) == "No film was judged, so no time was measured."
