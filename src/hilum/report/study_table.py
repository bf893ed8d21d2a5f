"""A study's table for the terminal, plain text."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.study.changes import verdict_words
from hilum.text import points, points_range, printable

__all__ = ["change_text", "plain_table"]


_GAP = 3  # characters between two columns


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> str:
    """Return a table as text, the first column to the left and the others to the right.

    Where it is too wide even with its cells broken between words, each row is a block of lines instead.

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
    longest = [
        max(len(word) for cell in cells for word in (cell.split() or [""])) for cells in zip(heads, *rows, strict=True)
    ]
    if sum(longest) + _GAP * (len(heads) - 1) + 2 > console.width:
        return _blocks(heads, rows, console.width)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for order, head in enumerate(heads):
        drawn.add_column(Text(head), justify="right" if order else "left")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    console.print(drawn)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join(lines).strip("\n") + "\n"


def _blocks(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Return a table's rows one beneath the other, each cell on a line of its own with its heading."""
    lines = []
    for row in rows:
        lines += textwrap.wrap(row[0], width)
        for head, cell in zip(heads[1:], row[1:], strict=True):
            lines += textwrap.wrap(f"{head}: {cell}", width, initial_indent="  ", subsequent_indent="    ")
        lines.append("")
    text = "\n".join([*textwrap.wrap(heads[0], width), "", *lines]).strip("\n") + "\n"
    return printable(text, lines=True)


def change_text(change: Mapping[str, Any] | None) -> str:
    """Return a change in AUROC in points, with its interval and verdict; a dash for none."""
    if change is None:
        return "–"
    auroc = change["auroc"]
    return f"{points(auroc['value'])} ({points_range(auroc)}) {verdict_words(change)}"
