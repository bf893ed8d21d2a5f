"""Nothing at chance passes, whatever the mix of findings and however few the films."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.judge.chance import chance_of, headline_chance, judge_chance
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics

NAMES = ("a", "b", "c")
NONE = performance([], np.zeros((0, 1)), ["a"], operating_thresholds={"a": 0.5}, bootstrap=Bootstrap(num_resamples=0))


def part(truth: np.ndarray, scores: np.ndarray, num_findings: int = 3) -> Performance:
    names = NAMES[:num_findings]
    return performance(
        truth, scores, names, operating_thresholds=dict.fromkeys(names, 0.5), bootstrap=Bootstrap(num_resamples=300)
    )


def verdict(figures: Performance) -> bool | None:
    return chance_of(figures).is_above


def metrics(test_clean: Performance, test: Performance, validation: Performance | None = None) -> Metrics:
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
    words = headline_chance(metrics(NONE, figures))
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
    assert headline_chance(metrics(good, bad, bad)) == ""
    assert headline_chance(metrics(bad, good)).startswith("Clean test: not above chance")
    assert headline_chance(metrics(NONE, NONE, bad)).startswith("Validation: not above chance")
    assert headline_chance(metrics(NONE, NONE)) == ""
