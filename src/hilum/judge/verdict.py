"""Whether a figure may be believed: one rule for training, evaluation and ensembles. `hilum.report.verdict` words it.

The rule judges the headlined figure: the accuracy on the clean test films or, where none is clean, on all test films.
Each reason below speaks for itself; docs/explanation/verdict.md says the same to users.

Do not believe it, where one of these holds, in this order:
    chance          The answers are not better than guessing (`judge_chance`).
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
from dataclasses import dataclass

from hilum.judge.audit.check import Fault
from hilum.judge.in_house import EvaluationMetrics
from hilum.judge.intervals import Interval, films_for, wilson_interval
from hilum.judge.metrics import Performance
from hilum.judge.parts import PARTS, Metrics, Reason, Verdict, headline_parts, judged_parts
from hilum.text import percent, percent_text, range_text

__all__ = [
    "LEAST_FILMS",
    "MOST_WIDTH",
    "NEXT_STEP",
    "ChanceVerdict",
    "chance_of",
    "headline_chance",
    "judge_calibration",
    "judge_chance",
    "judge_figures",
]

# Above chance: two figures must both lie above chance with their whole 95 % interval: the balanced accuracy above 1 /
# K, K being the findings that the films show, and the macro AUROC above one half. The AUROC alone would praise a model
# that ranks films and still answers all of them with one finding; the balanced accuracy alone depends on a single cut.
# Plain accuracy does not serve: always answering the commonest finding raises it.
#
# Few films make a bootstrap's interval too narrow. So the balanced accuracy's lower limit is the lower one of the
# bootstrap's and Wilson's, for as many films as a plain mean over findings of unequal size is worth (Kish 1965, Survey
# sampling); and where fewer than two findings have `LEAST_FILMS` films, nothing is said at all. See also Brodersen,
# Ong, Stephan, Buhmann 2010, The balanced accuracy and its posterior distribution.

LEAST_FILMS = 5  # of each of two findings, to say anything
_AUROC_OF_CHANCE = 0.5
SHARE_KEPT = 0.5  # of what the model gains over guessing
MOST_LEAKED = 0.01  # of the test films
MOST_WIDTH = 0.2  # of the accuracy's interval
NEXT_STEP = "other-hospital"  # of a figure that may be believed
_SOURCE_KINDS = frozenset({"class-by-source", "age-confound"})
_LEAK_KINDS = frozenset({"leak", "patient-overlap"})
GOOD_ERROR, FAIR_ERROR = 0.05, 0.1
LEAST_CALIBRATION_FILMS = 100


@dataclass(frozen=True)
class ChanceVerdict:
    """Whether answers are better than chance.

    Attributes:
        is_above: True or False; None where the films are too few to say.
        words: What to tell a reader, in a sentence; empty where the answers are above chance.
    """

    is_above: bool | None
    words: str


def judge_chance(balanced_accuracy: Interval, auroc: Interval, counts: Sequence[int]) -> ChanceVerdict:
    """Return whether answers are better than chance.

    Args:
        balanced_accuracy: With its 95 % interval.
        auroc: The macro AUROC with its interval.
        counts: How many films show each finding; those without films do not count.
    """
    present = [count for count in counts if count]
    if sum(count >= LEAST_FILMS for count in present) < 2:
        return ChanceVerdict(
            None,
            f"Too few films to tell whether this is above chance: that takes {LEAST_FILMS} films of each of two "
            "findings.",
        )
    num_findings, chance = len(present), 1 / len(present)
    worth = num_findings**2 / sum(1 / count for count in present)  # films that the plain mean is worth
    value = balanced_accuracy.value or 0.0
    limits = (balanced_accuracy.low, wilson_interval(min(value, 1.0) * worth, worth)[0])
    answers = min(limit for limit in limits if limit is not None) > chance
    ranks = auroc.low is not None and auroc.low > _AUROC_OF_CHANCE
    if answers and ranks:
        return ChanceVerdict(True, "")
    told = (
        f"balanced accuracy {percent_text(value)} of {num_findings} findings (95 % interval "
        f"{range_text(balanced_accuracy) or 'not known'}; chance {percent(chance)}), AUROC {percent(auroc.value)} "
        f"({range_text(auroc) or 'interval not known'}; chance {percent(_AUROC_OF_CHANCE)})"
    )
    if ranks:
        return ChanceVerdict(False, f"Answers not above chance, though films are ranked better than chance: {told}.")
    return ChanceVerdict(False, f"Not above chance: {told}.")


def chance_of(figures: Performance) -> ChanceVerdict:
    """Return whether the answers on one part of the films are better than chance."""
    return judge_chance(figures.balanced_accuracy, figures.auroc_macro, figures.confusion.num_with)


def headline_chance(metrics: Metrics) -> str:
    """Return a sentence where the part that is headlined is not above chance, or too small to tell; else nothing.

    Args:
        metrics: What metrics.json holds.
    """
    judged = judged_parts(metrics)
    if not judged:
        return ""
    name = headline_parts(judged)[0]
    words = chance_of(judged[name]).words
    return f"{PARTS[name][0]}: {words[0].lower()}{words[1:]}" if words else ""


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
