"""The report's sections on shortcuts: what the score rests on, where heat maps look, what breaks it, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.judge.intervals import Interval
from hilum.judge.shortcuts.measure import Example, ShortcutFigures, Shortcuts
from hilum.judge.shortcuts.occlusion import CUES
from hilum.judge.shortcuts.robustness import DAMAGES
from hilum.report import charts as plots
from hilum.report.charts import PERCENT_TICKS, Panel
from hilum.report.page import Section, render
from hilum.report.study_charts import sweep_plot
from hilum.text import interval_words, percent, points, points_range

__all__ = ["heatmaps_section", "order_plot", "shortcuts_sections", "summary_line"]

_EXAMPLE_PX = 144
_SHOWN_CUES = 7  # the blackened films look like the hidden ones
_ALIKE = 0.5  # a rank correlation: maps that are less alike than this have changed


@dataclass(frozen=True)
class _Tile:
    """One film as a cue shows it, with the answer."""

    cue: str
    png: bytes
    finding: str
    probability: float
    is_right: bool


@dataclass(frozen=True)
class _Damage:
    """One way in which films get worse: its plot, and the figures at each strength."""

    name: str
    unit: str
    plot: str
    rows: Sequence[tuple[str, Interval, Interval]]


def shortcuts_sections(shortcuts: Shortcuts) -> tuple[Section, ...]:
    """Return the four sections for the report; everything in them that comes from the data is escaped."""
    figures = shortcuts.figures
    return (
        Section("shortcuts", "What the score rests on", _cues(figures, shortcuts.examples)),
        heatmaps_section(figures),
        Section("robustness", "Worse films", _robustness(figures)),
        Section("subgroups", "Subgroups", _subgroups(figures)),
    )


def summary_line(figures: ShortcutFigures) -> str:
    """Return one line that says what the score rests on, for the terminal."""
    cues = figures.cues
    parts = (("whole", "whole film"), ("lungs_hidden", "lungs hidden"), ("border_only", "border only"))
    ranked = ", ".join(f"{name} {percent(cues[key].auroc_macro.value)} %" for key, name in parts)
    right = ", ".join(f"{name} {percent(cues[key].accuracy.value)} %" for key, name in parts)
    return (
        f"Shortcuts, {figures.films.cues} films. {figures.verdict.words} AUROC: {ranked}, chance 50.0 %; "
        f"whole film over border {_lead(figures.auroc_excess_over_border)}. Right answers: {right}, chance "
        f"{percent(figures.chance.accuracy)} %; whole film over border {_lead(figures.excess_over_border)}."
    )


def heatmaps_section(figures: ShortcutFigures) -> Section:
    """Return the section on heat maps: how much of them lies in the lungs, and whether they point at what counts.

    Args:
        figures: What shortcuts.json holds.
    """
    heatmap, order = figures.heatmap, figures.order
    masses = [("All films", heatmap.all), ("Right answers", heatmap.right), ("Wrong answers", heatmap.wrong)]
    masses += [(f"Answered {name}", row) for name, row in heatmap.per_finding.items()]
    orders = []
    for heading, better in (("Deletion", "lower is better"), ("Insertion", "higher is better")):
        part = order.deletion if heading == "Deletion" else order.insertion
        words = f"{heading}: area under the heat map's curve {percent(part.area['heatmap'].value)} %."
        orders.append((heading, better, part, order_plot(order.fractions, part.curves, words)))
    html = render("heatmaps.html.j2", figures=figures, masses=masses, orders=orders, alike_below=_ALIKE)
    return Section("heatmaps", "Where the heat maps look", html)


def _lead(difference: Interval) -> str:
    return f"{points(difference.value)} points{interval_words(points_range(difference))}"


def _cues(figures: ShortcutFigures, examples: Sequence[Example]) -> str:
    lows = [row.accuracy.low or 0.0 for row in figures.cues.values()]
    return render(
        "shortcuts.html.j2",
        figures=figures,
        cues=CUES,
        floor=int(min(*lows, figures.chance.accuracy) * 10) / 10,
        plots=plots,
        examples=[{"finding": one.finding, "path": one.path, "tiles": _tiles(one)} for one in examples],
    )


def _tiles(example: Example) -> list[_Tile]:
    shown = list(zip(CUES, example.films, example.answers, strict=True))[:_SHOWN_CUES]
    return [
        _Tile(cue.name, _png(film), finding, probability, finding == example.finding)
        for cue, film, (finding, probability) in shown
    ]


def _robustness(figures: ShortcutFigures) -> str:
    robustness = figures.robustness
    undamaged, chance = robustness.undamaged, robustness.chance.accuracy
    damages = []
    for damage in DAMAGES:
        row, place = robustness.damages[damage.key], damage.place
        names = [f"{strength:g}" for strength in row.strengths]
        ticks = [*names[:place], damage.undamaged, *names[place:]]
        accuracy, auroc = (
            [*worse[:place], whole, *worse[place:]]
            for worse, whole in ((row.accuracy, undamaged.accuracy), (row.auroc_macro, undamaged.auroc_macro))
        )
        words = (
            f"Accuracy under {damage.name.lower()}: {percent(undamaged.accuracy.value)} % undamaged, "
            f"{percent(min(one.value or 0.0 for one in row.accuracy))} % at worst."
        )
        plot = sweep_plot(ticks, accuracy, auroc, words, chance=chance)
        damages.append(_Damage(damage.name, damage.unit, plot, list(zip(ticks, accuracy, auroc, strict=True))))
    return render("robustness.html.j2", figures=figures, damages=damages)


def _subgroups(figures: ShortcutFigures) -> str:
    groups = figures.subgroups.values()
    has_one = any(len(row.findings) == 1 and len(rows) > 1 for rows in groups for row in rows)
    return render("subgroups.html.j2", figures=figures, has_groups_of_one_finding=has_one)


def _png(film: NDArray[np.float32]) -> bytes:
    side = min(_EXAMPLE_PX, film.shape[0])
    small = cv2.resize(film, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", np.rint(small * 255).astype(np.uint8))[1].tobytes()


def order_plot(fractions: Sequence[float], curves: Mapping[str, Sequence[float]], description: str) -> str:
    """Return mean probabilities over the share of pixels changed: the heat map's order, the centre's, a random one.

    Args:
        fractions: Of the pixels, rising from 0 to 1.
        curves: "heatmap", "centre" and "random", a probability for each fraction.
        description: What the plot shows, in words.
    """
    ticks = PERCENT_TICKS
    panel = Panel((0, 1), (0, 1), "Pixels changed, %", "Probability of the answer, %", ticks, ticks, 360, 270)
    kinds = {"random": "muted", "centre": "dotted", "heatmap": "accent"}
    drawn = [panel.line(zip(fractions, curves[order], strict=True), kind) for order, kind in kinds.items()]
    return panel.svg(drawn, description)
