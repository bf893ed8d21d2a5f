"""Small parts that sections of the report are put together from: numbers with intervals, cells, tables that scroll."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.judge.tables import percent, range_text
from hilum.text import escape

__all__ = ["brackets", "cell", "headings", "plain_cell", "points", "points_range", "scroll", "signed_cell"]

Interval = Mapping[str, float | None]


def points(value: float | None) -> str:
    """Return a difference in per cent points with its sign: 0.123 -> "+12.3"; an undefined one is a dash."""
    return "–" if value is None else f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0: no minus nought


def points_range(interval: Interval) -> str:
    """Return the limits of a difference: "+5.4 to +25.9"; empty where it has none."""
    if interval["low"] is None or interval["high"] is None:
        return ""
    return f"{points(interval['low'])} to {points(interval['high'])}"


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
