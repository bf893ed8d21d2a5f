"""The page of `hilum study noise`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hilum.judge.study.noise_verdict import choose_method, judge_method
from hilum.report.study_noise import Example, noise_page
from hilum.report.study_noise_table import noise_text

I = {"value": 0.9, "low": 0.88, "high": 0.92}  # noqa: E741 - as in the docs


def change() -> dict[str, Any]:
    return {"n": 20, "auroc": {"value": 0.02, "low": 0.01, "high": 0.03}, "verdict": "better"}


def row(name: str, *, external: bool) -> dict[str, Any]:
    part = {"figures": {"auroc": I}, "option": change(), "test_only": change(), "both": change()}
    return {
        "name": name,
        "title": f"<{name}>",
        "settings": "s & t",
        "kind": "denoise",
        "served": True,
        "n_quality": 3,
        "fidelity": {dose: {"psnr": 30.0, "ssim": 0.9} for dose in ("high", "medium", "low")},
        "clean": {"psnr": 40.0, "edges_kept": 0.95},
        "structure": {"rib_contrast": 2.0 + (name != "none"), "mtf50": 0.25, "mtf50_clean": 0.3},
        "residual_likeness": 0.1,
        "milliseconds": 1.25,
        "changes": {
            "in_house": dict.fromkeys(("clean", "high", "medium", "low"), part),
            "external": dict.fromkeys(("clean", "medium"), part) if external else None,
        },
        "shortcuts": {"excess_over_border": I, "change": {"value": 0.0, "low": -0.1, "high": 0.1}},
    }


@pytest.fixture(params=[True, False])
def figures(request: pytest.FixtureRequest) -> dict[str, Any]:
    rows = [row(name, external=request.param) for name in ("none", "median")]
    for one in rows:
        one["verdict"] = judge_method(one, rows[0])
    other = {
        "name": "other",
        "n": 9,
        "groups": 9,
        "findings": {"Normal": 9},
        "left_out": {"other_findings": 0, "twins": 1},
    }
    noise = {"found": 0.02, "put_in": 0.02, "highest": 0.03}
    return {
        "data": {"name": "films", "n": 20, "groups": 20, "findings": {"Normal": 20}},
        "external": other if request.param else None,
        "folds": 5,
        "seeds": 1,
        "backbone": "efficientnet-lite0",
        "size_px": 224,
        "doses": {"high": 2000.0, "medium": 500.0, "low": 125.0},
        "noise": dict.fromkeys(("clean", "high", "medium", "low"), noise),
        "least_noise": 0.02,
        "share_noisy": {"in_house": 0.0, **({"external": 0.1} if request.param else {})},
        "methods": rows,
        "noise_in_training": {
            "in_house": {key: change() for key in ("clean", "high", "medium", "low")},
            **({"external": {key: change() for key in ("clean", "medium")}} if request.param else {}),
        },
        "verdict": choose_method(rows, {"these films": 0.0}),
    }


def test_the_page_tells_every_method_and_demand(figures: dict[str, Any]) -> None:
    film = np.full((16, 16), 0.5, np.float32)
    html = noise_page(figures, [Example("Without noise", film, None), Example("<median>", film, film - 0.4)])
    assert "<median>" not in html
    assert "&lt;median&gt; meets every demand" in html
    assert html.count('src="data:image/jpeg') == 3
    assert "MTF50" in html
    assert re.search(r"\bth small \{ display: block", html)  # a method's settings stand beneath its name
    assert ("Not looked at" in html) is (figures["external"] is None)
    assert "http" not in html.replace("http-equiv", "")


def test_the_table_has_a_line_a_method_and_the_verdict(figures: dict[str, Any]) -> None:
    text = noise_text(figures, width=200)
    assert "<median>" in text
    assert "+2.0 (+1.0 to +3.0) better" in text
    assert ("elsewhere" in text.splitlines()[0]) is (figures["external"] is not None)
    assert text.rstrip().endswith(figures["verdict"]["words"])
