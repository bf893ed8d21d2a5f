"""How far the figures fall from those in house, and what can be compared where findings lack."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.figures import to_json
from hilum.judge.in_house import JudgedPart, in_house_comparison
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics

NONE = performance([], np.zeros((0, 1)), ["a"], operating_thresholds={"a": 0.5}, bootstrap=Bootstrap(num_resamples=0))


def figures(num: int, wrong: int, findings: int = 3) -> Performance:
    truth = np.arange(num) % findings
    answers = np.where(np.arange(num) < wrong, (truth + 1) % findings, truth)
    names = ("Normal", "Covid-19", "Viral Pneumonia")
    probabilities = 0.1 + 0.7 * np.eye(3)[answers]
    return performance(
        truth,
        probabilities,
        names,
        operating_thresholds=dict.fromkeys(names, 0.5),
        bootstrap=Bootstrap(num_resamples=200),
    )


def test_the_fall_is_reported_with_its_interval() -> None:
    compared = in_house_comparison(
        to_json({"test": figures(66, 2), "validation": figures(20, 0)}), Metrics(NONE, figures(300, 90))
    )
    assert compared is not None
    assert compared.in_house == JudgedPart("test", 66)
    assert compared.here == JudgedPart("test_clean", 300)
    assert compared.lacking == ()
    row = compared.figures["accuracy"]
    assert row.change.value == pytest.approx(210 / 300 - 64 / 66)
    # Newcombe's interval of a difference of proportions, from Wilson's limits by hand.
    assert row.change.low == pytest.approx(row.change.value - np.hypot(0.7 - row.here.low, row.in_house.high - 64 / 66))
    assert row.change.low < row.change.value < row.change.high < 0
    assert set(compared.figures) == {"accuracy", "recall_mean", "auroc_macro"}
    assert compared.per_finding["Covid-19"]["auroc"].change.value < 0


def test_lacking_findings_leave_what_can_be_compared() -> None:
    house, here = figures(60, 6), figures(40, 10, findings=2)
    compared = in_house_comparison(to_json({"test_clean": house}), Metrics(here, NONE))
    assert compared is not None
    assert compared.lacking == ("Viral Pneumonia",)
    assert set(compared.per_finding) == {"Normal", "Covid-19"}
    assert "auroc_macro" not in compared.figures
    recall = compared.figures["recall_mean"].in_house
    recalls = [house.per_finding[name].recall for name in ("Normal", "Covid-19")]
    assert recall.value == pytest.approx(np.mean([one.value for one in recalls]))
    assert np.mean([one.low for one in recalls]) < recall.low < recall.value  # narrower than either


def test_without_figures_there_is_nothing_to_compare() -> None:
    assert in_house_comparison({}, Metrics(figures(6, 0), NONE)) is None
    assert in_house_comparison(to_json({"test": figures(6, 0)}), Metrics(NONE, NONE)) is None
