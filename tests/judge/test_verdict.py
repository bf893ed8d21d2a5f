"""Whether a figure may be believed: each reason alone decides, and none is found where none is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hilum.judge.audit.check import Fault
from hilum.judge.in_house import Change, EvaluationMetrics, InHouseComparison, JudgedPart
from hilum.judge.intervals import Bootstrap, Interval, proportion
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics
from hilum.judge.verdict import chance_of, headline_chance, judge_calibration, judge_chance, judge_figures

FINDINGS = ("Normal", "Covid-19")


def figures(right: int, n: int) -> Performance:
    truth = np.arange(n) % 2
    answers = truth.copy()
    answers[right:] = 1 - answers[right:]
    scores = np.full((n, 2), 0.1)
    scores[np.arange(n), answers] = 0.9
    return performance(
        truth,
        scores,
        FINDINGS,
        operating_thresholds=dict.fromkeys(FINDINGS, 0.5),
        bootstrap=Bootstrap(num_resamples=50),
    )


def metrics(**changes: Any) -> Metrics:
    test = figures(95, 100)
    return replace(Metrics(test, test, lungs_hidden=proportion(55, 100)), **changes)


def codes(found: Metrics, *faults: Fault) -> tuple[bool | None, list[str]]:
    verdict = judge_figures(found, faults)
    return verdict.believed, [reason.code for reason in verdict.reasons]


def test_a_figure_without_a_reason_against_it_may_be_believed() -> None:
    verdict = judge_figures(metrics(thumbnail=proportion(60, 100)), [Fault("border-only", "warning", "Some.")])
    assert (verdict.believed, verdict.next_step) == (True, "other-hospital")
    assert [reason.code for reason in verdict.reasons] == ["above-chance", "needs-lungs"]


@pytest.mark.parametrize(
    ("changes", "faults", "code"),
    [
        ({"test": figures(50, 100), "test_clean": figures(50, 100)}, (), "chance"),
        ({"lungs_hidden": proportion(73, 100)}, (), "lungs-hidden"),  # half of the way from 50 to 95 %
        ({"thumbnail": proportion(90, 100)}, (), "thumbnail"),
        ({"test": figures(97, 102)}, (), "leak"),
        ({}, (Fault("class-by-source", "error", "Sizes."),), "sources"),
        ({}, (Fault("label-conflict", "error", "Twins."),), "data"),
    ],
)
def test_each_reason_alone_forbids_belief(changes: dict[str, Any], faults: tuple[Fault, ...], code: str) -> None:
    assert codes(metrics(**changes), *faults) == (False, [code])
    assert judge_figures(metrics(**changes), faults).next_step == code


def test_little_left_without_lungs_and_one_leak_in_many_are_no_reasons() -> None:
    assert codes(metrics(lungs_hidden=proportion(72, 100)))[0] is True
    assert codes(metrics(lungs_hidden=Interval(0.8, 0.4, 0.99)))[0] is True  # it may be guessing
    assert codes(metrics(test=figures(96, 101)))[0] is True
    assert codes(metrics(), Fault("leak", "error", "Counted on the test films."))[0] is True


def test_a_model_that_is_worse_than_in_house_is_not_believed() -> None:
    test, part = figures(95, 100), JudgedPart("test", 100)
    change = Change(Interval(0.99), Interval(0.95), Interval(-0.04, -0.08, -0.01))
    compared = InHouseComparison(part, part, (), {"accuracy": change}, {})
    found = EvaluationMetrics(test, test, lungs_hidden=proportion(55, 100), in_house=compared)
    assert codes(found) == (False, ["worse"])


def test_few_films_cannot_say() -> None:
    none = figures(0, 0)
    assert codes(metrics(test=figures(30, 36), test_clean=figures(30, 36))) == (None, ["few-films"])
    assert judge_figures(metrics(test=figures(30, 36), test_clean=figures(30, 36))).reasons[0].n == 213
    assert codes(Metrics(figures(8, 8), figures(8, 8))) == (None, ["few-films", "not-measured"])
    assert codes(Metrics(none, none)) == (None, ["nothing"])
    assert codes(Metrics(none, none, figures(95, 100))) == (None, ["no-test", "not-measured"])
    leaked = metrics(test=figures(36, 36), test_clean=figures(30, 30), lungs_hidden=proportion(30, 30))
    assert codes(leaked) == (False, ["lungs-hidden", "leak"])


@pytest.mark.parametrize(
    ("error", "n", "grade"),
    [(0.049, 100, "good"), (0.05, 100, "fair"), (0.1, 100, "poor"), (0.01, 99, "too-few"), (None, 500, "too-few")],
)
def test_a_calibration_error_has_a_grade(error: float | None, n: int, grade: str) -> None:
    assert judge_calibration(error, n) == grade


NAMES = ("a", "b", "c")
NONE = performance([], np.zeros((0, 1)), ["a"], operating_thresholds={"a": 0.5}, bootstrap=Bootstrap(num_resamples=0))


def part(truth: np.ndarray, scores: np.ndarray, num_findings: int = 3) -> Performance:
    names = NAMES[:num_findings]
    return performance(
        truth, scores, names, operating_thresholds=dict.fromkeys(names, 0.5), bootstrap=Bootstrap(num_resamples=300)
    )


def verdict(figures: Performance) -> bool | None:
    return chance_of(figures).is_above


def parts_of(test_clean: Performance, test: Performance, validation: Performance | None = None) -> Metrics:
    return Metrics(test=test, test_clean=test_clean, validation=validation)


def drawn(counts: tuple[int, ...], lead: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    truth = np.repeat(np.arange(len(counts)), counts)
    scores = np.random.default_rng(seed).normal(size=(len(truth), len(counts))) + lead * np.eye(len(counts))[truth]
    powers = np.exp(scores)
    return truth, powers / powers.sum(axis=1, keepdims=True)


def test_a_model_that_tells_findings_apart_is_above_chance() -> None:
    assert verdict(part(*drawn((30, 30, 30), 2.0))) is True
    assert verdict(part(*drawn((8, 8, 8), 5.0))) is True


@pytest.mark.parametrize("counts", [(20, 20), (40, 5), (30, 30, 30), (6, 7, 80)])
def test_guessing_is_rarely_taken_for_more(counts: tuple[int, ...]) -> None:
    above = [verdict(part(*drawn(counts, 0.0, seed), len(counts))) for seed in range(60)]
    assert sum(one is True for one in above) <= 3


def test_the_commonest_finding_s_share_is_no_merit() -> None:
    truth = np.repeat([0, 1], [90, 10])
    scores = np.tile([0.9, 0.1], (100, 1)) + np.random.default_rng(0).normal(0, 0.01, (100, 2))
    figures = part(truth, np.clip(scores, 0, 1), 2)
    assert (figures.accuracy.low or 0) > 0.5
    assert verdict(figures) is False


def test_ranking_alone_does_not_answer() -> None:
    truth, scores = drawn((40, 40, 40), 2.0)
    scores = scores * [1.0, 1.0, 1e-4]
    scores[:, :2] *= [1.0, 1e-4]
    figures = part(truth, scores / scores.sum(axis=1, keepdims=True))
    assert (figures.auroc_macro.low or 0) > 0.7
    words = headline_chance(parts_of(NONE, figures))
    assert words.startswith("Test as given: answers not above chance, though films are ranked better than chance")
    assert "of 3 findings" in words and "chance 33.3" in words


def test_too_few_films_say_nothing() -> None:
    for counts in ((4, 40, 0), (4, 4, 4), (50, 0, 0), (0, 0, 0)):
        assert verdict(part(*drawn(counts, 5.0))) is None
    assert "Too few films" in judge_chance(Interval(1.0, 0.9, 1.0), Interval(1.0, 0.9, 1.0), [4, 9]).words


def test_few_films_all_right_are_judged_by_wilson() -> None:
    """Six of six and the bootstrap's interval has no width; what they are worth does not prove more than 61 %."""
    sure = Interval(1.0, 1.0, 1.0)
    assert judge_chance(sure, sure, [5, 5]).is_above is True
    shaky = Interval(0.7, 0.55, 0.8)
    assert judge_chance(shaky, sure, [5, 5]).is_above is False
    assert judge_chance(shaky, sure, [200, 200]).is_above is True


def test_the_part_that_is_believed_most_decides() -> None:
    good, bad = part(*drawn((30, 30, 30), 3.0)), part(*drawn((30, 30, 30), 0.0))
    assert headline_chance(parts_of(good, bad, bad)) == ""
    assert headline_chance(parts_of(bad, good)).startswith("Clean test: not above chance")
    assert headline_chance(parts_of(NONE, NONE, bad)).startswith("Validation: not above chance")
    assert headline_chance(parts_of(NONE, NONE)) == ""
