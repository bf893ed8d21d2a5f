"""Which variant of a study to choose: one rule, with the demands of each kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hilum.judge.intervals import Interval
from hilum.judge.study import Change, Changes, StudyFigures, judge_change
from hilum.judge.study_result import Condition, Conditions, MethodRow, NetworkRow, PolicyRow
from hilum.judge.study_verdict import (
    DEMANDS,
    Candidate,
    choose,
    judge_methods,
    mark_frontier,
    method_demands,
    network_candidate,
    policy_candidate,
)


def change(low: float, high: float) -> Change:
    auroc = Interval((low + high) / 2, low, high)
    return Change(20, auroc, Interval(), Interval(), judge_change(auroc))


def figures(auroc: float = 0.9, *, above: bool = True) -> StudyFigures:
    return StudyFigures(20, Interval(), Interval(), Interval(auroc, auroc - 0.02, auroc + 0.02), Interval(), above)


SAME, BETTER, WORSE = change(-0.005, 0.005), change(0.01, 0.05), change(-0.05, -0.02)


# --- the rule -------------------------------------------------------------------------------------------------------


def test_the_best_of_those_that_meet_every_demand_replaces_the_reference() -> None:
    reference = Candidate("old", "Old")
    others = [
        Candidate("good", "Good", score=(1.0,)),
        Candidate("best", "Best", score=(2.0,)),
        Candidate("harmful", "Harmful", score=(3.0,), unmet=("it harms",)),
        Candidate("guess", "Guess", score=(4.0,), is_proven=False),
    ]
    assert choose("augmentation", reference, others).chosen == "best"
    assert choose("augmentation", replace(reference, is_proven=False), others).chosen == "best"
    kept = choose("augmentation", reference, others[2:])
    assert kept.chosen == "old"
    assert kept.words == "Harmful scored best, but it harms; the default (Old) is kept."
    assert (
        choose("augmentation", reference, []).words == "No policy scored better than the default (Old), which is kept."
    )
    nothing = choose("augmentation", replace(reference, is_proven=False), others[3:])
    assert nothing.chosen is None
    assert nothing.words.startswith("Nothing is recommended")


# --- noise ----------------------------------------------------------------------------------------------------------


def method(name: str = "median", gain: float = 0.03) -> MethodRow:
    better = Condition(figures(), change(gain - 0.01, gain + 0.01))
    clean = Condition(figures(), change(-0.002, 0.002))
    return MethodRow(
        name=name,
        title=name.title(),
        settings="",
        kind="denoise",
        served=True,
        n_quality=3,
        fidelity={},
        milliseconds=1.0,
        clean={"edges_kept": 0.97},
        structure={"mtf50": 0.28, "rib_contrast": 3.0},
        residual_likeness=0.1,
        shortcuts={"change": Interval(0.0, -0.05, 0.05)},
        changes=Conditions(
            {"clean": clean, **dict.fromkeys(("high", "medium", "low"), better)}, {"clean": clean, "medium": better}
        ),
    )


NONE = replace(method("none", 0.0), structure={"mtf50": 0.3, "rib_contrast": 2.0})


def test_a_method_that_meets_every_demand_is_recommended_but_not_switched_on_for_clean_films() -> None:
    rows = [NONE, method("median", 0.03), method("gaussian", 0.05), replace(method("clahe", 0.5), kind="contrast")]
    judged, verdict = judge_methods(rows, {"in_house": 0.0})
    assert (verdict["method"], verdict["default"]) == ("gaussian", "none")
    assert "Gaussian is recommended" in str(verdict["words"])
    assert "+5.0 points" in str(verdict["words"])
    assert "0.0 % of these films" in str(verdict["words"])
    assert str(verdict["next"]).startswith("Change no setting. Use preprocessing.denoise")
    assert judged[0].verdict is None
    assert judged[1].verdict is not None and judged[1].verdict["words"] == "It meets every demand."
    noisy = judge_methods(rows, {"in_house": 0.2})[1]
    assert noisy["default"] == "gaussian"
    assert noisy["next"] == 'Set preprocessing.denoise = "gaussian" and train again.'


def at(row: MethodRow, part: str, dose: str, option: Change) -> MethodRow:
    changes = {**getattr(row.changes, part), dose: replace(getattr(row.changes, part)[dose], option=option)}
    return replace(row, changes=replace(row.changes, **{part: changes}))


def without_help(row: MethodRow) -> MethodRow:
    for dose in ("high", "medium", "low"):
        row = at(row, "in_house", dose, change(-0.005, 0.02))
    return row


FAULTY: dict[str, Any] = {
    "clean": lambda row: at(row, "external", "clean", change(-0.03, 0.01)),
    "helps": without_help,
    "never harms": lambda row: at(row, "in_house", "high", change(-0.03, -0.02)),
    "edges": lambda row: replace(row, clean={"edges_kept": 0.8}),
    "sharpness": lambda row: replace(row, structure={**row.structure, "mtf50": 0.1}),
    "ribs": lambda row: replace(row, structure={**row.structure, "rib_contrast": 1.0}),
    "residual": lambda row: replace(row, residual_likeness=0.6),
    "shortcuts": lambda row: replace(row, shortcuts={"change": Interval(-0.1, -0.15, -0.05)}),
    "served": lambda row: replace(row, milliseconds=50.0),
}


@pytest.mark.parametrize("key", DEMANDS)
def test_each_demand_alone_can_fail_a_method(key: str) -> None:
    faulty = FAULTY[key](method())
    assert [name for name, is_met in method_demands(faulty, NONE).items() if not is_met] == [key]
    verdict = judge_methods([NONE, faulty], {"in_house": 1.0})[1]
    assert verdict["method"] == verdict["default"] == "none"
    assert str(verdict["words"]).startswith("No method meets every demand")
    assert DEMANDS[key][1] in str(verdict["words"])


def test_films_of_other_sources_are_not_asked_for() -> None:
    alone = replace(method(), changes=Conditions(method().changes.in_house))
    assert all(method_demands(alone, NONE).values())


@pytest.mark.parametrize(("part", "words"), [("in_house", "here"), ("external", "on other sources")])
def test_a_classifier_at_chance_recommends_nothing(part: str, words: str) -> None:
    guessing = {"clean": replace(getattr(NONE.changes, part)["clean"], figures=figures(0.6, above=False))}
    none = replace(NONE, changes=replace(NONE.changes, **{part: {**getattr(NONE.changes, part), **guessing}}))
    verdict = judge_methods([none, method()], {"in_house": 0.2})[1]
    assert verdict["method"] == verdict["default"] == "none"
    assert f"on clean films {words} the classifier is no better than guessing" in str(verdict["words"])


# --- augmentation ---------------------------------------------------------------------------------------------------


def policy(name: str, here: Change | None, other: Change | None, **more: Any) -> PolicyRow:
    changes = Changes(here, other)
    more = {"in_house": figures(), **more}
    return PolicyRow(name=name, title=name.title(), words="", against_none=changes, against_default=changes, **more)


def chosen(*rows: PolicyRow) -> tuple[str | None, str]:
    candidates = [policy_candidate(row) for row in rows]
    choice = choose("augmentation", candidates[0], candidates[1:])
    return choice.chosen, choice.words


DEFAULT = policy("default", None, None)


def test_the_default_stays_unless_another_is_better_elsewhere() -> None:
    name, words = chosen(DEFAULT, policy("mixup", BETTER, change(-0.004, 0.006)))
    assert (name, words) == (
        "default",
        "Mixup scored best, but the difference is within noise; the default (Default) is kept.",
    )
    name, words = chosen(DEFAULT, policy("mixup", SAME, BETTER), policy("cutmix", SAME, SAME))
    assert name == "mixup"
    assert "Mixup is better than the default (Default): +0.0 points of AUROC" in words


def test_better_elsewhere_is_not_enough_where_it_is_worse_here() -> None:
    assert chosen(DEFAULT, policy("mixup", WORSE, BETTER))[0] == "default"


def test_without_other_sources_the_study_s_own_films_decide() -> None:
    assert chosen(DEFAULT, policy("augmix", BETTER, None))[0] == "augmix"


def test_networks_at_chance_recommend_nothing() -> None:
    guessing = {"in_house": figures(0.6, above=False)}
    standing = policy("default", None, None, **guessing)
    assert chosen(standing, policy("mixup", SAME, None, **guessing))[0] is None
    assert chosen(standing, policy("augmix", BETTER, None, **guessing))[0] is None
    assert chosen(standing, policy("augmix", BETTER, None))[0] == "augmix"
    assert chosen(standing, policy("augmix", BETTER, None, kept_random=2))[0] is None


# --- backbones ------------------------------------------------------------------------------------------------------


def network(name: str, auroc: float, milliseconds: float, lost: tuple[float, float] | None, **more: Any) -> NetworkRow:
    one = change(*lost) if lost else None
    more = {"in_house": figures(auroc), "against_best": one, "against_best_external": one, "minutes": 1.0, **more}
    return NetworkRow(
        name=name, title=name, backbone=name, size_px=224, start="frozen", milliseconds=milliseconds, **more
    )


def network_of(leading: NetworkRow, *others: NetworkRow) -> tuple[str | None, str]:
    candidates = [network_candidate(row, leading) for row in (leading, *others)]
    choice = choose("backbones", candidates[0], candidates[1:])
    return choice.chosen, choice.words


BEST = network("best", 0.95, 9.0, None)


def test_the_frontier_holds_what_nothing_as_quick_beats() -> None:
    rows = [
        BEST,
        network("quick", 0.9, 1.0, (-0.06, -0.04)),
        network("slow", 0.9, 20.0, (-0.06, -0.04)),
        network("lost", 0.0, 0.0, None, reason="no weights"),
    ]
    assert mark_frontier(rows) == [True, True, False, False]


def test_the_quickest_that_is_not_clearly_worse_is_chosen() -> None:
    near, bad = network("near", 0.94, 2.0, (-0.03, 0.01)), network("bad", 0.8, 1.0, (-0.2, -0.1))
    name, words = network_of(BEST, near, bad)
    assert name == "near"
    words = words.replace("\N{NO-BREAK SPACE}", " ")
    assert words.startswith("near is recommended: AUROC 94.0 % (92.0–96.0), 2.0 ms a film. best scored best")
    name, words = network_of(BEST, bad)
    assert name == "best"
    assert "bad is quicker, but it is clearly worse." in words
    assert network_of(BEST, network("slow", 0.95, 20.0, (-0.01, 0.01)))[0] == "best"


@pytest.mark.parametrize("parts", [("in_house",), ("external",), ("in_house", "external")])
def test_nothing_at_chance_is_recommended(parts: tuple[str, ...]) -> None:
    """The quickest is at chance, and the other hospital's wide interval does not say that it is worse."""
    guessing: Any = dict.fromkeys(parts, figures(0.56, above=False))
    quick = replace(network("quick", 0.56, 1.0, (-0.6, 0.1)), **guessing)
    assert network_of(BEST, quick)[0] == "best"
    name, words = network_of(replace(BEST, **guessing), quick)
    assert name is None
    assert words.startswith("Nothing is recommended")


def test_kept_random_weights_are_never_recommended() -> None:
    quick = network("quick", 0.94, 1.0, (-0.03, 0.01))
    assert network_of(BEST, quick)[0] == "quick"
    assert network_of(BEST, replace(quick, kept_random=1))[0] == "best"


def test_worse_in_house_is_not_excused_by_a_wide_interval_elsewhere() -> None:
    quick = network("quick", 0.8, 1.0, (-0.2, 0.05))
    assert network_of(BEST, quick)[0] == "quick"
    assert network_of(BEST, replace(quick, against_best=change(-0.2, -0.1)))[0] == "best"
