"""The section on heat maps draws its conclusions from intervals, and says them in words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hilum.report.heatmaps import heatmaps_html


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.fixture
def figures() -> dict[str, Any]:
    some = interval(0.4, 0.3, 0.5)
    mass = {"n": 8, "in_lungs": some, "even": interval(0.25, 0.2, 0.3), "excess": interval(0.15, 0.1, 0.2)}
    curves = {"heatmap": [0.9, 0.1], "centre": [0.9, 0.2], "random": [0.9, 0.3]}
    nothing = {"value": None, "low": None, "high": None}
    part = {
        "curves": curves,
        "area": {"heatmap": interval(0.301, 0.25, 0.35), "centre": some, "random": some},
        "gain": {"centre": interval(-0.02, -0.1, 0.06), "random": interval(0.123, 0.1, 0.2)},
    }
    alike = {"layers": 3, "spearman": interval(0.1, 0.0, 0.2), "ssim": interval(0.05, 0.0, 0.1)}
    return {
        "films": {"faithfulness": 8, "sanity": 8},
        "heatmap": {
            "all": mass,
            "right": mass,
            "wrong": {"n": 0, "in_lungs": nothing, "even": nothing, "excess": nothing},
            "per_finding": {"Covid <19>": mass},
        },
        "order": {"fractions": [0, 1], "deletion": part, "insertion": part},
        "sanity": {"layers": 3, "stages": [alike], "other_films": alike},
    }


def test_figures_are_on_the_page(figures: dict[str, Any]) -> None:
    html = heatmaps_html(figures)
    said = text(html)
    assert "where the evidence lies, not why" in said
    assert "Covid &lt;19&gt;" in html and "<19>" not in html
    assert "area 30.1 (25.0–35.0)" in said.replace("( ", "(").replace(" )", ")")
    assert "+12.3" in said and "−2.0" in said
    assert "3 of 3 layers shuffled" in said
    assert html.count('<svg class="plot"') == 2


def test_maps_that_do_not_change_are_not_to_be_read(figures: dict[str, Any]) -> None:
    for high, words in ((0.3, "do change"), (0.8, "do not read these maps")):
        figures["sanity"]["stages"][-1]["spearman"] = {"value": 0.2, "low": 0.1, "high": high}
        assert words in text(heatmaps_html(figures))
    for low, high, words in (
        (0.1, 0.2, "more than an even"),
        (-0.2, -0.1, "less than an even"),
        (-1, 1, "no more and"),
    ):
        figures["heatmap"]["all"]["excess"] = {"value": 0.0, "low": low, "high": high}
        assert words in text(heatmaps_html(figures))
