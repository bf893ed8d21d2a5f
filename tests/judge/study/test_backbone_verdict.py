"""Which network is worth its cost."""

from __future__ import annotations

from typing import Any

from hilum.judge.study.backbone_verdict import choose_backbone, mark_frontier
from hilum.judge.study.changes import judge_change


def row(
    name: str, auroc: float, milliseconds: float, change: tuple[float, float] | None, reason: str = ""
) -> dict[str, Any]:
    figure = {"value": auroc, "low": auroc - 0.02, "high": auroc + 0.02}
    against = None
    if change:
        moved = {"value": sum(change) / 2, "low": change[0], "high": change[1]}
        against = {"auroc": moved, "verdict": judge_change(moved)}
    told = {"name": name, "backbone": name, "size_px": 224, "start": "frozen", "reason": reason}
    if reason:
        return told
    return told | {
        "in_house": {"auroc": figure},
        "external": None,
        "milliseconds": milliseconds,
        "minutes": 1.0,
        "against_best": against,
        "against_best_external": against,
    }


def test_the_frontier_holds_what_nothing_as_quick_beats() -> None:
    rows = [
        row("best", 0.95, 9.0, None),
        row("quick", 0.9, 1.0, (-0.06, -0.04)),
        row("slow", 0.9, 20.0, (-0.06, -0.04)),
        row("lost", 0.0, 0.0, None, "no weights"),
    ]
    mark_frontier(rows)
    assert [one["best"] for one in rows] == [True, True, False, False]


def test_the_quickest_that_is_not_surely_worse_is_chosen() -> None:
    near = [row("best", 0.95, 9.0, None), row("near", 0.94, 2.0, (-0.03, 0.01)), row("bad", 0.8, 1.0, (-0.2, -0.1))]
    chosen = choose_backbone([*near, row("lost", 0.0, 0.0, None, "no weights")], external=False)
    assert chosen["network"] == "near"
    assert chosen["leading"] == "best"
    assert "at 2.0 instead of 9.0 ms a film" in chosen["words"]
    assert "1 of 4 networks were not judged" in chosen["words"]
    alone = choose_backbone([near[0], near[2]], external=False)
    assert alone["network"] == "best"
    assert "No quicker network" in alone["words"]
