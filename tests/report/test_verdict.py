"""The verdict in words: the figure, whether to believe it and why, what to do next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hilum.figures import to_json
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics, Reason, Verdict
from hilum.report.verdict import saved_verdict_lines, verdict_words


def figures(n: int, wrong: int = 1) -> Performance:
    truth = np.arange(n) % 2
    answers = np.where(np.arange(n) < wrong, 1 - truth, truth)
    return performance(
        truth,
        np.eye(2)[answers],
        ("Normal", "Covid-19"),
        operating_thresholds={"Normal": 0.5, "Covid-19": 0.5},
        bootstrap=Bootstrap(num_resamples=20),
    )


def metrics(verdict: Verdict | None, **changes: Any) -> Metrics:
    return Metrics(**{"test": figures(66), "test_clean": figures(57), "verdict": verdict, **changes})


def test_a_shortcut_is_said_in_the_same_breath_as_the_accuracy() -> None:
    reasons = (Reason("lungs-hidden", Interval(0.912, 0.8, 0.96)), Reason("leak", n=9))
    first, second = verdict_words(metrics(Verdict(False, reasons, "lungs-hidden"))).lines
    assert first.replace("\N{NO-BREAK SPACE}", " ") == (
        "The model is right on 65 of 66 test films (56 of 57 without those that are also in train). Do not believe "
        "this figure yet: with the lungs hidden the model is still right on 91 % of the films; and 9 test films are "
        "also in train (a twin or the same patient)."
    )
    assert second.startswith("Next: Test the model on films of another hospital")


def test_a_figure_that_may_be_believed() -> None:
    reasons = (Reason("above-chance"), Reason("needs-lungs", Interval(0.41, 0.3, 0.5)))
    words = verdict_words(metrics(Verdict(True, reasons, "other-hospital"), test=figures(57)))
    assert words.figure == "The model is right on 56 of 57 test films."
    assert words.belief.replace("\N{NO-BREAK SPACE}", " ") == (
        "You may believe this figure for films like these: the model is better than guessing; and with the lungs "
        "hidden it falls to 41 %."
    )


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason("few-films", Interval(0.8, 0.6, 0.95), 250), "too few (95 % interval 60–95)"),
        (Reason("few-films"), "they are too few"),
        (Reason("no-test"), "training had a part"),
        (Reason("not-measured"), "was not measured"),
    ],
)
def test_films_that_cannot_say(reason: Reason, words: str) -> None:
    said = verdict_words(metrics(Verdict(None, (reason,), reason.code)))
    assert said.belief.replace("\N{NO-BREAK SPACE}", " ").startswith(
        "These films cannot say whether to believe this figure: "
    )
    assert words in said.belief.replace("\N{NO-BREAK SPACE}", " ")
    assert "about 250 give" in said.next_step or reason.n is None


def test_without_films_and_without_a_test() -> None:
    none = figures(0)
    assert verdict_words(Metrics(none, none)).lines[0] == "No film was judged, so there is no result."
    assert verdict_words(Metrics(none, none, None, figures(40))).figure == (
        "The model is right on 39 of 40 training films in cross-validation."
    )
    assert verdict_words(Metrics(none, none, figures(40))).figure == "The model is right on 39 of 40 validation films."


def test_a_model_that_guesses_is_not_to_be_used() -> None:
    guessing = figures(60, wrong=30)
    words = verdict_words(Metrics(guessing, guessing))
    assert words.belief.startswith("Do not use this model: it is not surely better than guessing (balanced accuracy 50")
    assert words.believed is False


def test_the_words_of_a_model_file() -> None:
    found = metrics(Verdict(False, (Reason("thumbnail", Interval(0.94)), Reason("of-tomorrow")), "thumbnail"))
    assert saved_verdict_lines(to_json(found)) == verdict_words(found).lines
    assert saved_verdict_lines({}) == ()
    assert saved_verdict_lines({"verdict": {"believed": True}}) == ()
    assert saved_verdict_lines({"verdict": 3}) == ()
