"""The report's plots, written as small inline SVG: text stays text, colours come from the page's style sheet.

A plot holds no id, no script and no colour of its own, so that any number of them live in one page, in light and dark.

Sources:
    Davis, Goadrich 2006, The relationship between precision-recall and ROC curves (why a precision-recall curve is
    drawn in steps).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.judge.curves import precision_recall_curve, reliability_bins, roc_curve
from hilum.judge.intervals import wilson_interval
from hilum.text import escape

__all__ = [
    "PERCENT_TICKS",
    "Panel",
    "Scored",
    "learning_plot",
    "precision_recall_plot",
    "reliability_plot",
    "roc_plot",
    "strip",
    "tidy_step",
]

Point = tuple[float, float]

_SECOND_STAGES = {("head", "backbone"): "fine-tuning", ("start", "backbone"): "training"}


@dataclass(frozen=True, eq=False)
class Scored:
    """One part of the films with its truth and its probabilities, for the curves.

    Attributes:
        truth: (n,) int, index of the true finding.
        probabilities: (n, K) in [0, 1], calibrated.
        uncalibrated: (n, K) in [0, 1], before calibration; None where that is not known.
    """

    truth: npt.NDArray[Any]
    probabilities: npt.NDArray[Any]
    uncalibrated: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Panel:
    """A plotting area with its axes; lengths in SVG user units, about a pixel each."""

    x_range: Point
    y_range: Point
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    width: float = 260.0
    height: float = 248.0
    left: float = 40.0
    right: float = 10.0
    top: float = 10.0
    bottom: float = 40.0

    def x(self, value: float) -> float:
        low, high = self.x_range
        return round(self.left + (value - low) / (high - low) * (self.width - self.left - self.right), 1)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return round(
            self.height - self.bottom - (value - low) / (high - low) * (self.height - self.top - self.bottom), 1
        )

    def line(self, points: Iterable[Point], kind: str) -> str:
        """Return a polyline; points that fall on their neighbour, or on the line between two, are left out."""
        kept: list[Point] = []
        for x, y in points:
            point = (self.x(x), self.y(y))
            if kept and kept[-1] == point:
                continue
            if len(kept) > 1 and _same_direction(kept[-2], kept[-1], point):
                kept.pop()
            kept.append(point)
        return f'<polyline class="{kind}" points="{" ".join(f"{x:g},{y:g}" for x, y in kept)}"/>'

    def dot(self, x: float, y: float, kind: str, radius: float = 3.5) -> str:
        return f'<circle class="{kind}" cx="{self.x(x):g}" cy="{self.y(y):g}" r="{radius:g}"/>'

    def text(self, x: float, y: float, words: str, *, kind: str = "tick", anchor: str = "middle") -> str:
        return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'

    def svg(self, elements: Iterable[str], description: str) -> str:
        """Return the plot: grid, axes and labels beneath the elements, described in words for those who cannot see."""
        floor, middle_x = self.height - self.bottom, (self.left + self.width - self.right) / 2
        middle_y = (self.top + floor) / 2
        parts = [
            f'<svg class="plot" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'style="max-width:{self.width * 1.12:.0f}px" role="img" '
            f'aria-label="{escape(description, quote=True)}">'
        ]
        for value, words in self.y_ticks:
            parts.append(
                f'<line class="grid" x1="{self.left:g}" x2="{self.width - self.right:g}" '
                f'y1="{self.y(value):g}" y2="{self.y(value):g}"/>'
            )
            parts.append(self.text(self.left - 6, self.y(value) + 3.5, words, anchor="end"))
        parts.extend(self.text(self.x(value), floor + 15, words) for value, words in self.x_ticks)
        parts.append(self.text(middle_x, self.height - 6, self.x_label, kind="axis"))
        parts.append(
            f'<text class="axis" text-anchor="middle" transform="translate(10 {middle_y:g}) rotate(-90)">'
            f"{escape(self.y_label)}</text>"
        )
        return "".join([*parts, *elements, "</svg>"])


def _same_direction(first: Point, second: Point, third: Point) -> bool:
    across = (second[0] - first[0]) * (third[1] - second[1]) - (second[1] - first[1]) * (third[0] - second[0])
    along = (second[0] - first[0]) * (third[0] - second[0]) + (second[1] - first[1]) * (third[1] - second[1])
    return abs(across) < 1e-9 and along >= 0


PERCENT_TICKS = tuple((step / 4, f"{step * 25}") for step in range(5))


def _unit_panel(x_label: str, y_label: str) -> Panel:
    return Panel((0, 1), (0, 1), f"{x_label}, %", f"{y_label}, %", PERCENT_TICKS, PERCENT_TICKS)


def roc_plot(parts: Sequence[Scored], index: int, description: str, threshold: float | None = None) -> str:
    """Return the ROC curves of one finding: the first part in the accent colour, the others muted behind it.

    Args:
        parts: The part in question, then those to compare it with.
        index: The finding's column.
        description: What the plot shows, in words.
        threshold: Operating threshold, ringed on the first curve.
    """
    panel = _unit_panel("False alarms (1 − specificity)", "Sensitivity")
    elements = [panel.line([(0, 0), (1, 1)], "guide")]
    for order, part in reversed(list(enumerate(parts))):
        alarms, hits = roc_curve(part.truth == index, part.probabilities[:, index])
        elements.append(panel.line(zip(alarms, hits, strict=True), "muted" if order else "accent"))
        positive = part.truth == index
        if order == 0 and threshold is not None and alarms.size:
            called = part.probabilities[:, index] >= threshold
            elements.append(panel.dot(float(called[~positive].mean()), float(called[positive].mean()), "ring", 4.5))
    return panel.svg(elements, description)


def precision_recall_plot(parts: Sequence[Scored], index: int, description: str) -> str:
    """Return the precision-recall curves of one finding, in steps; the guide is the finding's share of the films."""
    panel = _unit_panel("Recall", "Precision")
    elements = []
    for order, part in reversed(list(enumerate(parts))):
        recall, precision = precision_recall_curve(part.truth == index, part.probabilities[:, index])
        before = np.concatenate(([0.0], recall[:-1]))[: recall.size]
        steps = [point for a, b, y in zip(before, recall, precision, strict=True) for point in ((a, y), (b, y))]
        elements.append(panel.line(steps, "muted" if order else "accent"))
        if order == 0:
            share = float((part.truth == index).mean()) if part.truth.size else 0.0
            elements.insert(0, panel.line([(0, share), (1, share)], "guide"))
    return panel.svg(elements, description)


def reliability_plot(part: Scored, description: str, num_bins: int = 10) -> str:
    """Return how often answers of each confidence were right: a dot a bin with its Wilson interval, and the counts.

    Before calibration it is drawn as a muted line behind the dots, where the part knows it.

    Args:
        part: The films.
        description: What the plot shows, in words.
        num_bins: Fewer than the error's 15, so that a bin of a small set holds more than one film.
    """
    bins = reliability_bins(part.probabilities, part.truth, num_bins)
    floor = -0.22  # the counts stand in a strip of their own beneath the plot
    panel = Panel((0, 1), (floor, 1), "Confidence of the answer, %", "Right, %", PERCENT_TICKS, PERCENT_TICKS, 360, 360)
    elements = [panel.line([(0, 0), (1, 1)], "guide")]
    if part.uncalibrated is not None:
        before = reliability_bins(part.uncalibrated, part.truth, num_bins)
        filled = before["count"] > 0
        points = zip(before["confidence"][filled], before["accuracy"][filled], strict=True)
        elements.append(panel.line(points, "muted"))
    most = max(bins["count"].max(), 1)
    for slot, (count, confidence, accuracy) in enumerate(zip(*bins.values(), strict=True)):
        if not count:
            continue
        left, right = panel.x(slot / num_bins) + 1, panel.x((slot + 1) / num_bins) - 1
        height = max(1.0, count / most * 34)
        elements.append(
            f'<rect class="bar" x="{left:g}" y="{panel.y(floor) - height:.1f}" width="{right - left:.1f}" '
            f'height="{height:.1f}"/>'
        )
        elements.append(panel.text((left + right) / 2, panel.y(floor) - height - 4, f"{count:.0f}"))
        low, high = wilson_interval(round(accuracy * count), count)
        elements.append(panel.line([(confidence, low), (confidence, high)], "whisker"))
        elements.append(panel.dot(confidence, accuracy, "point", 4))
    return panel.svg(elements, description)


def learning_plot(history: Sequence[Mapping[str, Any]], figure: str, description: str) -> str:
    """Return one figure over the epochs: on validation in the accent colour, on train muted, stages set apart.

    Epochs are those of history.csv: 0 is what stood before the first. A ring marks the weights that were kept.

    Args:
        history: Rows of history.csv, oldest first.
        figure: "loss" or "accuracy"; the column ``validation_`` + figure stands beside it.
        description: What the plot shows, in words.
    """
    columns = {"muted": figure, "accent": f"validation_{figure}"}
    kept = [(int(row.get("epoch", 0)), _number(row.get(columns["accent"]))) for row in history if row.get("kept")]
    history = [row for row in history if row.get("stage") != "mean"]  # no epoch: it stands between two
    epochs = [int(row.get("epoch", number)) for number, row in enumerate(history)]
    curves = {
        kind: [(epoch, _number(row.get(name))) for epoch, row in zip(epochs, history, strict=True)]
        for kind, name in columns.items()
    }
    curves = {kind: [(x, y) for x, y in points if math.isfinite(y)] for kind, points in curves.items()}
    values = [y for points in (*curves.values(), kept) for _, y in points if math.isfinite(y)]
    first, last = min(epochs, default=0), max([*epochs, 1])
    if figure == "accuracy":
        lowest = min([*values, 0.9])
        step = next(step for step in (0.02, 0.05, 0.1, 0.2) if step == 0.2 or (1 - lowest) / step <= 5)
        num_steps = math.ceil((1 - lowest) / step - 1e-9)
        y_range, label = (1 - num_steps * step, 1.0), "Accuracy, %"
        y_ticks = [(1 - step * index, f"{100 - 100 * step * index:.0f}") for index in range(num_steps + 1)]
    else:
        step = tidy_step(max(values, default=1.0) / 4)
        top = step * max(1, math.ceil(max(values, default=1.0) / step))
        y_range, label = (0.0, top), "Loss"
        y_ticks = [(step * index, f"{step * index:g}") for index in range(round(top / step) + 1)]
    spacing = max(1, round(tidy_step(last / 8)))
    x_ticks = [(float(epoch), f"{epoch}") for epoch in range(first, last + 1) if epoch % spacing == 0]
    panel = Panel((first, last), y_range, "Epoch", label, x_ticks, y_ticks, 390, 250)
    elements = []
    for epoch, (before, row) in zip(epochs, itertools.pairwise(history), strict=False):
        stages = str(before.get("stage")), str(row.get("stage"))
        if stages[0] != stages[1]:
            words = _SECOND_STAGES.get(stages, stages[1])
            elements.append(panel.line([(epoch + 0.5, y_range[0]), (epoch + 0.5, y_range[1])], "guide"))
            elements.append(panel.text(panel.x(epoch + 0.5) + 5, panel.top + 9, words, anchor="start"))
    elements.extend(panel.line(points, kind) for kind, points in curves.items() if points)
    elements.extend(panel.dot(*points[-1], f"{kind}-end", 3) for kind, points in curves.items() if points)
    elements.extend(panel.dot(x, y, "ring", 4.5) for x, y in kept if math.isfinite(y))
    return panel.svg(elements, description)


def strip(value: float, low: float, high: float, floor: float, chance: float | None = None) -> str:
    """Return a value with its interval on a short line from ``floor`` to 1; the numbers stand beside it in text."""
    x = [round((limit - floor) / (1 - floor) * 150 + 5, 1) for limit in (low, high, value)]
    tick = ""
    if chance is not None:
        at = round((chance - floor) / (1 - floor) * 150 + 5, 1)
        tick = f'<line class="tick-mark" x1="{at:g}" x2="{at:g}" y1="2" y2="14"/>'
    return (
        '<svg class="strip" viewBox="0 0 160 16" aria-hidden="true">'
        '<line class="grid" x1="5" x2="155" y1="8" y2="8"/>'
        f"{tick}"
        f'<line class="range" x1="{x[0]:g}" x2="{x[1]:g}" y1="8" y2="8"/>'
        f'<circle class="point" cx="{x[2]:g}" cy="8" r="4"/></svg>'
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def tidy_step(rough: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below ``rough``."""
    power = 10.0 ** math.floor(math.log10(max(rough, 1e-9)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
