"""What people see while hilum works: messages and progress bars, on standard error only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Console", "TerminalConsole"]


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
