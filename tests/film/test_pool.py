"""What a film may do to its decoder process, and what comes of it. The decoders here are made to misbehave."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import HilumError, UndecodableFilm, UnsupportedFilm
from hilum.film.pool import DecoderPool, DecodersStopped, PoolLimits

MISCHIEF = '''
import ctypes, os, sys, time
import numpy as np
from hilum.errors import UndecodableFilm, UnsupportedFilm
from hilum.film.radiograph import Radiograph

first = True

def decode(data, *, name, min_side_px):
    """Do what the film's first word says."""
    global first
    word, _, rest = data.partition(b" ")
    was_first, first = first, False
    if word == b"abort" or (word == b"abort-unless-first" and not was_first):
        os.abort()
    if word == b"overrun":
        ctypes.memset(8, 1, 64)
    if word == b"allocate":
        np.ones(2**30, np.uint8)
    if word == b"compute":
        while True:
            pass
    if word == b"sleep":
        time.sleep(600)
    if word == b"print":
        os.write(1, b"words of a decoder" * 1000)
    if word == b"refuse":
        raise UnsupportedFilm(f"The film `{name}` is a shoe.", fix="Give a chest.")
    if word == b"surprise":
        raise KeyError(rest.decode())
    side = int(rest or 4)
    pixels = np.full((side, side + 1), len(data) / 2**30, np.float32)
    return Radiograph(pixels, "png", (side, min_side_px or os.getpid()), 8, view_position=word.decode())
'''


@pytest.fixture
def make_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DecoderPool]]:
    """Start pools whose decoder does what a film's bytes tell it."""
    (tmp_path / "mischief.py").write_text(MISCHIEF, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made: list[DecoderPool] = []

    def make(*, num_processes: int = 1, **limits: float) -> DecoderPool:
        made.append(DecoderPool("mischief:decode", PoolLimits(**limits), num_processes=num_processes))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for pool in made:
        pool.stop()


def process_of(pool: DecoderPool) -> int:
    """Return the number of the process that the pool's next film is decoded in."""
    return pool.decode(b"tell").original_size_px[1]


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"


def test_a_film_comes_back_whole(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool()
    film = pool.decode(b"PA 300", min_side_px=77)
    assert film.pixels.shape == (300, 301)
    assert film.pixels.dtype == np.float32
    assert film.pixels.flags.writeable
    assert (film.pixels == np.float32(6 / 2**30)).all()
    assert (film.original_size_px, film.view_position, film.patient_key) == ((300, 77), "PA", None)


def test_a_large_film_goes_through_in_pieces(make_pool: Callable[..., DecoderPool]) -> None:
    data = b"PA 2500" + b" " * 40_000_000
    film = make_pool().decode(data)
    assert film.pixels.shape == (2500, 2501)
    assert (film.pixels == np.float32(len(data) / 2**30)).all()


def test_the_process_stays_for_the_next_film(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool()
    assert process_of(pool) == process_of(pool) != os.getpid()


def test_refusals_come_back_as_themselves(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool()
    process = process_of(pool)
    with pytest.raises(UnsupportedFilm) as refused:
        pool.decode(b"refuse", name="odd \udcff.dcm")
    as_raised = UnsupportedFilm("The film `odd \udcff.dcm` is a shoe.", fix="Give a chest.")
    assert refused.value.to_dict() == as_raised.to_dict()
    with pytest.raises(UndecodableFilm, match=r"`a.dcm`: it is damaged and cannot be decoded \(KeyError\)") as error:
        pool.decode(b"surprise SECRET", name="a.dcm")
    assert "SECRET" not in str(error.value)
    assert process_of(pool) == process


def test_words_of_a_decoder_are_no_message(make_pool: Callable[..., DecoderPool], capfd: pytest.CaptureFixture) -> None:
    assert make_pool().decode(b"print 7").pixels.shape == (7, 8)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", [b"abort", b"overrun"])
def test_a_film_that_kills_its_decoder_costs_itself_only(word: bytes, make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool()
    process = process_of(pool)
    with pytest.raises(UndecodableFilm, match=r"`bad\.jpg`: it is damaged and makes the decoder crash"):
        pool.decode(word, name="bad.jpg")
    assert gone(process)
    assert process_of(pool) != process


def test_a_film_is_tried_again_where_an_earlier_one_may_be_at_fault(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool()
    process = process_of(pool)
    assert pool.decode(b"abort-unless-first 3").original_size_px[1] != process


def test_a_process_that_died_between_two_films_is_replaced(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool()
    os.kill(process_of(pool), signal.SIGKILL)
    assert pool.decode(b"PA").pixels.size


def test_a_film_that_computes_for_ever_is_stopped(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool(cpu_seconds=1.0)
    start = time.monotonic()
    with pytest.raises(UndecodableFilm, match="decoding takes longer than any film needs"):
        pool.decode(b"compute")
    assert time.monotonic() - start < 30
    assert pool.decode(b"PA").pixels.size


def test_a_film_that_waits_for_ever_is_stopped(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool(wall_seconds=2.0)
    process = process_of(pool)
    with pytest.raises(UndecodableFilm, match="decoding takes longer than any film needs"):
        pool.decode(b"sleep")
    assert gone(process)
    assert pool.decode(b"PA").pixels.size


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit of memory")
def test_a_film_that_asks_for_too_much_memory_is_refused(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool(memory_bytes=2**29)
    with pytest.raises(UndecodableFilm, match="decoding takes more memory than any film needs"):
        pool.decode(b"allocate")
    assert pool.decode(b"PA").pixels.size


def test_many_threads_get_their_own_films(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool(num_processes=3)
    words = [b"refuse" if number % 7 == 3 else b"PA %d" % (number + 1) for number in range(60)]
    words[30] = b"abort"

    def side(word: bytes) -> int | str:
        try:
            return pool.decode(word).pixels.shape[0]
        except HilumError as error:
            return type(error).__name__

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(side, words))
    for number, (word, one) in enumerate(zip(words, found, strict=True)):
        expected = {b"abort": "UndecodableFilm", b"refuse": "UnsupportedFilm"}.get(word, number + 1)
        assert one == expected


def test_stopping_ends_what_is_under_way_and_what_comes_later(make_pool: Callable[..., DecoderPool]) -> None:
    pool = make_pool(num_processes=2)
    process = process_of(pool)
    with ThreadPoolExecutor(1) as thread:
        hanging = thread.submit(pool.decode, b"sleep")
        time.sleep(0.5)
        pool.stop()
        with pytest.raises(DecodersStopped):
            hanging.result(timeout=20)
    with pytest.raises(DecodersStopped):
        pool.decode(b"PA")
    assert gone(process)


def run_script(folder: Path, script: str) -> subprocess.Popen[str]:
    """Start a script without a main guard that decodes with the mischievous decoder; it says its process' number."""
    (folder / "mischief.py").write_text(MISCHIEF, encoding="utf-8")
    begin = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\nfrom hilum.film.pool import DecoderPool, PoolLimits\n"
        "import hilum.film.pool as module, threading, time, os, signal\n"
        "module._pool = pool = DecoderPool('mischief:decode')\nmodule.atexit.register(pool.stop)\n"
        "print(pool.decode(b'tell').original_size_px[1], flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", begin + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the number of the decoder process, and what the script wrote of errors."""
    out, err = process.communicate(timeout=60)
    return int(out.split()[0]), err


def test_a_script_that_ends_leaves_no_process(tmp_path: Path, until: Callable[..., bool]) -> None:
    script = run_script(tmp_path, "")
    process, said = finish(script)
    assert (script.returncode, said) == (0, "")
    until(lambda: gone(process), seconds=20)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of time ends it")
def test_a_script_that_is_killed_leaves_no_process_even_while_one_hangs(
    tmp_path: Path, until: Callable[..., bool]
) -> None:
    script = run_script(
        tmp_path,
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()\npool.decode(b'sleep')\n",
    )
    process, _ = finish(script)
    assert script.returncode == -signal.SIGKILL
    until(lambda: gone(process), seconds=20)


def test_ctrl_c_ends_a_script_with_its_own_traceback_only(tmp_path: Path, until: Callable[..., bool]) -> None:
    script = run_script(
        tmp_path,
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n    print('now', flush=True); pool.decode(b'sleep')\nexcept KeyboardInterrupt:\n"
        "    print('interrupted', pool.decode(b'PA').view_position)\n",
    )
    assert script.stdout is not None
    process = int(script.stdout.readline())
    script.stdout.readline()
    time.sleep(0.3)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(script.pid, signal.SIGINT)  # as a terminal does: the whole group
    out, err = script.communicate(timeout=60)
    assert (out.strip(), err) == ("interrupted PA", "")
    until(lambda: gone(process), seconds=20)


def test_a_forked_process_starts_its_own(make_pool: Callable[..., DecoderPool], tmp_path: Path) -> None:
    script = run_script(
        tmp_path,
        "child = os.fork()\n"
        "if child == 0:\n    print(module._pool is None, flush=True)\n    os._exit(0)\n"
        "os.waitpid(child, 0)\n",
    )
    out, err = script.communicate(timeout=60)
    assert out.split()[1] == "True", err
    assert make_pool().decode(b"PA").pixels.size
