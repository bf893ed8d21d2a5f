"""What several tests of workflows use: a console that keeps what is said, rows of a table, the keys of figures."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hilum.console import Console, LiveTable

FIGURES = [
    "n",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "auroc_macro",
    "ece",
    "per_finding",
    "confusion",
    "hierarchy",
]


class Listening(Console):
    """A console that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    @contextmanager
    def live(self, table: LiveTable, *, stays: bool = True) -> Iterator[Callable[[], None]]:
        yield lambda: self.lines.extend(table.lines())


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
