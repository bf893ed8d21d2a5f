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
    assert "Not judged: 1 of 4 networks; the table says why." in chosen["words"]
    alone = choose_backbone([near[0], near[2]], external=False)
    assert alone["network"] == "best"
    assert "No quicker network" in alone["words"]


def at_chance(one: dict[str, Any], *parts: str) -> dict[str, Any]:
    figure = {"auroc": {"value": 0.56, "low": 0.52, "high": 0.6}, "above_chance": False}
    return one | {"external": {**one["in_house"], "above_chance": True}} | dict.fromkeys(parts, figure)


def test_nothing_at_chance_is_recommended() -> None:
    """The quickest is at chance, and the other hospital's wide interval does not say that it is worse."""
    best = at_chance(row("best", 0.95, 9.0, None))
    for parts in (("in_house",), ("external",), ("in_house", "external")):
        quick = at_chance(row("quick", 0.56, 1.0, (-0.6, 0.1)), *parts)
        chosen = choose_backbone([best, quick], external=True)
        assert chosen["network"] == "best"
        none = choose_backbone([at_chance(best, *parts), quick], external=True)
        assert none["network"] is None
        assert "No network is recommended" in none["words"]


def test_kept_random_weights_are_never_recommended() -> None:
    quick = row("quick", 0.94, 1.0, (-0.03, 0.01))
    assert choose_backbone([row("best", 0.95, 9.0, None), quick], external=False)["network"] == "quick"
    quick["kept_random"] = 1
    assert choose_backbone([row("best", 0.95, 9.0, None), quick], external=False)["network"] == "best"


def test_worse_in_house_is_not_excused_by_a_wide_interval_elsewhere() -> None:
    best, quick = (at_chance(one) for one in (row("best", 0.95, 9.0, None), row("quick", 0.8, 1.0, (-0.2, 0.05))))
    assert choose_backbone([best, quick], external=True)["network"] == "quick"
    quick["against_best"] = row("x", 0.8, 1.0, (-0.2, -0.1))["against_best"]
    assert choose_backbone([best, quick], external=True)["network"] == "best"
