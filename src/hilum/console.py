"""Messages, progress bars and live tables, on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from hilum.text import printable

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import ConsoleOptions, RenderResult
    from rich.progress import Progress, Task

__all__ = ["Console", "LiveTable", "TerminalConsole", "count_of", "hushed", "in_words"]

_NARROW, _WIDE = 72, 100  # columns of a terminal from which speed, and the bar itself, have room
_DRAWN_PER_SECOND = 2  # how often a live table is drawn


class LiveTable(Protocol):
    """What `Console.live` shows. On a terminal it is drawn by a thread of its own."""

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        """Yield the table as it is now, with no more rows than fit into ``options.max_height``."""

    def lines(self) -> Iterable[str]:
        """Return the lines that are due since the last call, for output that is no terminal."""


class Console:
    """A console that shows nothing: the default for use from Python."""

    def say(self, text: str) -> None:
        """Show one line."""

    @contextmanager
    def bar(self, label: str, total: float) -> Iterator[Callable[[float], None]]:
        """Show a progress bar; call the yielded function with the amount of work done since the last call."""
        yield lambda _: None

    @contextmanager
    def films(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Show the progress of films; call the yielded function with the number of films done since the last call."""
        yield lambda _: None

    @contextmanager
    def live(self, table: LiveTable, *, stays: bool = True) -> Iterator[Callable[[], None]]:
        """Show a table while it changes; call the yielded function after a change.

        Args:
            table: The table.
            stays: Whether the table stays on a terminal. Otherwise its lines take its place at the end.
        """
        yield lambda: None


class TerminalConsole(Console):
    """A console on standard error, with progress bars and live tables if it is a terminal."""

    line_seconds = 30.0  # time between two lines of progress without a terminal

    def __init__(self) -> None:
        import rich.console

        self._rich = rich.console.Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Show one line."""
        self._rich.print(printable(text, lines=True), markup=False)

    @contextmanager
    def bar(self, label: str, total: float) -> Iterator[Callable[[float], None]]:
        """Show a progress bar with the time left; without a terminal only its label."""
        if not sys.stderr.isatty():
            self.say(label)
            yield lambda _: None
            return
        with _progress(self._rich) as progress:
            task = progress.add_task(printable(label), total=total, what=_percent)
            yield lambda amount: progress.advance(task, amount)
            progress.update(task, completed=total)

    @contextmanager
    def films(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Show films done, films a second and the time left: a bar, or every 30 s a line without a terminal.

        Args:
            label: What is done with the films.
            total: Number of films.
            done: Films that an earlier run finished; they do not count in the speed.
        """
        if not sys.stderr.isatty():
            with self._lines_of_films(label, total, done) as advance:
                yield advance
            return
        with _progress(self._rich) as progress:
            task = progress.add_task(printable(label), total=total, completed=done, what=_films)
            yield lambda number: progress.advance(task, number)

    @contextmanager
    def live(self, table: LiveTable, *, stays: bool = True) -> Iterator[Callable[[], None]]:
        """Draw a table twice a second; without a terminal say the lines that are due after each change."""
        from rich.live import Live

        def tell() -> None:
            for line in table.lines():
                self.say(line)

        is_drawn = sys.stderr.isatty()
        drawing = Live(table, console=self._rich, refresh_per_second=_DRAWN_PER_SECOND, transient=not stays)
        try:
            if not is_drawn:
                tell()
            with drawing if is_drawn else nullcontext():
                yield (lambda: None) if is_drawn else tell
        finally:
            if not (is_drawn and stays):
                tell()

    @contextmanager
    def _lines_of_films(self, label: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
        self.say(label)
        start = last_line = time.monotonic()
        at_start = done

        def advance(number: int) -> None:
            nonlocal done, last_line
            done += number
            now = time.monotonic()
            if now - last_line >= self.line_seconds and done < total:
                last_line = now
                speed = (done - at_start) / (now - start)
                left = (total - done) / speed
                times = f"{in_words(now - start)} so far, about {in_words(left)} to go"
                self.say(f"{done:,} of {total:,} films, {speed:.1f} films/s, {times}")

        yield advance
        seconds = time.monotonic() - start
        if seconds >= self.line_seconds:
            speed = (done - at_start) / seconds
            self.say(f"{count_of(done - at_start, 'film')} in {in_words(seconds)}, {speed:.1f} films/s")


def count_of(number: int, what: str) -> str:
    """Return a count in words: "1 film", "1,234 films"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def in_words(seconds: float) -> str:
    """Return a time in words: "9 s", "2 min 40 s", "1 h 5 min".

    Example:
        >>> in_words(160)
        '2 min 40 s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


def _progress(console: RichConsole) -> Progress:
    """Return a progress bar with the time so far and the time left."""
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
    from rich.text import Text

    class WorkAndTime(ProgressColumn):
        def render(self, task: Task) -> Text:
            so_far = in_words(task.finished_time if task.finished_time is not None else task.elapsed or 0)
            left = task.time_remaining
            times = so_far if task.finished else f"{so_far} so far"
            if not task.finished and left is not None:
                times += f", about {in_words(left)} to go"
            return Text(f"{task.fields['what'](task, console.width >= _NARROW)}  {times}")

    tick = "✓" if console.encoding.lower().startswith("utf") else "done"
    bar = [BarColumn()] if console.width >= _WIDE else []
    return Progress(
        SpinnerColumn("line", finished_text=tick),
        TextColumn("{task.description}", markup=False),
        *bar,
        WorkAndTime(),
        console=console,
    )


def _percent(task: Task, _: bool) -> str:
    return f"{task.percentage:.0f} %"


def _films(task: Task, is_wide: bool) -> str:
    done = f"{int(task.completed):,} of {int(task.total or 0):,}"
    speed = task.finished_speed or task.speed  # None before the second film
    return f"{done}  {speed:.1f} films/s" if is_wide and speed else done


@contextmanager
def hushed() -> Iterator[None]:
    """Discard what native libraries write to standard error; exceptions are still raised.

    TensorFlow writes lines before it reads its settings, so no setting stops them.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # there is no standard error
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
