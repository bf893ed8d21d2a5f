"""Whether a model is above chance: one rule for training, evaluation, ensembles, studies and searches.

Two figures must both lie above chance with their whole 95 % interval: the balanced accuracy above 1 / K, K being the
findings that the films show, and the macro AUROC above one half. The AUROC alone would praise a model that ranks films
and still answers all of them with one finding; the balanced accuracy alone depends on a single cut. Plain accuracy does
not serve: always answering the commonest finding raises it.

Few films make a bootstrap's interval too narrow. So the balanced accuracy's lower limit is the lower one of the
bootstrap's and Wilson's, for as many films as a plain mean over findings of unequal size is worth (Kish); and where
fewer than two findings have `LEAST_FILMS` films, nothing is said at all.

Sources:
    Brodersen, Ong, Stephan, Buhmann 2010, The balanced accuracy and its posterior distribution.
    Kish 1965, Survey sampling (effective sample size).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.judge.intervals import Interval, wilson_interval
from hilum.judge.metrics import Performance
from hilum.judge.parts import PARTS, Metrics, headline_parts, judged_parts
from hilum.text import percent, percent_text, range_text

__all__ = ["LEAST_FILMS", "ChanceVerdict", "chance_of", "headline_chance", "judge_chance"]

LEAST_FILMS = 5  # of each of two findings, to say anything
_AUROC_OF_CHANCE = 0.5


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
