"""What people see: progress on standard error only, as a bar or, where that is no terminal, as lines now and then."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys

import pytest

from hilum.console import Console, TerminalConsole

SCRIPT = """
from hilum.console import TerminalConsole
import time
with TerminalConsole().films("Judging 5 films", 5, 1) as done:
    for _ in range(4):
        time.sleep(0.05)
        done(1)
"""


def test_lines_of_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 20)  # seconds; one call a film
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with TerminalConsole().films("Judging 1010 films", 1010, 10) as done:
        for _ in range(4):
            done(100)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Judging 1010 films",
        "210 of 1,010 films, 5.0 films/s, 0:02:40 left",
        "410 of 1,010 films, 5.0 films/s, 0:02:00 left",
        "400 films in 0:01:40, 4.0 films/s",
    ]


def test_short_work_says_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalConsole().films("Judging 2 films", 2) as done:
        done(1)
        done(1)
    assert capsys.readouterr().err == "Judging 2 films\n"


def test_a_terminal_shows_a_bar_with_speed_and_time_left() -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # the other side is closed
            pass
        os.close(ours)
        assert process.stdout
        assert process.stdout.read() == b""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "5/5" in text
    assert re.search(r"\d+\.\d films/s +0:00:00 left", text), text


def test_the_silent_console_takes_everything() -> None:
    console = Console()
    console.say("x")
    with console.films("x", 3) as done, console.bar("x", 1.0) as share:
        done(1)
        share(0.5)
