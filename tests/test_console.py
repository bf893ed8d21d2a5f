"""What people see: progress on standard error only, as a bar or, where that is no terminal, as lines now and then."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys

import pytest

from hilum.console import Console, TerminalConsole, count_of, in_words

SCRIPT = """
from hilum.console import TerminalConsole
import time
with TerminalConsole().films("Judging 5 films", 5, 1) as done:
    for _ in range(4):
        time.sleep(0.1)
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
        "210 of 1,010 films, 5.0 films/s, 40 s so far, about 2 min 40 s to go",
        "410 of 1,010 films, 5.0 films/s, 1 min 20 s so far, about 2 min to go",
        "400 films in 1 min 40 s, 4.0 films/s",
    ]


def test_short_work_says_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalConsole().films("Judging 2 films", 2) as done:
        done(1)
        done(1)
    assert capsys.readouterr().err == "Judging 2 films\n"


def shown(script: str, *, columns: int) -> str:
    """Return what a script shows on a terminal of so many columns."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:  # the other side is closed
            pass
        os.close(ours)
        assert process.stdout
        assert process.stdout.read() == b""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode())


def test_a_terminal_says_how_long_it_took_and_takes_and_ends_with_a_tick() -> None:
    text = shown(SCRIPT, columns=120)
    assert re.search(r"[1-4] of 5  \d+\.\d films/s  0 s so far, about \d+ s to go", text), text
    last = text.strip().splitlines()[-1]
    assert re.fullmatch(r"✓ Judging 5 films ━+ 5 of 5  \d+\.\d films/s  0 s", last.strip()), last


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_has_whole_words(columns: int) -> None:
    text = shown(SCRIPT, columns=columns)
    last = text.strip().splitlines()[-1]
    assert "…" not in text
    assert last.startswith("✓ Judging 5 films 5 of 5")
    assert ("films/s" in last) is (columns > 72)


def test_a_bar_of_shares_ends_whole() -> None:
    script = """
from hilum.console import TerminalConsole
with TerminalConsole().bar("Reading", 1.0) as done:
    for _ in range(3):
        done(0.333)
"""
    last = shown(script, columns=80).strip().splitlines()[-1]
    assert re.fullmatch(r"✓ Reading 100 %  0 s", last.strip()), last


def test_work_that_fails_gets_no_tick() -> None:
    script = """
from hilum.console import TerminalConsole
try:
    with TerminalConsole().bar("Reading", 1.0) as done:
        done(0.5)
        raise ValueError
except ValueError:
    pass
"""
    assert "✓" not in shown(script, columns=80)


LIVE = """
from hilum.console import TerminalConsole
import time
class Counted:
    number = told = 0
    def __rich_console__(self, console, options):
        yield f"drawn at {self.number}"
    def lines(self):
        while self.told < self.number:
            self.told += 1
            yield f"line {self.told}"
console, table = TerminalConsole(), Counted()
with console.live(table, stays=STAYS) as changed:
    for table.number in (1, 2):
        changed()
        time.sleep(0.6)
    console.say("said in between")
"""


def test_a_live_table_is_drawn_in_place_and_stays_below_what_is_said() -> None:
    text = shown(LIVE.replace("STAYS", "True"), columns=80)
    assert text.count("drawn at 1") and text.count("drawn at 2")
    assert set(re.findall(r"drawn at \d", text.split("said in between")[1])) == {"drawn at 2"}
    assert "line" not in text


def test_a_live_table_that_does_not_stay_leaves_its_lines() -> None:
    text = shown(LIVE.replace("STAYS", "False"), columns=80)
    assert [line.strip() for line in text.splitlines()][-2:] == ["line 1", "line 2"]


def test_without_a_terminal_a_live_table_says_each_line_when_it_is_due(capsys: pytest.CaptureFixture[str]) -> None:
    for stays in (True, False):
        exec(LIVE.replace("STAYS", str(stays)).replace("time.sleep(0.6)", "pass"))
        assert capsys.readouterr().err.splitlines() == ["line 1", "line 2", "said in between"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (160, "2 min 40 s"), (3600, "1 h"), (3900, "1 h 5 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_counts_in_words() -> None:
    assert [count_of(number, "film") for number in (0, 1, 1234)] == ["0 films", "1 film", "1,234 films"]


class NoLines:
    """A live table of which nothing may be asked."""

    __rich_console__ = lines = None  # type: ignore[assignment]


def test_the_silent_console_takes_everything() -> None:
    console = Console()
    console.say("x")
    with console.films("x", 3) as done, console.bar("x", 1.0) as share, console.live(NoLines()) as changed:
        done(1)
        share(0.5)
        changed()
