"""The plots of studies."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

from hilum.judge.intervals import Interval
from hilum.report.study_charts import CostPoint, change_plot, cost_plot, sweep_plot

from .shared import polyline


def interval(value: float | None, reach: float = 0.02) -> Interval:
    return Interval() if value is None else Interval(value, value - reach, value + reach)


def test_changes_stand_below_each_other_with_their_names() -> None:
    svg = change_plot(
        [("Me<dian", interval(0.01)), ("Broken", interval(None)), ("Worse", interval(-0.03))], 0.01, "All"
    )
    ElementTree.fromstring(svg)
    assert "Me&lt;dian" in svg
    dots = [float(x) for x in re.findall(r'class="point" cx="([\d.]+)"', svg)]
    assert len(dots) == 2
    assert dots[0] > dots[1]


def test_a_large_change_stays_in_the_plot() -> None:
    svg = change_plot([("Ruin", interval(-0.4, 0.2))], 0.01, "All")
    dots = [float(x) for x in re.findall(r'cx="([\d.-]+)"', svg)]
    assert dots
    assert all(0 <= x <= 470 for x in dots)


def test_a_sweep_shows_both_curves_and_the_interval() -> None:
    svg = sweep_plot(["a", "b"], [interval(0.9), interval(None)], [interval(0.8), interval(0.7)], "Both")
    ElementTree.fromstring(svg)
    assert svg.count("<circle") == 1
    assert "band" in svg
    assert "muted" in svg


def test_what_is_best_at_its_cost_is_marked() -> None:
    points = [
        CostPoint("quick", 1.0, interval(0.8), best=True),
        CostPoint("slow", 100.0, interval(0.7)),
        CostPoint("unknown", 3.0, interval(None)),
    ]
    svg = cost_plot(points, "ms", "AUROC", "Cost")
    ElementTree.fromstring(svg)
    assert svg.count('class="point"') == 1
    assert svg.count('class="ring"') == 1
    assert "unknown" not in svg
    assert cost_plot([points[2]], "ms", "AUROC", "Cost") == ""


def test_names_of_networks_alike_are_not_written_over_each_other() -> None:
    alike = [
        CostPoint(name, 4.7, Interval(value), best)
        for name, value, best in (("tuned", 0.825, True), ("frozen", 0.818, False), ("other", 0.82, False))
    ]
    svg = cost_plot(alike, "ms", "AUROC", "Costs.")
    tops = sorted(float(y) for y in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(?:tuned|frozen|other)<', svg))
    assert len(tops) == 3
    assert min(b - a for a, b in itertools.pairwise(tops)) >= 12


def test_an_interval_that_begins_at_nothing_stays_in_the_plot() -> None:
    svg = cost_plot([CostPoint("one", 4.7, Interval(0.4, 0.0, 0.8))], "ms", "AUROC", "Costs.")
    (whisker,) = re.findall(r'class="whisker" points="([^"]+)"', svg)
    assert all(float(pair.split(",")[1]) <= 290 for pair in whisker.split())  # the floor of the plot


def test_a_sweep_over_damage_draws_a_point_a_strength_between_its_limits() -> None:
    accuracy = [interval(value) for value in (0.9, 0.8, 0.2)]
    svg = sweep_plot(["0", "2", "5"], accuracy, [interval(0.9), interval(None), interval(0.4)], "damage", chance=0.4)
    root = ElementTree.fromstring(svg)
    curve, guide = polyline(svg, "accent"), polyline(svg, "guide")
    assert svg.count('class="point"') == len(curve) == 3
    assert [y for _, y in curve] == sorted(y for _, y in curve)  # worse is lower
    assert curve[1][1] < guide[0][1] < curve[2][1]
    outline = next(part.attrib["points"] for part in root if part.tag.endswith("polygon")).split()
    assert len(outline) == 6
    high, low = (float(outline[at].split(",")[1]) for at in (0, -1))
    assert high < curve[0][1] < low
    assert len(polyline(svg, "muted")) == 2  # what is not known is left out
    assert re.findall(r">(2|5)<", svg) == ["2", "5"]
