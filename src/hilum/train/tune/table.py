"""The trials of a search while it goes on: a table that renews itself on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import rich.console
from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hilum.train.tune.trial_rows import TrialRow, best_row, changes_text

__all__ = ["LiveTable", "NoTable", "trial_table"]

_RENEW_SECONDS = 0.5
_OTHER_LINES = 9  # of the terminal, that the table leaves
_LEAST_ROWS = 4


class NoTable:
    """Shows nothing: the default for use from Python."""

    def __init__(self) -> None:
        self.rows: Callable[[], Sequence[TrialRow]] = list

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def doing(self, what: str) -> None:
        """Say what this process is at."""


class LiveTable(NoTable):
    """A table on standard error; where that is no terminal, a line for each trial that ends.

    Its attribute ``rows`` is asked for the trials of all processes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._console = rich.console.Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._shown, self._told = 0.0, set[int]()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._tell()

    def doing(self, what: str) -> None:
        """Say what this process is at; the table is renewed at most twice a second."""
        now = time.monotonic()
        if now - self._shown < _RENEW_SECONDS:
            return
        self._shown = now
        if self._live is None:
            self._tell()
            return
        height = max(self._console.height - _OTHER_LINES, _LEAST_ROWS)
        self._live.update(trial_table(self.rows(), caption=what, most_rows=height), refresh=True)

    def _tell(self) -> None:
        rows = self.rows()
        for row in rows:
            if row.state == "running" or row.number in self._told:
                continue
            self._told.add(row.number)
            figures = f"loss {row.loss:.4f}, macro-F1 {row.macro_f1:.3f}" if row.loss is not None else row.note
            words = f"Trial {row.number}, {row.seconds:.0f} s: {figures} ({changes_text(row, rows[0])})"
            self._console.print(Text(words), soft_wrap=True)


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
    table.add_column("settings that differ from the defaults", overflow="ellipsis", no_wrap=True)
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
