"""What people see while hilum works: messages and progress bars, on standard error only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Console", "TerminalConsole", "hushed"]


class Console:
    """A console that shows nothing: the default for use from Python."""

    def say(self, text: str) -> None:
        """Show one line."""

    @contextmanager
    def bar(self, label: str, total: float) -> Iterator[Callable[[float], None]]:
        """Show a progress bar; the function yielded takes how much more is done."""
        yield lambda _: None

    @contextmanager
    def films(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Show the progress of counted films; the function yielded takes how many more are done."""
        yield lambda _: None


class TerminalConsole(Console):
    """A console on standard error, with bars where that is a terminal."""

    line_seconds = 30.0  # between two lines of progress, where there is no terminal

    def __init__(self) -> None:
        import rich.console

        self._rich = rich.console.Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Show one line."""
        self._rich.print(text.encode("utf-8", "backslashreplace").decode(), markup=False)  # file names are bytes

    @contextmanager
    def bar(self, label: str, total: float) -> Iterator[Callable[[float], None]]:
        """Show a progress bar with the time left; the function yielded takes how much more is done."""
        if not sys.stderr.isatty():
            self.say(label)
            yield lambda _: None
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._rich) as progress:
            task = progress.add_task(label, total=total)
            yield lambda amount: progress.advance(task, amount)

    @contextmanager
    def films(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Show films done, films a second and the time left: a bar, or a line now and then where that is no terminal.

        Args:
            label: What is done with them.
            total: How many there are.
            done: How many of them an earlier run did; they do not count in the speed.
        """
        if not sys.stderr.isatty():
            with self._lines_of_films(label, total, done) as advance:
                yield advance
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Speed(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.finished_speed or task.speed or 0:.1f} films/s")

        columns = (
            TextColumn("{task.description}"),
            *(BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn(), TextColumn("left")),
        )
        with Progress(*columns, console=self._rich) as progress:
            task = progress.add_task(label, total=total, completed=done)
            yield lambda number: progress.advance(task, number)

    @contextmanager
    def _lines_of_films(self, label: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
        self.say(label)
        start = told = time.monotonic()
        at_start = done

        def advance(number: int) -> None:
            nonlocal done, told
            done += number
            now = time.monotonic()
            if now - told >= self.line_seconds and done < total:
                told = now
                speed = (done - at_start) / (now - start)
                left = (total - done) / speed
                self.say(f"{done:,} of {total:,} films, {speed:.1f} films/s, {_clock(left)} left")

        yield advance
        seconds = time.monotonic() - start
        if seconds >= self.line_seconds:
            self.say(f"{done - at_start:,} films in {_clock(seconds)}, {(done - at_start) / seconds:.1f} films/s")


def _clock(seconds: float) -> str:
    """Return a time as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


@contextmanager
def hushed() -> Iterator[None]:
    """Keep off the terminal what native libraries write to standard error past Python; errors still raise.

    TensorFlow greets with lines that no setting stops, since it writes them before it reads its settings.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
