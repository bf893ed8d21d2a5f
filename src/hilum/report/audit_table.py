"""The audit on the terminal: one line for each kind of fault, and below, in whole sentences, how the set was read."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.report.audit_kinds import READING_KINDS, group_faults, summary_of
from hilum.text import printable

__all__ = ["audit_table"]

_WIDTH = 180  # characters, where the output is no terminal
_LEAST_WIDTH = 60


def audit_table(faults: Sequence[Mapping[str, Any]], *, width: int | None = None) -> str:
    """Return the faults as a table that fits the terminal: kind, severity, number of films, message.

    Args:
        faults: As in audit.json.
        width: In characters; the terminal's by default.
    """
    import rich.console
    from rich import box
    from rich.table import Table
    from rich.text import Text

    told = [str(fault["message"]) for fault in faults if fault["kind"] in READING_KINDS]
    sentences = "".join(f"{printable(line)}\n" for line in told)
    faults = [fault for fault in faults if fault["kind"] not in READING_KINDS]
    if not faults:
        return f"No fault was found.\n{sentences}"
    columns = width or shutil.get_terminal_size((_WIDTH, 24)).columns
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=max(columns, _LEAST_WIDTH))
    table.add_column("kind", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("films", justify="right", no_wrap=True)
    table.add_column("message", no_wrap=True, overflow="ellipsis", ratio=1)
    for severity, kind, group in group_faults(faults):
        message = printable(summary_of(kind, group))
        table.add_row(kind, severity, _num_films(kind, group), Text(message, overflow="ellipsis", no_wrap=True))
    text = io.StringIO()
    rich.console.Console(file=text, width=max(columns, _LEAST_WIDTH), color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + f"\n{sentences}"


def _num_films(kind: str, faults: Sequence[Mapping[str, Any]]) -> str:
    """Return how many films faults are about: of a leak the test films, else all that are named; none is a dash."""
    if kind == "leak":
        paths = {fault["paths"][0] for fault in faults if fault["paths"]}
    else:
        paths = {path for fault in faults for path in fault["paths"]}
    return str(len(paths)) if paths else "–"
