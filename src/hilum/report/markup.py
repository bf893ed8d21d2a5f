"""Small parts that sections of the report are put together from: numbers with intervals, cells, tables that scroll."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.text import escape, percent, points, points_range, range_text

__all__ = ["brackets", "cell", "headings", "plain_cell", "scroll", "signed_cell"]

Interval = Mapping[str, float | None]


def brackets(limits: str) -> str:
    """Return limits in brackets that do not break; empty for none."""
    return f'<span class="nowrap">({limits})</span>' if limits else ""


def cell(interval: Interval) -> str:
    """Return a table cell with a figure in per cent, its interval beneath."""
    limits = range_text(interval)
    return f"<td>{percent(interval['value'])}{f'<small>{limits}</small>' if limits else ''}</td>"


def signed_cell(interval: Interval) -> str:
    """Return a table cell with a difference in points, its interval beneath."""
    limits = points_range(interval)
    return f"<td>{points(interval['value'])}{f'<small>{limits}</small>' if limits else ''}</td>"


def plain_cell(interval: Interval) -> str:
    """Return a table cell with a number that is no percentage, its interval beneath."""
    if interval["value"] is None:
        return "<td>–</td>"
    value, low, high = (
        f"{round(interval[limit] or 0.0, 2) + 0.0:.2f}".replace("-", "−") for limit in ("value", "low", "high")
    )
    return f"<td>{value}<small>{low} to {high}</small></td>"


def headings(*names: str) -> str:
    """Return column headings; plain text that needs no escaping."""
    return "".join(f'<th scope="col">{name}</th>' for name in names)


def scroll(label: str, content: str) -> str:
    """Return wide content in a box that scrolls sideways, reachable by keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label, quote=True)}">{content}</div>'
