"""Pieces of Markdown that stay whole, whatever a folder was called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from hilum.text import percent, printable, range_text

__all__ = ["figure_text", "inline", "listed", "lower_first", "numbered", "table"]


def inline(value: object, *, code: bool = False) -> str:
    """Return text that stays on its line and in its cell."""
    words = printable(re.sub(r"\s+", " ", str(value)).strip())
    return words if code else re.sub(r"([\\|<>`*\[\]])", r"\\\1", words)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; every cell is made to stay in its place."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(inline(cell) for cell in line)} |" for line in lines)


def figure_text(interval: Mapping[str, float | None]) -> str:
    """Return a figure in per cent with its interval: "98.2 (90.7–99.7)"; an undefined one is a dash."""
    limits = range_text(interval)
    return f"{percent(interval['value'])} ({limits})" if limits else percent(interval["value"])


def listed(names: Iterable[object]) -> str:
    """Return names, commas between."""
    return ", ".join(inline(name) for name in names)


def numbered(counts: Mapping[str, int]) -> str:
    """Return names with their numbers: "Normal 12, Covid-19 8"."""
    return ", ".join(f"{inline(name)} {count}" for name, count in counts.items())


def lower_first(title: str) -> str:
    """Return a title as it stands within a sentence: "Macro F1" -> "macro F1", "AUROC" as it is."""
    return title if title.isupper() else title[0].lower() + title[1:]
