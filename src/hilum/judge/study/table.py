"""A study's table for the terminal, plain text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.markup import points, points_range
from hilum.judge.study.changes import VERDICTS
from hilum.judge.tables import percent, range_text

__all__ = ["change_text", "figure_text", "plain_table"]


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> str:
    """Return a table as text, the first column to the left and the others to the right.

    Args:
        heads: Its headings.
        rows: Its cells.
        width: Characters a line; the terminal's where not given.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for order, head in enumerate(heads):
        drawn.add_column(Text(head), justify="right" if order else "left")
    for row in rows:
        drawn.add_row(*(Text(cell.encode("utf-8", "backslashreplace").decode()) for cell in row))
    console.print(drawn)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join(lines).strip("\n") + "\n"


def figure_text(interval: Mapping[str, float | None]) -> str:
    """Return a figure in per cent with its interval: "97.0 (89.6–99.2)"."""
    limits = range_text(interval)
    return f"{percent(interval['value'])} ({limits})" if limits else percent(interval["value"])


def change_text(change: Mapping[str, Any] | None) -> str:
    """Return a change in AUROC in points, with its interval and verdict; a dash for none."""
    if change is None:
        return "–"
    auroc = change["auroc"]
    return f"{points(auroc['value'])} ({points_range(auroc)}) {VERDICTS[change['verdict']]}"
