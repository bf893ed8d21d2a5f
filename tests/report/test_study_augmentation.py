"""The page and the table of `hilum study augmentation`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hilum.report.study_augmentation import augmentation_page, augmentation_text

I = {"value": 0.9, "low": 0.88, "high": 0.92}  # noqa: E741 - as in the docs


@pytest.fixture(params=[True, False])
def figures(request: pytest.FixtureRequest) -> dict[str, Any]:
    change = {"n": 9, "auroc": {"value": 0.02, "low": 0.01, "high": 0.03}, "verdict": "better"}
    judged = {"n": 9, "accuracy": I, "macro_f1": I, "auroc": I}
    external = judged if request.param else None
    rows = [
        {
            "name": name,
            "title": f"<{name}>",
            "words": "a & b",
            "in_house": judged,
            "external": external,
            "minutes": 1.5,
            "against_none": {
                "in_house": change if name != "none" else None,
                "external": change if name != "none" and external else None,
            },
            "against_default": {"in_house": change, "external": change if external else None},
        }
        for name in ("none", "mixup")
    ]
    left = {"other_findings": 0, "twins": 0}
    part = {"name": "films", "n": 9, "groups": 9, "findings": {"Normal": 9}}
    return {
        "data": part,
        "external": {**part, "left_out": left} if request.param else None,
        "folds": 5,
        "seeds": 1,
        "remarks": ["One <remark>."],
        "backbones": {"plain-cnn": {"how": "64 px", "policies": rows, "verdict": {"words": "Mixup <wins>."}}},
        "verdict": {"words": "Mixup <wins>."},
    }


def test_page_and_table_tell_every_policy(figures: dict[str, Any]) -> None:
    html = augmentation_page(figures, {"<mixup>": [np.zeros((8, 8), np.float32)] * 3})
    assert "<mixup>" not in html
    assert "&lt;remark&gt;" in html
    assert html.count("data:image/jpeg") == 3
    assert ("AUROC elsewhere" in html) is (figures["external"] is not None)
    text = augmentation_text(figures, width=200)
    assert "<mixup>" in text
    assert "90.0 (88.0–92.0)" in text
    assert text.rstrip().endswith("Mixup <wins>.")
