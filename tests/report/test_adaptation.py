"""An adapted model in words: what came of it decides the verdict."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.judge.adaptation import Adaptation, AdaptationMetrics, LeftOut, LevelFigures, Parent, Side
from hilum.judge.intervals import Interval, proportion
from hilum.judge.metrics import performance
from hilum.report.adaptation import (
    adaptation_card,
    adaptation_lines,
    adaptation_page,
    adaptation_toml,
    level_words,
    verdict_words,
)

FINDINGS = ("Normal", "Covid-19")


def side(num_right: int) -> Side:
    truth = np.arange(20) % 2
    answered = np.where(np.arange(20) < num_right, truth, 1 - truth)
    probabilities = 0.2 + 0.6 * np.eye(2)[answered]
    figures = performance(truth, probabilities, FINDINGS, operating_thresholds=dict.fromkeys(FINDINGS, 0.5))
    return Side(figures, 0.5, proportion(1, 20), proportion(18, 20), 1.2)


MADE = Adaptation(
    parent=Parent("tiny", "ab" * 32),
    data="<films>",
    n=20,
    num_films={"Normal": 10, "Covid-19": 10},
    few=(),
    lacking=(),
    left_out=LeftOut(),
    level="linear",
    penalty=30.0,
    temperature=(1.0, 1.2),
    coverage=(0.95, 0.9),
    constants={"Normal": 0.5, "Covid-19": -0.5},
    levels=(
        LevelFigures("as shipped", None, 0.7, 0.1, False),
        LevelFigures("constants", None, 0.6, 0.1, False),
        LevelFigures("linear", 30.0, 0.5, 0.0, True),
    ),
    before=side(12),
    after=side(18),
    accuracy_change=Interval(0.3, 0.1, 0.5),
    heatmaps_follow=False,
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "The adapted model is better on films like yours. 60.0 % of 20 films are right as shipped, 90.0 % adapted",
        ),
        (
            {"accuracy_change": Interval(0.1, -0.1, 0.3), "after": dataclasses.replace(side(18), loss=0.4)},
            "fit your films better, but these films cannot say whether it gets more of them right.",
        ),
        ({"accuracy_change": Interval(0.1, -0.1, 0.3)}, "These films show no gain: use the model as shipped, or"),
        ({"accuracy_change": Interval(-0.2, -0.3, -0.1)}, "gets fewer films right: use the model as shipped."),
        ({"level": "as shipped"}, "No correction is better than the model as shipped on your 20 films"),
        (
            {"num_films": {"Normal": 20, "Covid-19": 0}, "lacking": ("Covid-19",)},
            "Of your Normal films, 40.0 % were answered with another finding as shipped, and 10.0 % are now.",
        ),
    ],
)
def test_the_verdict_comes_first(changes: dict[str, object], words: str) -> None:
    made = dataclasses.replace(MADE, **changes)  # type: ignore[arg-type]
    metrics = AdaptationMetrics(made.after.figures, made)
    assert words in verdict_words(made).replace("\N{NO-BREAK SPACE}", " ")
    assert adaptation_lines(made)[0] == verdict_words(made)
    assert words in adaptation_card(metrics)
    page = adaptation_page(metrics, ["A note."]).replace("\N{NO-BREAK SPACE}", " ")
    lead = words.partition(". ")[0]
    assert page.index(lead) < page.index("A note.") < page.index("Each film was judged by a correction")


def test_a_model_that_shows_no_gain_is_not_recommended() -> None:
    same = dataclasses.replace(MADE, accuracy_change=Interval(0.1, -0.1, 0.3))
    for made, is_useful in ((MADE, True), (same, False), (dataclasses.replace(same, level="as shipped"), True)):
        page = adaptation_page(AdaptationMetrics(made.after.figures, made), [])
        assert ("Every command takes the model.onnx" in page, "Add films, best ten or more" in page) == (
            is_useful,
            not is_useful,
        )


def test_names_are_escaped_and_levels_told() -> None:
    page = adaptation_page(AdaptationMetrics(MADE.after.figures, MADE), [])
    assert "<films>" not in page
    assert "penalty 30" in page
    assert "Heat maps are those of the model as shipped" in page
    assert level_words(dataclasses.replace(MADE, level="constants")) == "a constant for each finding and a temperature"
    assert level_words(dataclasses.replace(MADE, level="constants", temperature=(1.0, 1.0))) == "one constant"
    assert 'parent = "tiny"' in adaptation_toml(MADE, ["class-by-source"])
