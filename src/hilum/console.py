"""What people see while hilum works: messages and progress bars, on standard error only."""

from __future__ import annotations

import os
import sys
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


class TerminalConsole(Console):
    """A console on standard error, with bars where that is a terminal."""

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
