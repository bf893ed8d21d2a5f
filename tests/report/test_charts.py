"""The curves agree with scikit-learn; the drawings show what they were given."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn import metrics as reference

from hilum.judge.intervals import Interval
from hilum.report import charts as plots

from .shared import polyline


def films(num_films: int, seed: int) -> plots.Scored:
    rng = np.random.default_rng(seed)
    return plots.Scored(rng.integers(0, 2, num_films), rng.dirichlet(np.ones(2), num_films).round(2))


def test_roc_plot_runs_from_corner_to_corner_with_its_area() -> None:
    part = films(200, 1)
    svg = plots.roc_plot([part, part], 1, "ROC of <b>", threshold=0.5)
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "ROC of <b>"
    curve = np.array(polyline(svg, "accent"))
    (left, floor), (right, top) = curve[0], curve[-1]
    area = np.trapezoid((floor - curve[:, 1]) / (floor - top), (curve[:, 0] - left) / (right - left))
    assert area == pytest.approx(reference.roc_auc_score(part.truth == 1, part.probabilities[:, 1]), abs=0.005)
    assert 'class="ring"' in svg
    assert polyline(svg, "muted") == polyline(svg, "accent")


def test_precision_recall_plot_holds_the_average_precision() -> None:
    part = films(200, 2)
    svg = plots.precision_recall_plot([part], 1, "precision and recall")
    curve = np.array(polyline(svg, "accent"))
    (left, _), (right, _) = polyline(svg, "guide")
    y = dict(re.findall(r'y="([\d.]+)" text-anchor="end">(0|100)<', svg)[::1])
    floor, top = (next(float(at) - 3.5 for at, words in y.items() if words == tick) for tick in ("0", "100"))
    area = np.trapezoid((floor - curve[:, 1]) / (floor - top), (curve[:, 0] - left) / (right - left))
    expected = reference.average_precision_score(part.truth == 1, part.probabilities[:, 1])
    assert area == pytest.approx(expected, abs=0.005)


def test_curves_of_many_films_stay_small() -> None:
    part = plots.Scored(np.arange(20_000) % 2, np.random.default_rng(0).dirichlet(np.ones(2), 20_000))
    assert len(plots.roc_plot([part], 1, "many")) < 40_000


def test_curves_without_the_finding_are_empty_not_an_error() -> None:
    part = plots.Scored(np.zeros(5, int), np.full((5, 2), 0.5))
    for svg in (plots.roc_plot([part], 1, "none", 0.5), plots.precision_recall_plot([part], 1, "none")):
        ElementTree.fromstring(svg)
        assert polyline(svg.replace('points=""', 'points="0,0"'), "accent") == [(0, 0)]


def test_reliability_plot_draws_a_dot_a_filled_bin_and_its_count() -> None:
    probabilities = np.array([[0.95, 0.05]] * 7 + [[0.35, 0.65]] * 3)
    svg = plots.reliability_plot(plots.Scored(np.array([0] * 7 + [1] * 3), probabilities), "reliability")
    ElementTree.fromstring(svg)
    assert svg.count('class="point"') == svg.count('class="whisker"') == svg.count('class="bar"') == 2
    assert re.findall(r">(7|3)<", svg) == ["3", "7"]


@pytest.mark.parametrize("num_epochs", [1, 2, 7, 60])
@pytest.mark.parametrize("figure", ["loss", "accuracy"])
def test_learning_plot_of_any_length(num_epochs: int, figure: str) -> None:
    rows = [
        {"stage": "head" if epoch < 3 else "fine-tune", figure: 0.5 + epoch / 200, f"validation_{figure}": 0.4}
        for epoch in range(num_epochs)
    ]
    svg = plots.learning_plot(rows, figure, "learning")
    root = ElementTree.fromstring(svg)
    assert ("fine-tune" in svg) == (num_epochs > 3)
    assert len(polyline(svg, "accent")) <= 2  # a straight line keeps its ends only
    width, height = (float(length) for length in root.attrib["viewBox"].split()[2:])
    points = [point for kind in ("accent", "muted") for point in polyline(svg, kind)]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_learning_plot_counts_epochs_as_the_history_does_and_rings_what_was_kept() -> None:
    rows = [
        {"stage": "head" if not epoch else "backbone", "epoch": epoch, "validation_loss": 0.5, "kept": epoch == 2}
        for epoch in range(4)
    ]
    root = ElementTree.fromstring(plots.learning_plot(rows, "loss", "learning"))
    labels = {text.text: float(text.attrib["x"]) for text in root.iter("text") if text.text in set("0123")}
    rings = [float(one.attrib["cx"]) for one in root.iter("circle") if one.attrib["class"] == "ring"]
    assert list(labels) == ["0", "1", "2", "3"]
    assert rings == [pytest.approx(labels["2"])]


def test_learning_plot_rings_the_mean_of_the_weights_beside_the_curve() -> None:
    rows = [
        {"stage": stage, "epoch": epoch, "validation_loss": loss, "kept": stage == "mean"}
        for stage, epoch, loss in (("head", 0, 0.5), ("backbone", 1, 0.45), ("backbone", 2, 0.5), ("mean", 2, 0.3))
    ]
    svg = plots.learning_plot(rows, "loss", "learning")
    assert len(polyline(svg, "accent")) == 3
    (ring,) = (one for one in ElementTree.fromstring(svg).iter("circle") if one.attrib["class"] == "ring")
    assert float(ring.attrib["cy"]) > max(y for _, y in polyline(svg, "accent"))  # lower than every epoch


@pytest.mark.parametrize(("first", "words"), [("head", "fine-tuning"), ("start", "training")])
def test_learning_plot_names_the_second_stage_and_rings_the_last_of_thirty_epochs(first: str, words: str) -> None:
    rows = [
        {"stage": "backbone" if epoch else first, "epoch": epoch, "validation_loss": 0.4, "kept": epoch == 30}
        for epoch in range(31)
    ]
    svg = plots.learning_plot(rows, "loss", "learning")
    root = ElementTree.fromstring(svg)
    texts = {text.text: float(text.attrib["x"]) for text in root.iter("text") if "x" in text.attrib}
    assert words in texts and "backbone" not in svg
    assert [text for text in texts if str(text).isdigit() and int(str(text)) % 5 == 0 and text != "0"] == [
        *("5", "10", "15", "20", "25", "30")
    ]
    rings = [float(one.attrib["cx"]) for one in root.iter("circle") if one.attrib["class"] == "ring"]
    assert rings == [pytest.approx(texts["30"])]


def test_learning_plot_leaves_gaps_out() -> None:
    rows = [{"stage": "head", "loss": value, "validation_loss": None} for value in (1.0, math.nan, 0.5)]
    svg = plots.learning_plot(rows, "loss", "learning")
    assert "nan" not in svg
    assert 'class="accent"' not in svg


def test_strip_is_decoration_in_the_right_order() -> None:
    svg = plots.strip(0.9, 0.8, 0.95, 0.5)
    root = ElementTree.fromstring(svg)
    low, high = (float(root[1].attrib[name]) for name in ("x1", "x2"))
    assert low == pytest.approx(5 + 0.6 * 150) and high == pytest.approx(5 + 0.9 * 150)
    assert low < float(root[2].attrib["cx"]) < high
    assert root.attrib["aria-hidden"] == "true"


def interval(value: float | None) -> Interval:
    return Interval() if value is None else Interval(value, value - 0.1, value + 0.1)


def test_strip_marks_chance() -> None:
    root = ElementTree.fromstring(plots.strip(0.9, 0.8, 0.95, 0.5, 0.6))
    tick = next(part for part in root if part.attrib["class"] == "tick-mark")
    assert float(tick.attrib["x1"]) == pytest.approx(5 + 0.2 * 150)
    assert "tick-mark" not in plots.strip(0.9, 0.8, 0.95, 0.5)
