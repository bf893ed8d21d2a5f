"""The figures of a study's variants, and by how much they differ on the same films.

The rows are what study.json has of each variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.figures import left_out_if_none
from hilum.judge.compare.paired import accuracy_difference, delong, macro_f1_difference
from hilum.judge.image_quality import Quality
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import performance
from hilum.judge.verdict import judge_chance
from hilum.text import points, points_range

__all__ = [
    "MARGIN",
    "AugmentationResult",
    "BackbonesResult",
    "Change",
    "Changes",
    "Condition",
    "Conditions",
    "FilmCounts",
    "MethodRow",
    "NetworkRow",
    "NoiseResult",
    "PolicyGroup",
    "PolicyRow",
    "StudyFigures",
    "StudyResult",
    "change_of",
    "figures_of_answers",
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


# --- figures --------------------------------------------------------------------------------------------------------


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
        return f"{points(self.auroc.value)} points of AUROC ({points_range(self.auroc)}), {self.words}"

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


@dataclass(frozen=True, kw_only=True)
class _TrainedRow:
    name: str
    title: str
    in_house: StudyFigures | None = None
    external: StudyFigures | None = None
    minutes: float | None = None
    num_weights: int | None = None
    kept_random: int | None = None

    @property
    def is_proven(self) -> bool:
        """Whether it may be chosen: above chance wherever it was judged, with weights that it learned."""
        return all(one.above_chance is True for one in (self.in_house, self.external) if one) and not self.kept_random

    @property
    def auroc(self) -> Interval:
        """The AUROC that decides: on films of other sources if there are any."""
        figures = self.external or self.in_house
        return figures.auroc if figures else Interval()


@dataclass(frozen=True, kw_only=True)
class PolicyRow(_TrainedRow):
    """An augmentation policy, as study.json has it."""

    words: str
    against_none: Changes
    against_default: Changes


@dataclass(frozen=True, kw_only=True)
class NetworkRow(_TrainedRow):
    """A network, as study.json has it; ``reason`` says why it could not be judged, ``best`` that none beats it."""

    backbone: str
    size_px: int
    start: str
    reason: str = ""
    megabytes: float | None = None
    milliseconds: float | None = None
    best: bool = False
    against_best: Change | None = None
    against_best_external: Change | None = None


@dataclass(frozen=True)
class Condition:
    """A method on films of one dose: its figures, and its change against no method.

    Attributes:
        figures: With the method as an option: films in which little noise is found are left alone.
        option: The change, likewise.
        test_only: The change if the method is applied to every film that is answered.
        both: The change if the head has learned from such films too.
    """

    figures: StudyFigures
    option: Change | None = left_out_if_none()
    test_only: Change | None = left_out_if_none()
    both: Change | None = left_out_if_none()


@dataclass(frozen=True)
class Conditions:
    """A method's conditions by dose, on the study's films and on those of other sources."""

    in_house: Mapping[str, Condition]
    external: Mapping[str, Condition] | None = None


@dataclass(frozen=True, kw_only=True)
class MethodRow(Quality):
    """A way to remove noise, as study.json has it."""

    name: str
    title: str
    settings: str
    kind: str
    served: bool
    changes: Conditions
    shortcuts: Mapping[str, Interval]
    verdict: Mapping[str, object] | None = left_out_if_none()


@dataclass(frozen=True)
class FilmCounts:
    """How many films one set holds.

    Attributes:
        name: The set's name.
        n: Films that are used.
        groups: Groups of twins and of films of one patient.
        findings: Finding to number of films.
        left_out: Reason to number of films that are not used.
    """

    name: str
    n: int
    groups: int
    findings: Mapping[str, int]
    left_out: Mapping[str, int] | None = left_out_if_none()


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What study.json holds of every kind of study.

    Attributes:
        study: Its kind.
        hilum: The version.
        data: The training part of the data set.
        external: Films of other sources; None without such.
        seeds: How often the cross-validation was made.
        folds: Of the cross-validation.
        verdict: ``words``, ``next`` (what to do next), and the names of what was chosen.
        faults: What makes a comparison worthless, in sentences.
        remarks: How the variants were judged, in sentences.
    """

    study: str
    hilum: str
    data: FilmCounts
    external: FilmCounts | None
    folds: int
    verdict: Mapping[str, object]
    seeds: int = 1
    faults: Sequence[str] = ()
    remarks: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class NoiseResult(StudyResult):
    """What study.json holds of a study of noise; shares and noise by set of films and dose."""

    backbone: str
    size_px: int
    doses: Mapping[str, float]
    noise: Mapping[str, Mapping[str, float]]
    share_noisy: Mapping[str, float]
    least_noise: float
    methods: Sequence[MethodRow]
    noise_in_training: Mapping[str, Mapping[str, Change]]


@dataclass(frozen=True, kw_only=True)
class PolicyGroup:
    """The policies of one network, how it was trained, and the verdict on them."""

    how: str
    policies: Sequence[PolicyRow]
    verdict: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class AugmentationResult(StudyResult):
    """What study.json holds of a study of augmentation, by network."""

    backbones: Mapping[str, PolicyGroup]


@dataclass(frozen=True, kw_only=True)
class BackbonesResult(StudyResult):
    """What study.json holds of a study of networks."""

    networks: Sequence[NetworkRow]


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
