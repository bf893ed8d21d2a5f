"""Which augmentation policy is worth having."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.judge.study.augmentation_verdict import choose_policy, flip_words
from hilum.judge.study.changes import judge_change


def change(low: float, high: float) -> dict[str, Any]:
    auroc = {"value": (low + high) / 2, "low": low, "high": high}
    return {"auroc": auroc, "verdict": judge_change(auroc)}


def row(name: str, here: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any]:
    against = {"in_house": here, "external": other}
    return {"name": name, "title": name.title(), "against_default": against, "against_none": against}


DEFAULT = row("default", None, None) | {"against_none": {"in_house": change(0.01, 0.03), "external": None}}
SAME, BETTER, WORSE = change(-0.005, 0.005), change(0.01, 0.05), change(-0.05, -0.02)


def test_the_default_stays_unless_another_is_better_elsewhere() -> None:
    chosen = choose_policy("plain-cnn", [DEFAULT, row("mixup", BETTER, SAME)], "default")
    assert chosen["policy"] == "default"
    assert "the default policy against none: +2.0 points (+1.0 to +3.0) here, better." in chosen["words"]
    chosen = choose_policy("plain-cnn", [DEFAULT, row("mixup", SAME, BETTER), row("cutmix", SAME, SAME)], "default")
    assert chosen["policy"] == "mixup"
    assert "Mixup is better than the default" in chosen["words"]


def test_better_elsewhere_is_not_enough_where_it_is_worse_here() -> None:
    assert choose_policy("plain-cnn", [DEFAULT, row("mixup", WORSE, BETTER)], "default")["policy"] == "default"


def test_without_other_sources_the_study_s_own_films_decide() -> None:
    assert choose_policy("plain-cnn", [DEFAULT, row("augmix", BETTER, None)], "default")["policy"] == "augmix"


@pytest.mark.parametrize(
    ("found", "words"),
    [(SAME, "costs nothing"), (BETTER, "helps"), (WORSE, "costs something"), (change(-0.03, 0.03), "may")],
)
def test_what_a_flip_costs_in_words(found: dict[str, Any], words: str) -> None:
    assert f"Mirroring films {words}" in flip_words(found, "here")


def figures(*, is_above: bool) -> dict[str, Any]:
    return {"auroc": {"value": 0.6, "low": 0.55, "high": 0.7}, "above_chance": is_above}


def test_networks_at_chance_recommend_nothing() -> None:
    standing = DEFAULT | {"in_house": figures(is_above=False), "external": None}
    same = row("mixup", SAME, None) | {"in_house": figures(is_above=False)}
    chosen = choose_policy("plain-cnn", [standing, same], "default")
    assert chosen["policy"] is None
    assert "Nothing is recommended" in chosen["words"]
    better = row("augmix", BETTER, None) | {"in_house": figures(is_above=False)}
    assert choose_policy("plain-cnn", [standing, better], "default")["policy"] is None
    learned = row("augmix", BETTER, None) | {"in_house": figures(is_above=True)}
    assert choose_policy("plain-cnn", [standing, learned], "default")["policy"] == "augmix"
    assert choose_policy("plain-cnn", [standing, learned | {"kept_random": 2}], "default")["policy"] is None


def test_a_flip_that_had_no_part_in_it_costs_nothing_known() -> None:
    words = flip_words(change(0.0, 0.0) | {"identical": True}, "here")
    assert words == "Mirroring films had no part in it here: the answers with and without are the same."
