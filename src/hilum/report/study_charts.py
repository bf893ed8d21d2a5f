"""Plots of comparisons: changes with their intervals against a margin, curves over conditions, what accuracy costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hilum.judge.intervals import Interval
from hilum.report.charts import PERCENT_TICKS, Panel, tidy_step

__all__ = ["CostPoint", "change_plot", "cost_plot", "sweep_plot"]

_ROW_PX = 26.0
_MOST_POINTS = 25.0  # of a change that a plot shows in full
_NAME_PX, _LINE_PX = 140, 13  # room that a network's name takes in a plot


@dataclass(frozen=True)
class CostPoint:
    """One way in a plot of figure over cost.

    Attributes:
        name: Its label.
        cost: Above 0.
        figure: A share, with its interval.
        best: Whether no other way has a higher figure at no higher cost.
    """

    name: str
    cost: float
    figure: Interval
    best: bool = False


def change_plot(rows: Sequence[tuple[str, Interval]], margin: float, description: str) -> str:
    """Return changes, in points, one below the other with their intervals; nothing and the margin are guides.

    Args:
        rows: Label and change, a fraction.
        margin: What a change may cost, a fraction.
        description: What the plot shows, in words.
    """
    limits = [abs(100 * (value or 0.0)) for _, one in rows for value in (one.low, one.high)]
    most = min(max([*limits, 300 * margin, 1.0]) * 1.05, _MOST_POINTS)
    step = tidy_step(most / 3)
    ticks = [(at * step, f"{at * step:+g}".replace("-", "−").replace("+0", "0")) for at in range(-3, 4)]
    ticks = [tick for tick in ticks if abs(tick[0]) <= most]
    height = 46 + _ROW_PX * max(len(rows), 1)
    panel = Panel(
        (-most, most), (0, max(len(rows), 1)), "Change in AUROC, points", "", ticks, (), 470, height, 150, 14, 4, 40
    )
    top = len(rows)
    elements = [panel.line([(0, 0), (0, top)], "grid"), panel.line([(-100 * margin, 0), (-100 * margin, top)], "guide")]
    for order, (name, one) in enumerate(rows):
        y = top - order - 0.5
        elements.append(panel.text(142, panel.y(y) + 3.5, name, anchor="end"))
        if one.value is None:
            continue
        low, value, high = (
            min(max(100 * (limit if limit is not None else one.value), -most), most)
            for limit in (one.low, one.value, one.high)
        )
        elements.append(panel.line([(low, y), (high, y)], "whisker"))
        elements.append(panel.dot(value, y, "point", 3.5))
    return panel.svg(elements, description)


def sweep_plot(
    ticks: Sequence[str],
    figure: Sequence[Interval],
    compared: Sequence[Interval],
    description: str,
    *,
    label: str = "Per cent",
    chance: float | None = None,
) -> str:
    """Return a figure with its interval over conditions at equal distances; what it is compared with is muted.

    The axis starts near the lowest value; with a guide at chance it starts at 0.

    Args:
        ticks: What each condition is called.
        figure: A share for each.
        compared: The same of what it is compared with.
        description: What the plot shows, in words.
        label: Of the figure's axis.
        chance: The figure of an answer that does not look.
    """
    values = [value for one in (*figure, *compared) for value in (one.low, one.value) if value is not None]
    floor = 0.0 if chance is not None else math.floor(min([*values, 0.9]) * 10) / 10
    y_ticks = PERCENT_TICKS if chance is not None else _share_ticks(floor)
    last = max(len(ticks) - 1, 1)
    x_ticks = [(float(at), words) for at, words in enumerate(ticks)]
    panel = Panel((0, last), (floor, 1), "", label, x_ticks, y_ticks, 260, 190, bottom=24, right=14)
    known = [(at, one) for at, one in enumerate(figure) if one.value is not None]
    band = [(at, one.high or 0.0) for at, one in known] + [(at, one.low or 0.0) for at, one in reversed(known)]
    outline = " ".join(f"{panel.x(x):g},{panel.y(y):g}" for x, y in band)
    points = [(float(at), float(one.value or 0.0)) for at, one in known]
    muted = [(float(at), float(one.value)) for at, one in enumerate(compared) if one.value is not None]
    elements = [] if chance is None else [panel.line([(0, chance), (last, chance)], "guide")]
    elements.append(f'<polygon class="band" points="{outline}"/>')
    elements += [panel.line(muted, "muted"), panel.line(points, "accent")]
    elements += [panel.dot(x, y, "point", 2.5) for x, y in points]
    return panel.svg(elements, description)


def cost_plot(points: Sequence[CostPoint], cost: str, figure: str, description: str) -> str:
    """Return a figure over a cost on a logarithmic axis; the ways that none beats at their cost are joined.

    Args:
        points: The ways; those without a figure are left out.
        cost: What the cost counts.
        figure: What the figure is.
        description: What the plot shows, in words.
    """
    shown = [one for one in points if one.figure.value is not None and one.cost > 0]
    if not shown:
        return ""
    low_cost, high_cost = min(one.cost for one in shown), max(one.cost for one in shown)
    floor_decade, top_decade = math.floor(math.log10(low_cost) * 2) / 2, math.ceil(math.log10(high_cost) * 2 + 0.2) / 2
    marks = [factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 5)]
    x_ticks = [(math.log10(mark), f"{mark:g}") for mark in marks if floor_decade <= math.log10(mark) <= top_decade]
    lowest = min(value for one in shown for value in (one.figure.low, one.figure.value) if value is not None)
    floor = max(0.0, math.floor(lowest * 10) / 10)
    span = (floor_decade, top_decade)
    panel = Panel(span, (floor, 1), cost, f"{figure}, %", x_ticks, _share_ticks(floor), 620, 330, right=24)
    frontier = sorted((math.log10(one.cost), float(one.figure.value or 0.0)) for one in shown if one.best)
    elements = [panel.line(frontier, "muted")]
    taken: list[tuple[float, float]] = []  # where names begin, so that none is written over another
    for one in sorted(shown, key=lambda point: -float(point.figure.value or 0.0)):
        x, y = math.log10(one.cost), float(one.figure.value or 0.0)
        if one.figure.low is not None and one.figure.high is not None:
            elements.append(panel.line([(x, one.figure.low), (x, one.figure.high)], "whisker"))
        elements.append(panel.dot(x, y, "point" if one.best else "ring", 4))
        end = panel.x(x) > panel.width * 0.72
        across, down = panel.x(x) + (-7 if end else 7), panel.y(y) - 6
        while any(abs(across - left) < _NAME_PX and abs(down - top) < _LINE_PX for left, top in taken):
            down += 1
        taken.append((across, down))
        elements.append(panel.text(across, down, one.name, anchor="end" if end else "start"))
    return panel.svg(elements, description)


def _share_ticks(floor: float) -> list[tuple[float, str]]:
    """Return the ticks of an axis of shares from a floor to 1."""
    step = 0.1 if floor < 0.75 else 0.05
    return [(floor + at * step, f"{100 * (floor + at * step):.0f}") for at in range(round((1 - floor) / step) + 1)]
