"""Whether a figure may be believed: one rule for training, evaluation and ensembles. `hilum.report.verdict` words it.

The rule judges the headlined figure: the accuracy on the clean test films or, where none is clean, on all test films.
Each reason below speaks for itself; docs/explanation/verdict.md says the same to users.

Do not believe it, where one of these holds, in this order:
    chance          The answers are not better than guessing (`hilum.judge.chance`).
    lungs-hidden    With the lungs hidden, the model keeps at least half of what it gains over guessing.
    thumbnail       A simple model that sees 8 x 8 pixels of each film reaches at least half of that.
    leak            More than 1 % of the test films have a twin or a known patient in train.
    sources         Findings come from different sources or ages: an audit fault of severity error.
    data            Other audit faults of severity error.
    worse           On these films the model is surely worse than in house.
These films cannot say, where none of those holds but one of these:
    nothing         No film was judged.
    few-films       Fewer than 5 films of each of two findings, or a 95 % interval of more than 20 points.
    no-test         There is no test film: the figure is of films that training had a part in.
    not-measured    It is not known what is left with the lungs hidden.
Else it may be believed, for films like these.
"""

from __future__ import annotations

from collections.abc import Sequence

from hilum.judge.audit.check import Fault
from hilum.judge.chance import chance_of
from hilum.judge.external.figures import EvaluationMetrics
from hilum.judge.intervals import Interval, films_for
from hilum.judge.metrics import Performance
from hilum.judge.parts import Metrics, Reason, Verdict, headline_parts, judged_parts

__all__ = ["MOST_WIDTH", "NEXT_STEP", "judge_calibration", "judge_figures"]

SHARE_KEPT = 0.5  # of what the model gains over guessing
MOST_LEAKED = 0.01  # of the test films
MOST_WIDTH = 0.2  # of the accuracy's interval
NEXT_STEP = "other-hospital"  # of a figure that may be believed
_SOURCE_KINDS = frozenset({"class-by-source", "age-confound"})
_LEAK_KINDS = frozenset({"leak", "patient-overlap"})

GOOD_ERROR, FAIR_ERROR = 0.05, 0.1
LEAST_CALIBRATION_FILMS = 100


def judge_figures(metrics: Metrics, faults: Sequence[Fault] = ()) -> Verdict:
    """Return whether the headlined figure of metrics.json may be believed.

    Args:
        metrics: The figures; a verdict in them is passed over.
        faults: What the audit found in the films.
    """
    judged = judged_parts(metrics)
    if not judged:
        return Verdict(None, (Reason("nothing"),), "nothing")
    part = headline_parts(judged)[0]
    figures = judged[part]
    above = chance_of(figures).is_above
    unknown = _unknown(metrics, part, figures, is_few=above is None)
    if above is None:
        return Verdict(None, unknown, unknown[0].code)
    against = [
        *([Reason("chance")] if not above else []),
        *_shortcuts(metrics, figures),
        *_leak(metrics),
        *_faults(faults),
        *([Reason("worse")] if _is_worse(metrics) else []),
    ]
    if against:
        return Verdict(False, (*against, *unknown), against[0].code)
    if unknown:
        return Verdict(None, unknown, unknown[0].code)
    return Verdict(True, (Reason("above-chance"), Reason("needs-lungs", metrics.lungs_hidden)), NEXT_STEP)


def judge_calibration(error: float | None, n: int) -> str:
    """Return how good a calibration error is: good, fair, poor, or too-few where the films cannot say.

    Args:
        error: In [0, 1]; None where there is no film.
        n: The films that it was measured on. On few films the error of a perfect calibration is large too.
    """
    if error is None or n < LEAST_CALIBRATION_FILMS:
        return "too-few"
    return "good" if error < GOOD_ERROR else "fair" if error < FAIR_ERROR else "poor"


def _shortcuts(metrics: Metrics, figures: Performance) -> list[Reason]:
    """Return the reasons that lungs are not needed."""
    guessing = max(figures.confusion.num_with) / figures.n
    half = guessing + SHARE_KEPT * ((figures.accuracy.value or 0.0) - guessing)

    def is_kept(scored: Interval | None) -> bool:
        return bool(scored and (scored.value or 0.0) >= half and (scored.low or 0.0) > guessing)

    named = {"lungs-hidden": metrics.lungs_hidden, "thumbnail": metrics.thumbnail}
    return [Reason(code, scored) for code, scored in named.items() if is_kept(scored)]


def _leak(metrics: Metrics) -> list[Reason]:
    num_leaked = metrics.test.n - metrics.test_clean.n
    return [Reason("leak", n=num_leaked)] if num_leaked > MOST_LEAKED * metrics.test.n else []


def _faults(faults: Sequence[Fault]) -> list[Reason]:
    """Return the reasons that the audit's errors are; those of leaks are counted on the test films."""
    kinds = [fault.kind for fault in faults if fault.severity == "error" and fault.kind not in _LEAK_KINDS]
    num_sources = sum(kind in _SOURCE_KINDS for kind in kinds)
    counts = {"sources": num_sources, "data": len(kinds) - num_sources}
    return [Reason(code, n=count) for code, count in counts.items() if count]


def _is_worse(metrics: Metrics) -> bool:
    compared = metrics.in_house if isinstance(metrics, EvaluationMetrics) else None
    high = compared.figures["accuracy"].change.high if compared else None
    return high is not None and high < 0


def _unknown(metrics: Metrics, part: str, figures: Performance, *, is_few: bool) -> tuple[Reason, ...]:
    """Return the reasons why nothing can be said."""
    accuracy = figures.accuracy
    width = (accuracy.high or 1.0) - (accuracy.low or 0.0)
    hidden = metrics.lungs_hidden
    return (
        *([Reason("few-films", accuracy, films_for(accuracy.value or 0.0))] if is_few or width > MOST_WIDTH else []),
        *([Reason("no-test")] if not part.startswith("test") else []),
        *([Reason("not-measured")] if hidden is None or hidden.value is None else []),
    )
