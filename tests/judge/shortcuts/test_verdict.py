"""The verdict on shortcuts goes by how films are ranked, and says when films are too few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.data.folder import Dataset
from hilum.data.scan import Scan
from hilum.judge.audit.check import AuditData, run_checks
from hilum.judge.intervals import Interval
from hilum.judge.shortcuts.occlusion import AsAnswered, CueFigures
from hilum.judge.shortcuts.verdict import CHECKS, judge_cues


def cues(**limits: tuple[float, float]) -> dict[str, CueFigures]:
    known = {
        "whole": (0.8, 0.9),
        "lungs_hidden": (0.4, 0.6),
        "border_only": (0.4, 0.6),
        "thumbnail_8": (0.4, 0.6),
    } | limits
    right, none = Interval(0.1, 0.0, 0.2), Interval()
    return {
        key: CueFigures(right, right, none, AsAnswered(right, none), Interval((low + high) / 2, low, high), none)
        for key, (low, high) in known.items()
    }


def test_a_border_that_ranks_films_is_a_shortcut_whatever_is_answered() -> None:
    found = judge_cues(cues(border_only=(0.73, 0.99)), [20, 20])
    assert (found.code, found.above_chance) == ("shortcut", ("border_only",))
    assert "from the border alone (AUROC 86.0\N{NO-BREAK SPACE}%, 73.0–99.0)" in found.words


def test_several_ways_are_listed() -> None:
    found = judge_cues(cues(border_only=(0.6, 0.9), thumbnail_8=(0.6, 0.9)), [20, 20])
    assert found.above_chance == ("border_only", "thumbnail_8")
    assert " and from 8 × 8 pixels" in found.words


def test_none_is_found_only_where_films_can_tell() -> None:
    assert judge_cues(cues(), [20, 20]).code == "none-found"
    found = judge_cues(cues(lungs_hidden=(0.3, 0.75)), [20, 20])
    assert found.code == "too-few"
    assert "with both lungs hidden it may be as high as 75.0\N{NO-BREAK SPACE}%" in found.words


def test_a_model_at_chance_has_no_score_to_rest_on_a_shortcut() -> None:
    assert "what one wants to see" in judge_cues(cues(), [20, 20]).words
    found = judge_cues(cues(whole=(0.5, 0.6)), [20, 20])
    assert (found.code, found.above_chance) == ("none-found", ())
    assert "whole films no better than chance (AUROC 55.0\N{NO-BREAK SPACE}%, 50.0–60.0)" in found.words
    assert "what one wants to see" not in found.words


@pytest.mark.parametrize("counts", [[4, 100], [100, 0], [100], []])
def test_few_films_of_a_finding_give_no_verdict(counts: list[int]) -> None:
    found = judge_cues(cues(border_only=(0.9, 1.0)), counts)
    assert (found.code, found.above_chance) == ("too-few", ())
    assert "5 films of each of two findings" in found.words


@pytest.mark.parametrize(
    ("limits", "counts", "status"),
    [
        ({"border_only": (0.73, 0.99)}, [20, 20], "failed"),
        ({}, [20, 20], "passed"),
        ({}, [2, 2], "not_applicable"),
        (None, [], "not_applicable"),
    ],
)
def test_a_shortcut_is_a_check_that_needs_a_model(limits: dict | None, counts: list[int], status: str) -> None:
    verdict = None if limits is None else judge_cues(cues(**limits), counts)
    films = Scan(Dataset(Path(), "set", ()), (), (), np.zeros(0, np.int64), ())
    results = run_checks(AuditData(films, (), shortcut=verdict), CHECKS)
    (outcome,) = results.outcomes
    assert outcome.status == status
    if status == "failed":
        assert verdict is not None
        assert [(fault.severity, fault.message) for fault in results.faults] == [("warning", verdict.words)]
    if verdict is None:
        assert "`hilum evaluate --shortcuts`" in outcome.why
