"""The course of a network's training while it goes on: a live table, or a few lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from hilum.console import count_of, in_words
from hilum.judge.history import Row, count_epochs, figures_words, kept_row, stage_words
from hilum.text import percent_text

__all__ = ["TrainingTable"]

_MOST_EPOCHS = 12  # in the table: the latest
_OTHER_ROWS = 12  # of the terminal: what is no epoch, and what stands above the table
_LEAST_EPOCHS = 2
_MOST_LINES = 6  # of epochs, without a terminal


class TrainingTable:
    """One network's training, for `Console.live`. It is called with what the training says of its progress.

    Args:
        label: What is trained, in words.

    Attributes:
        changed: Is called after every step and epoch.
    """

    def __init__(self, label: str) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._label, self._rows = label, list[Row]()
        self._epochs, self._due, self._is_told = 0, list[Row](), False
        self._time = _TimeLeft()

    def __call__(self, stage: str, epoch: int, epochs: int, fraction: float, row: Row | None) -> None:
        """Take in what `hilum.train.fit.Progress` says."""
        if row is not None:
            self._rows.append(row)
            if (
                self._time.is_running or stage == "start"
            ):  # other rows that no step came before are an earlier attempt's
                self._due.append(row)
        if stage != "head" or row is not None:
            self._epochs = epochs
        self._time.note(stage, epoch, epochs, fraction, is_over=row is not None)
        self.changed()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table: what stood before the first epoch, the latest epochs, and the best so far."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.title, table.title_justify = Text(self._label), "left"
        table.caption, table.caption_justify = Text(self._doing()), "left"
        table.add_column("epoch")
        for head in ("training\nloss", "validation\nloss", "validation\nfilms right", "learning\nrate"):
            table.add_column(head, justify="right", no_wrap=True)
        most = max(min((options.max_height or _MOST_EPOCHS) - _OTHER_ROWS, _MOST_EPOCHS), _LEAST_EPOCHS)
        rows = list(self._rows)
        best, first = _best(rows), count_epochs(rows) - most  # epochs up to the first are left out
        for row in rows:
            if row["stage"] != "backbone" or row["epoch"] > first or row is best:
                mark = (", kept" if row["kept"] else ", best so far") if row is best and len(rows) > 1 else ""
                table.add_row(
                    stage_words(row) + mark,
                    _shown(row["loss"], ".4f"),
                    _shown(row["validation_loss"], ".4f"),
                    percent_text(row["validation_accuracy"]),
                    _shown(row["learning_rate"], ".1e"),
                    style="bold" if mark else "",
                )
        yield table

    def lines(self) -> Iterator[str]:
        """Return a line for each stage and every so many epochs."""
        if not self._is_told:
            self._is_told = True
            yield self._label
        due, self._due = self._due, []
        spacing = math.ceil(max(self._epochs, 1) / _MOST_LINES)
        for row in due:
            epoch = row["epoch"]
            if row["stage"] != "backbone":
                yield f"  {stage_words(row)}: {figures_words(row)}"
            elif epoch % spacing == 0 or epoch == self._epochs:
                yield f"  epoch {epoch} of {self._epochs}: {figures_words(row)}{self._time.left_words()}"

    def _doing(self) -> str:
        """Return what is being done, how long all has taken, and how long it will take."""
        so_far = in_words(time.monotonic() - self._time.began)
        done = count_epochs(self._rows)
        if kept_row(self._rows):
            return f"{count_of(done, 'epoch')} in {so_far}."
        if not self._rows:
            words = "Before the first epoch"
        elif done < self._epochs:
            words = f"Epoch {done + 1} of {self._epochs}, {100 * self._time.fraction:.0f} %"
        else:
            words = f"After {count_of(done, 'epoch')}"
        return f"{words}: {so_far} so far{self._time.left_words()}"


class _TimeLeft:
    """Tells how long a training will still take, by its steps since the first."""

    def __init__(self) -> None:
        self.began = self._noted = time.monotonic()
        self.fraction = 0.0  # of the epoch
        self.is_running = False  # whether this attempt has made a step
        self._first: tuple[float, float] | None = None  # epochs done, and when
        self._seconds_left: float | None = None

    def note(self, stage: str, epoch: int, epochs: int, fraction: float, *, is_over: bool) -> None:
        """Take in a step or the end of an epoch."""
        now = self._noted = time.monotonic()
        self.is_running |= not is_over
        if stage != "backbone":
            return
        self.fraction = 0.0 if is_over else fraction
        done = epoch if is_over else epoch + fraction
        if self._first is None:
            self._first = None if is_over else (done, now)  # epochs of an earlier attempt come at once
        elif done > self._first[0]:
            speed = (now - self._first[1]) / (done - self._first[0])  # seconds an epoch
            self._seconds_left = speed * (epochs - done)

    def left_words(self) -> str:
        """Return how long it will still take, after a comma; nothing where that is not known."""
        if self._seconds_left is None:
            return ""
        left = max(self._seconds_left - (time.monotonic() - self._noted), 0.0)
        return f", about {in_words(left)} to go" if left >= 1 else ""


def _best(rows: list[Row]) -> Row | None:
    """Return the row whose weights were kept; as long as that is open, the one with the lowest validation loss."""
    return kept_row(rows) or min(rows, key=lambda row: row["validation_loss"], default=None)


def _shown(value: float, digits: str) -> str:
    return f"{value:{digits}}" if math.isfinite(value) else ""
