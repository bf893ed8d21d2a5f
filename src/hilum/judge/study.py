"""The figures of a study's variants, and by how much they differ on the same films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import performance
from hilum.judge.paired import accuracy_difference, delong, macro_f1_difference
from hilum.judge.verdict import judge_chance
from hilum.text import points, points_range

__all__ = [
    "MARGIN",
    "Change",
    "Changes",
    "StudyFigures",
    "change_of",
    "figures_of_answers",
    "flip_words",
    "judge_change",
    "study_faults",
]

MARGIN = 0.01  # of macro AUROC: what a change may cost and still count as no worse
_VERDICTS = {
    "better": "better",
    "no worse": "no worse",
    "open": "unclear",
    "slightly worse": "worse, by less than a point",
    "worse": "worse",
}


@dataclass(frozen=True)
class StudyFigures:
    """The figures of a variant on one set of films; ``above_chance`` is None if the films are too few to say."""

    n: int
    accuracy: Interval
    macro_f1: Interval
    auroc: Interval
    balanced_accuracy: Interval
    above_chance: bool | None


@dataclass(frozen=True)
class Change:
    """By how much a variant's figures are higher than another's, as fractions.

    Attributes:
        n: Films.
        auroc: Difference in macro AUROC.
        accuracy: Difference in accuracy.
        macro_f1: Difference in macro-F1.
        verdict: ``better`` or ``worse`` (``slightly worse``: by less than `MARGIN`) if the whole interval of the AUROC
            lies on one side of 0; ``no worse`` if its lower limit is above minus `MARGIN`; else ``open``.
        identical: Whether both gave the same probabilities to the last digit.
    """

    n: int
    auroc: Interval
    accuracy: Interval
    macro_f1: Interval
    verdict: str
    identical: bool = False

    @property
    def words(self) -> str:
        """The verdict for a reader."""
        return "the same answers" if self.identical else _VERDICTS[self.verdict]

    @property
    def told(self) -> str:
        """The change in points and its verdict."""
        return f"{self.in_points}, {self.words}"

    @property
    def in_points(self) -> str:
        """The change in points."""
        return f"{points(self.auroc.value)} points of AUROC ({points_range(self.auroc)})"

    @property
    def is_loss(self) -> bool:
        """Whether the variant is worse beyond noise."""
        return self.verdict in {"worse", "slightly worse"}


@dataclass(frozen=True)
class Changes:
    """A variant's change on the study's films and on those of other sources; None where there is none."""

    in_house: Change | None = None
    external: Change | None = None

    @property
    def decisive(self) -> Change | None:
        """The change that decides: on films of other sources if there are any."""
        return self.external or self.in_house


def change_of(
    truth: NDArray[np.int64], first: NDArray[np.float64], second: NDArray[np.float64], groups: NDArray[np.int64]
) -> Change:
    """Return by how much the second variant's figures are higher.

    Args:
        truth: (n,) int.
        first: (n, K) probabilities of the variant that is compared with.
        second: (n, K) of the variant in question, on the same films.
        groups: (n,) films of equal number are not independent.
    """
    present = np.unique(truth)
    areas = delong(truth[:, np.newaxis] == present, first[:, present], second[:, present], groups)
    auroc = Interval() if areas is None else areas.difference
    if auroc.low is None:  # no film moved: nothing is known beyond that
        auroc = Interval(auroc.value, auroc.value, auroc.value)
    answers = first.argmax(axis=1), second.argmax(axis=1)
    return Change(
        n=len(truth),
        auroc=auroc,
        accuracy=accuracy_difference(answers[0] == truth, answers[1] == truth, groups),
        macro_f1=macro_f1_difference(truth, *answers, groups),
        verdict=judge_change(auroc),
        identical=bool(np.array_equal(first, second)),
    )


def judge_change(auroc: Interval) -> str:
    """Return the verdict on a change in macro AUROC: see `Change`."""
    low, high = auroc.low, auroc.high
    if low is None or high is None:
        return "open"
    if low > 0:
        return "better"
    if high < 0:
        return "slightly worse" if low > -MARGIN else "worse"
    return "no worse" if low > -MARGIN else "open"


def flip_words(change: Change, where: str) -> str:
    """Return in a sentence whether mirroring films costs anything.

    Args:
        change: From the default without mirroring to the default.
        where: On which films.
    """
    if change.identical:
        return f"Mirroring films had no effect {where}: the answers with and without are the same."
    answer = {"better": "helps", "no worse": "costs nothing", "open": "may or may not cost something"}
    return f"Mirroring films {answer.get(change.verdict, 'costs something')} {where}: {change.in_points}."


def figures_of_answers(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], groups: NDArray[np.int64], findings: Sequence[str]
) -> StudyFigures:
    """Return the figures of answers (n, K)."""
    judged = performance(truth, probabilities, findings, groups=groups, bootstrap=Bootstrap(num_resamples=500))
    balanced, auroc = judged.balanced_accuracy, judged.auroc_macro
    above = judge_chance(balanced, auroc, np.bincount(truth, minlength=len(findings)).tolist()).is_above
    return StudyFigures(judged.n, judged.accuracy, judged.macro_f1, auroc, balanced, above)


def study_faults(
    titles: Mapping[str, str], kept_random: Mapping[str, int], answers: Mapping[str, NDArray[np.float64]]
) -> list[str]:
    """Return what makes a comparison worthless: networks that learned nothing, variants with the same answers.

    Args:
        titles: Name of a variant to its title.
        kept_random: Name to how many of its networks kept their random weights.
        answers: Name to its probabilities (n, K), on the same films.
    """
    faults = [
        f"{titles[name]}: {count} of its networks kept the random weights they began with. They learned nothing, so "
        "these figures say nothing about it. Train for more epochs."
        for name, count in kept_random.items()
        if count
    ]
    alike: dict[bytes, list[str]] = {}
    for name, probabilities in answers.items():
        alike.setdefault(np.ascontiguousarray(probabilities).tobytes(), []).append(titles[name])
    faults += [
        f"{', '.join(names[:-1])} and {names[-1]} gave the same answers to the last digit. What differs between them "
        "had no effect on the weights that were kept, so this study cannot compare them."
        for names in alike.values()
        if len(names) > 1
    ]
    return faults
