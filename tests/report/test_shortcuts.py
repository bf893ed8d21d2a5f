"""The sections say what the figures say, escape what comes from the data, and stand for any number of findings."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hilum.data.folder import read_dataset
from hilum.judge.predictions import judge_records
from hilum.judge.shortcuts.measure import FilmCounts, Shortcuts, find_shortcuts
from hilum.judge.shortcuts.occlusion import CUES
from hilum.judge.shortcuts.robustness import DAMAGES
from hilum.report.shortcuts import shortcuts_sections, summary_line
from hilum.run.classifier import Classifier

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
        marked_films,
        verdicts,
        groups=np.arange(16),
        traits=traits,
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
    figures = copy.deepcopy(found.figures)
    figures["excess_over_border"] = {"value": -0.123, "low": -0.2, "high": 0.05}
    figures["cues"]["lungs_hidden"]["accuracy"] = {"value": 0.777, "low": 0.7, "high": 0.8}
    said = text(shortcuts_sections(replace(found, figures=figures))[0].html)
    assert "−12.3 points" in said
    assert "−20.0 to +5.0" in said
    assert "77.7" in said
    line = summary_line(figures)
    assert "lungs hidden 77.7 %" in line and "−12.3 points" in line and "chance 50.0 %" in line


def test_the_verdict_stands_above_the_figures_and_in_the_terminal(found: Shortcuts) -> None:
    said = text(shortcuts_sections(found)[0].html)
    words = found.figures["verdict"]["words"]
    assert "ranks films better than chance with both lungs hidden" in words
    assert words in said
    assert words in summary_line(found.figures)
    assert said.index(words) < said.index("Whole film over its border")


def test_ranking_and_right_answers_are_both_said(found: Shortcuts) -> None:
    """Of forty films seven were answered with a finding that the set does not hold: right answers told the contrary."""
    figures = copy.deepcopy(found.figures)
    figures["excess_over_border"] = {"value": -0.025, "low": -0.1, "high": 0.05}
    figures["auroc_excess_over_border"] = {"value": 0.093, "low": 0.02, "high": 0.166}
    figures["cues"]["whole"]["auroc_macro"]["value"] = 0.955
    figures["cues"]["border_only"]["auroc_macro"]["value"] = 0.862
    line = summary_line(figures)
    assert "AUROC: whole film 95.5 %" in line and "border only 86.2 %" in line
    assert "whole film over border +9.3 points (95 % interval +2.0 to +16.6). Right answers:" in line
    assert "whole film over border −2.5 points (95 % interval −10.0 to +5.0)." in line
    said = text(shortcuts_sections(replace(found, figures=figures))[0].html)
    assert said.index("+9.3 points of AUROC") < said.index("−2.5 points")


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
    figures = copy.deepcopy(found.figures)
    row = figures["subgroups"]["file format"][0]
    figures["subgroups"]["file format"] = [{**row, "findings": {"Normal": 9}}, row]
    assert "one finding only" in shortcuts_sections(replace(found, figures=figures))[3].html
