"""The page and the table of `hilum study backbones`."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.report.study_backbones import backbone_page, backbone_text

I = {"value": 0.9, "low": 0.88, "high": 0.92}  # noqa: E741 - as in the docs


@pytest.fixture(params=[True, False])
def figures(request: pytest.FixtureRequest) -> dict[str, Any]:
    judged = {"n": 9, "accuracy": I, "macro_f1": I, "auroc": I}
    base = {"backbone": "Net<1>", "size_px": 160, "start": "frozen", "best": False}
    part = {"name": "films", "n": 9, "groups": 9, "findings": {"Normal": 9}}
    good = base | {
        "name": "a",
        "reason": "",
        "best": True,
        "in_house": judged,
        "external": judged if request.param else None,
        "against_best": None,
        "against_best_external": None,
        "num_weights": 1_500_000,
        "megabytes": 6.0,
        "minutes": 2.5,
        "milliseconds": 7.25,
    }
    return {
        "data": part,
        "external": {**part, "left_out": {"other_findings": 0, "twins": 0}} if request.param else None,
        "folds": 5,
        "seeds": 1,
        "remarks": [],
        "networks": [good, base | {"name": "b", "reason": "Its <weights> are not here."}],
        "verdict": {"words": "Take it."},
    }


def test_page_and_table_tell_every_network_and_why_one_was_not_judged(figures: dict[str, Any]) -> None:
    html = backbone_page(figures)
    assert "Net&lt;1&gt;" in html
    assert "Its &lt;weights&gt; are not here." in html
    assert html.count('class="point"') == 1
    text = backbone_text(figures, width=200)
    assert "Net<1> 160 px frozen: Its <weights> are not here." in text
    assert "1.50" in text
    assert "7.2" in text
    assert ("elsewhere" in text) is (figures["external"] is not None)
