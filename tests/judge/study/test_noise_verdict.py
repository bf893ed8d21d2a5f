"""Which way of taking out noise is worth having."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hilum.judge.study.noise_verdict import CRITERIA, choose_method, judge_method


def change(low: float, high: float) -> dict[str, Any]:
    verdict = "better" if low > 0 else "worse" if high < 0 else "no worse" if low > -0.01 else "open"
    interval = {"value": (low + high) / 2, "low": low, "high": high}
    return {"auroc": interval, "verdict": verdict}


def row(name: str = "median", gain: float = 0.03) -> dict[str, Any]:
    same, better = change(-0.002, 0.002), change(gain - 0.01, gain + 0.01)
    return {
        "name": name,
        "title": name.title(),
        "kind": "denoise",
        "served": True,
        "milliseconds": 1.0,
        "clean": {"edges_kept": 0.97},
        "structure": {"mtf50": 0.28, "rib_contrast": 3.0},
        "residual_likeness": 0.1,
        "shortcuts": {"change": {"value": 0.0, "low": -0.05, "high": 0.05}},
        "changes": {
            "in_house": {"clean": {"option": same}, **{dose: {"option": better} for dose in ("high", "medium", "low")}},
            "external": {"clean": {"option": same}, "medium": {"option": better}},
        },
    }


NONE = row("none", 0.0) | {"structure": {"mtf50": 0.3, "rib_contrast": 2.0}}


def judged(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [one | {"verdict": judge_method(one, NONE)} for one in (NONE, *rows)]


def test_a_method_that_meets_every_demand_is_recommended_but_not_switched_on_for_clean_films() -> None:
    rows = judged(row("median", 0.03), row("gaussian", 0.05))
    chosen = choose_method(rows, {"these films": 0.0})
    assert chosen["method"] == "gaussian"
    assert chosen["default"] == "none"
    assert "Gaussian meets every demand" in chosen["words"]
    assert "+5.0 points" in chosen["words"]
    assert choose_method(rows, {"these films": 0.2})["default"] == "gaussian"


FAULTS: dict[str, Any] = {
    "clean": lambda one: one["changes"]["external"]["clean"].update(option=change(-0.03, 0.01)),
    "helps": lambda one: [one["changes"]["in_house"][dose].update(option=change(-0.005, 0.02)) for dose in
                          ("high", "medium", "low")],
    "never harms": lambda one: one["changes"]["in_house"]["high"].update(option=change(-0.03, -0.02)),
    "edges": lambda one: one["clean"].update(edges_kept=0.8),
    "sharpness": lambda one: one["structure"].update(mtf50=0.1),
    "ribs": lambda one: one["structure"].update(rib_contrast=1.0),
    "residual": lambda one: one.update(residual_likeness=0.6),
    "shortcuts": lambda one: one["shortcuts"].update(change={"value": -0.1, "low": -0.15, "high": -0.05}),
    "served": lambda one: one.update(milliseconds=50.0),
}  # fmt: skip


@pytest.mark.parametrize("key", [one.key for one in CRITERIA])
def test_each_demand_alone_can_fail_a_method(key: str) -> None:
    faulty = copy.deepcopy(row())
    FAULTS[key](faulty)
    verdict = judge_method(faulty, NONE)
    assert [name for name, met in verdict["criteria"].items() if not met] == [key]
    chosen = choose_method(judged(faulty), {"these films": 1.0})
    assert chosen["method"] == chosen["default"] == "none"
    assert "No method meets every demand" in chosen["words"]
    assert next(one.words for one in CRITERIA if one.key == key) in chosen["words"]


def test_films_of_other_sources_are_not_asked_for() -> None:
    alone = row()
    alone["changes"]["external"] = None
    assert all(judge_method(alone, NONE)["criteria"].values())


@pytest.mark.parametrize(("part", "words"), [("in_house", "here"), ("external", "on other sources")])
def test_a_classifier_at_chance_recommends_nothing(part: str, words: str) -> None:
    rows = copy.deepcopy(judged(row("median", 0.03)))
    assert choose_method(rows, {"these films": 0.2})["method"] == "median"
    rows[0]["changes"][part]["clean"]["figures"] = {"auroc": {"low": 0.6}, "above_chance": False}
    chosen = choose_method(rows, {"these films": 0.2})
    assert chosen["method"] == chosen["default"] == "none"
    assert f"not above chance on clean films {words}" in chosen["words"]
