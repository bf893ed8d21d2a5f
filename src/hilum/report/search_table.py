"""The trials of a search as rows, and how they are shown: trials.csv, a live table, or a line for each trial."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from hilum.text import write_csv

__all__ = ["TrialRow", "TrialTable", "best_row", "changes_text", "shown_value", "trial_table", "trials_csv"]

_ASK_SECONDS = 0.5
_OTHER_LINES = 9  # of the terminal, that the table leaves
_LEAST_ROWS = 4


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        number: From 0, the settings that the search started from.
        state: "finished", "ended early", "running", "stopped" or "failed".
        loss: The loss over all folds; None where the trial is not finished.
        loss_so_far: The loss over the finished folds; None where there is none.
        macro_f1: Macro-F1 over all folds; None where the trial is not finished.
        num_folds_done: How many folds are finished.
        seconds: Time that all processes have spent on it.
        settings: Name to value, as run.toml would have them.
        note: Why it was ended early or failed; empty otherwise.
    """

    number: int
    state: str
    loss: float | None
    loss_so_far: float | None
    macro_f1: float | None
    num_folds_done: int
    seconds: float
    settings: dict[str, object]
    note: str


def best_row(rows: Sequence[TrialRow]) -> TrialRow | None:
    """Return the finished trial with the lowest loss; None where none is finished."""
    return min((row for row in rows if row.loss is not None), key=lambda row: (row.loss, row.number), default=None)


def changes_text(row: TrialRow, first: TrialRow) -> str:
    """Return in which settings a trial differs from another, in words."""
    changed = [
        f"{name} {shown_value(value)}" for name, value in row.settings.items() if value != first.settings.get(name)
    ]
    return ", ".join(changed) or "the starting settings"


def trials_csv(rows: Sequence[TrialRow]) -> str:
    """Return trials.csv: one line a trial, its figures, then its settings."""
    names = list(rows[0].settings) if rows else []
    lines = []
    for row in rows:
        loss, f1, so_far = ("" if one is None else f"{one:.6f}" for one in (row.loss, row.macro_f1, row.loss_so_far))
        settings = [shown_value(row.settings.get(name, "")) for name in names]
        seconds = f"{row.seconds:.1f}"
        lines.append([row.number, row.state, loss, f1, row.num_folds_done, so_far, seconds, *settings, row.note])
    text = io.StringIO()
    write_csv(text, ["trial", "state", "loss", "macro_f1", "folds", "loss_so_far", "seconds", *names, "note"], lines)
    return text.getvalue()


def shown_value(value: object) -> str:
    """Return a setting's value as people read it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


class TrialTable:
    """The trials of a search while it goes on, for `Console.live`.

    Attributes:
        rows: Is asked for the trials of all processes, at most twice a second.
        changed: Is called after the rows have been asked for.
    """

    def __init__(self) -> None:
        self.rows: Callable[[], Sequence[TrialRow]] = list
        self.changed: Callable[[], None] = lambda: None
        self._doing, self._asked, self._told = "", -math.inf, set[int]()
        self._latest: Sequence[TrialRow] = ()

    def doing(self, what: str) -> None:
        """Say what this process is at."""
        self._doing = what
        if time.monotonic() - self._asked >= _ASK_SECONDS:
            self._asked, self._latest = time.monotonic(), self.rows()
            self.changed()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table with as many rows as fit."""
        height = max((options.max_height or _LEAST_ROWS) - _OTHER_LINES, _LEAST_ROWS)
        yield trial_table(self._latest, caption=self._doing, most_rows=height)

    def lines(self) -> Iterator[str]:
        """Return a line for each trial that has ended since the last call."""
        rows = self.rows()
        for row in rows:
            if row.state in {"running", "stopped"} or row.number in self._told:
                continue
            self._told.add(row.number)
            figures = f"loss {row.loss:.4f}, macro-F1 {row.macro_f1:.3f}" if row.loss is not None else row.note
            yield f"Trial {row.number}, {row.seconds:.0f} s: {figures} ({changes_text(row, rows[0])})"


def trial_table(rows: Sequence[TrialRow], *, caption: str = "", most_rows: int = 10_000) -> Table:
    """Return the trials as a table: those running, the best, and the latest, as many as there is room for.

    Args:
        rows: All trials.
        caption: Beneath the table.
        most_rows: Rows there is room for.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=Text(caption), caption_justify="left")
    for head in ("trial", "loss", "macro-F1", "folds", "seconds"):
        table.add_column(head, justify="right")
    table.add_column("state")
    table.add_column("changed settings", overflow="ellipsis", no_wrap=True)
    best = best_row(rows)
    ranked = sorted(rows, key=lambda row: (row.state != "running", row.number != 0, row is not best, -row.number))
    for row in sorted(ranked[:most_rows], key=lambda row: row.number):
        loss = row.loss if row.loss is not None else row.loss_so_far
        table.add_row(
            str(row.number),
            "" if loss is None else f"{loss:.4f}",
            "" if row.macro_f1 is None else f"{row.macro_f1:.3f}",
            str(row.num_folds_done),
            f"{row.seconds:.0f}",
            "best" if row is best else row.state,
            Text(changes_text(row, rows[0])),
            style="bold" if row is best else "",
        )
    return table
