"""The sections say what the figures say, escape what comes from the data, and stand for any number of findings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hilum.data.folder import read_dataset
from hilum.figures import from_json, to_json
from hilum.judge.predictions import ProbedFilms, judge_records
from hilum.judge.shortcuts.measure import FilmCounts, ShortcutFigures, Shortcuts, find_shortcuts
from hilum.judge.shortcuts.occlusion import CUES
from hilum.judge.shortcuts.robustness import DAMAGES
from hilum.report.shortcuts import heatmaps_section, order_plot, shortcuts_sections, summary_line
from hilum.run.classifier import Classifier

from .shared import polyline

VOID = {"img", "br", "line", "circle", "polyline", "polygon", "rect"}


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.fixture(scope="module")
def found(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path_factory: pytest.TempPathFactory
) -> Shortcuts:
    model = looking_model(tmp_path_factory.mktemp("page") / "m.onnx", ((0, 0),), 0.67)
    classifier = Classifier(model)
    verdicts = judge_records(classifier, marked_films, read_dataset(marked_films).records)
    traits = {record.path: {"file format": "PNG", "ward <b>": "A & B"} for record in verdicts.records}
    return find_shortcuts(
        classifier,
        model,
        ProbedFilms(marked_films, verdicts, np.arange(16), traits),
        counts=FilmCounts(robustness=4, faithfulness=3, sanity=3),
    )


def test_sections_are_well_formed_and_complete(found: Shortcuts) -> None:
    sections = shortcuts_sections(found)
    assert [section.anchor for section in sections] == ["shortcuts", "heatmaps", "robustness", "subgroups"]
    for section in sections:
        parser = Balance()
        parser.feed(section.html)
        assert parser.open == []
        assert "None" not in section.html and "nan" not in text(section.html)
    first, heat, worse, _ = (section.html for section in sections)
    for cue in CUES:
        assert cue.name in first
    assert first.count("data:image/png") == 2 * 7
    assert "not why" in text(heat)
    assert worse.count('<svg class="plot"') == len(DAMAGES)
    assert "4 films drawn at random from 16" in text(worse)


def test_the_figures_on_the_page_are_those_of_the_file(found: Shortcuts) -> None:
    figures = to_json(found.figures)
    figures["excess_over_border"] = {"value": -0.123, "low": -0.2, "high": 0.05}
    figures["cues"]["lungs_hidden"]["accuracy"] = {"value": 0.777, "low": 0.7, "high": 0.8}
    said = text(shortcuts_sections(replace(found, figures=from_json(ShortcutFigures, figures)))[0].html)
    assert "−12.3 points" in said
    assert "−20.0 to +5.0" in said
    assert "77.7" in said
    line = summary_line(from_json(ShortcutFigures, figures))
    assert "lungs hidden 77.7 %" in line and "−12.3 points" in line and "chance 50.0 %" in line


def test_the_verdict_stands_above_the_figures_and_in_the_terminal(found: Shortcuts) -> None:
    said = text(shortcuts_sections(found)[0].html)
    words = found.figures.verdict.words
    shown = words.replace("\xa0", " ")
    assert "ranks films better than chance with both lungs hidden" in words
    assert shown in said
    assert words in summary_line(found.figures)
    assert said.index(shown) < said.index("Whole film over its border")


def test_ranking_and_right_answers_are_both_said(found: Shortcuts) -> None:
    """Of forty films seven were answered with a finding that the set does not hold: right answers told the contrary."""
    figures = to_json(found.figures)
    figures["excess_over_border"] = {"value": -0.025, "low": -0.1, "high": 0.05}
    figures["auroc_excess_over_border"] = {"value": 0.093, "low": 0.02, "high": 0.166}
    figures["cues"]["whole"]["auroc_macro"] = {"value": 0.955, "low": 0.8, "high": 0.99}
    figures["cues"]["border_only"]["auroc_macro"] = {"value": 0.862, "low": 0.8, "high": 0.99}
    line = summary_line(from_json(ShortcutFigures, figures))
    assert "AUROC: whole film 95.5 %" in line and "border only 86.2 %" in line
    assert "whole film over border +9.3 points (95\N{NO-BREAK SPACE}% interval +2.0 to +16.6). Right answers:" in line
    assert "whole film over border −2.5 points (95\N{NO-BREAK SPACE}% interval −10.0 to +5.0)." in line
    said = text(shortcuts_sections(replace(found, figures=from_json(ShortcutFigures, figures)))[0].html)
    assert said.index("+9.3 points") < said.index("−2.5 points")


def test_what_comes_from_the_data_is_escaped(found: Shortcuts) -> None:
    example = replace(found.examples[0], path="<script>x</script>", finding="A<b>")
    sections = shortcuts_sections(replace(found, examples=(example,)))
    page = "".join(section.html for section in sections)
    assert "<script>" not in page and "A<b>" not in page
    assert "ward <b>" not in page.lower()
    assert "A &amp; B" in page


def test_small_groups_and_groups_of_one_finding_are_pointed_out(found: Shortcuts) -> None:
    subgroups = shortcuts_sections(found)[3].html
    assert subgroups.count("small group") == 2
    assert "one finding only" not in subgroups
    figures = to_json(found.figures)
    row = figures["subgroups"]["file format"][0]
    figures["subgroups"]["file format"] = [{**row, "findings": {"Normal": 9}}, row]
    assert "one finding only" in shortcuts_sections(replace(found, figures=from_json(ShortcutFigures, figures)))[3].html


# --- heat maps ------------------------------------------------------------------------------------------------------


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


@pytest.fixture
def figures(found: Shortcuts) -> dict[str, Any]:
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
    return to_json(found.figures) | {
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
    html = heatmaps_section(from_json(ShortcutFigures, figures)).html
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
        assert words in text(heatmaps_section(from_json(ShortcutFigures, figures)).html)
    for low, high, words in (
        (0.1, 0.2, "more than an even"),
        (-0.2, -0.1, "less than an even"),
        (-1, 1, "no more and"),
    ):
        figures["heatmap"]["all"]["excess"] = {"value": 0.0, "low": low, "high": high}
        assert words in text(heatmaps_section(from_json(ShortcutFigures, figures)).html)


def test_order_plot_draws_three_curves_from_the_same_film() -> None:
    fractions = [0, 0.5, 1]
    curves = {"heatmap": [0.9, 0.1, 0.2], "centre": [0.9, 0.6, 0.2], "random": [0.9, 0.7, 0.2]}
    svg = order_plot(fractions, curves, "deletion")
    ElementTree.fromstring(svg)
    drawn = [polyline(svg, kind) for kind in ("accent", "dotted", "muted")]
    assert drawn[0][0] == drawn[1][0] == drawn[2][0]
    assert drawn[0][1][1] > drawn[1][1][1] > drawn[2][1][1]
