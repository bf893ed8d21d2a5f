"""Figures with their uncertainty: what metrics.json says of one part of the films.

A figure that the films cannot give (a finding without films, one class only) is None, never 0 and never 1. numpy only;
the tests check every figure against scikit-learn.

Intervals are 95 %: Wilson's for accuracy, else the percentile interval of a grouped bootstrap, in which whole groups
(twins, one patient's films) are drawn with replacement. Resamples in which a figure is undefined are left out of its
interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError
from hilum.findings import NORMAL
from hilum.judge.curves import checked_scores, expected_calibration_error
from hilum.judge.intervals import Bootstrap, Interval, proportion
from hilum.judge.tally import OVERALL, PER_FINDING, Measured, Tally, mean_f1

__all__ = [
    "Confusion",
    "FindingFigures",
    "Hierarchy",
    "Labels",
    "NormalOrNot",
    "Performance",
    "f1_columns",
    "macro_f1",
    "occurring",
    "performance",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FindingFigures:
    """The figures of one finding: against all others, each with its interval.

    Attributes:
        precision: Of the answer, the most probable finding.
        recall: Of the answer.
        f1: Of the answer.
        auroc: Of the finding's probability.
        sensitivity: At the operating threshold.
        specificity: At the operating threshold.
        operating_threshold: The probability from which the finding counts as present.
        n: How many films show it.
    """

    precision: Interval
    recall: Interval
    f1: Interval
    auroc: Interval
    sensitivity: Interval
    specificity: Interval
    operating_threshold: float
    n: int


@dataclass(frozen=True)
class Confusion:
    """Which findings were taken for which.

    Attributes:
        findings: The K names.
        counts: K rows of K films; a row is the truth, a column the answer.
    """

    findings: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def num_right(self) -> int:
        """How many films were answered with the true finding."""
        return sum(row[index] for index, row in enumerate(self.counts))

    @property
    def num_with(self) -> tuple[int, ...]:
        """How many films show each finding."""
        return tuple(sum(row) for row in self.counts)


@dataclass(frozen=True)
class NormalOrNot:
    """How well abnormal films are told from normal ones. Abnormal is a film with any finding but Normal.

    Attributes:
        sensitivity: The share of abnormal films whose answer is not Normal.
        specificity: The share of normal films whose answer is Normal.
        auroc: Of 1 minus the probability of Normal.
    """

    sensitivity: Interval
    specificity: Interval
    auroc: Interval


@dataclass(frozen=True)
class Hierarchy:
    """The answer in two steps: is the film normal or not; if not, which finding does it show.

    Attributes:
        normal: The first step.
        which: The second step: the share of right findings among abnormal films whose answer is not Normal, with
            Wilson's interval.
    """

    normal: NormalOrNot
    which: Interval


@dataclass(frozen=True)
class Performance:
    """The figures of one part of the films: P of metrics.json.

    Attributes:
        n: How many films there are.
        accuracy: With Wilson's interval.
        balanced_accuracy: The mean recall over the findings with films.
        macro_f1: The mean F1 over the findings that occur in truth or answers.
        auroc_macro: The mean AUROC over the findings that have one.
        ece: The expected calibration error; None where there is no film.
        per_finding: Finding to its figures.
        confusion: Which findings were taken for which.
        hierarchy: None unless Normal and at least two more findings are told apart.
    """

    n: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    auroc_macro: Interval
    ece: float | None
    per_finding: Mapping[str, FindingFigures]
    confusion: Confusion
    hierarchy: Hierarchy | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of n films that a model has answered.

    Attributes:
        truth: (n,) index of the true finding.
        groups: (n,) films of equal number are not independent.
        findings: The K names.
    """

    truth: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    findings: Sequence[str]

    def of(self, chosen: npt.NDArray[Any]) -> Labels:
        """Return those of some films, by their positions or by a mask."""
        return Labels(self.truth[chosen], self.groups[chosen], self.findings)


def performance(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    findings: Sequence[str],
    *,
    operating_thresholds: Mapping[str, float] | None = None,
    groups: npt.ArrayLike | None = None,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - it is frozen
) -> Performance:
    """Return the figures of one part of the films.

    The answer is the most probable finding; accuracy, precision, recall and F1 judge it. Sensitivity and specificity
    judge each finding alone, present where its probability reaches its operating threshold. Means over findings are
    plain means: of recall over the findings with films, of F1 over the findings that occur in truth or answers
    (scikit-learn's macro F1 with zero_division=0), of AUROC over the findings that have one.

    Args:
        truth: (n,) int, index of the true finding; n may be 0.
        probabilities: (n, K) in [0, 1], calibrated.
        findings: The K names, in the order of the columns.
        operating_thresholds: A probability for each finding; 0.5 for each by default.
        groups: (n,) int; films of equal number are not independent. None: every film stands for itself.
        bootstrap: How the groups are drawn for the intervals of all figures but the accuracy.

    Raises:
        InputError: Shapes disagree, a threshold is missing or a probability is not finite.
    """
    names = list(findings)
    scores, labels = checked_scores(probabilities, truth, len(names))
    thresholds = _thresholds_of(names, operating_thresholds)
    group_of = _groups_of(len(labels), groups)
    tally = Tally.of(labels, scores, group_of, thresholds)
    measured = tally.measured(bootstrap)
    counts = tally.confusion
    correct, total = int(np.trace(counts)), len(labels)
    error = expected_calibration_error(scores, labels)
    return Performance(
        n=total,
        accuracy=proportion(correct, total),
        **{figure: measured.interval(figure) for figure in OVERALL},
        ece=error if math.isfinite(error) else None,
        per_finding={
            name: FindingFigures(
                **{figure: measured.interval(figure, index) for figure in PER_FINDING},
                operating_threshold=float(thresholds[index]),
                n=int(counts[index].sum()),
            )
            for index, name in enumerate(names)
        },
        confusion=Confusion(tuple(names), tuple(tuple(row) for row in counts.tolist())),
        hierarchy=_hierarchy(measured, counts, names.index(NORMAL)) if NORMAL in names and len(names) > 2 else None,
    )


def _hierarchy(measured: Measured, counts: npt.NDArray[np.int64], normal: int) -> Hierarchy:
    """Return the figures of the two steps; normal is the index of Normal in the confusion counts (K, K).

    1 minus the probability of Normal ranks films the other way round, so both have the same AUROC.
    """
    others = np.delete(np.delete(counts, normal, axis=0), normal, axis=1)
    return Hierarchy(
        normal=NormalOrNot(
            sensitivity=measured.interval("exclusion", normal),
            specificity=measured.interval("recall", normal),
            auroc=measured.interval("auroc", normal),
        ),
        which=proportion(int(np.trace(others)), int(others.sum())),
    )


def _groups_of(num_films: int, groups: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    group_of = np.arange(num_films) if groups is None else np.asarray(groups)
    if group_of.shape != (num_films,):
        raise InputError(f"Expected one group a film ({num_films}), received shape {group_of.shape}.")
    return group_of


def _thresholds_of(names: Sequence[str], operating_thresholds: Mapping[str, float] | None) -> FloatArray:
    if operating_thresholds is None:
        return np.full(len(names), 0.5)
    missing = [name for name in names if name not in operating_thresholds]
    if missing:
        raise InputError(f"Expected an operating threshold for each finding; missing: {', '.join(missing)}.")
    return np.array([float(operating_thresholds[name]) for name in names])


def macro_f1(truth: npt.ArrayLike, answers: npt.ArrayLike) -> float:
    """Return the macro F1 of answers (n,) int on films of known findings (n,) int; NaN where there is no film."""
    columns = f1_columns(truth, answers)
    return float(mean_f1(columns.sum(axis=0)[np.newaxis], occurring(columns))[0])


def f1_columns(truth: npt.ArrayLike, answers: npt.ArrayLike, num_findings: int | None = None) -> FloatArray:
    """Return (n, 3 K) what each film adds to the sums of `mean_f1`: its finding, its answer, and its hit, one-hot."""
    actual, answered = np.asarray(truth, np.int64), np.asarray(answers, np.int64)
    num = num_findings or 1 + max(int(one.max(initial=-1)) for one in (actual, answered))
    with_finding, answered_with = np.eye(num)[actual], np.eye(num)[answered]
    return np.concatenate((with_finding, answered_with, with_finding * answered_with), axis=1)


def occurring(columns: FloatArray) -> npt.NDArray[np.bool_]:
    """Return (K,) which findings occur in the truth or in the answers of `f1_columns`."""
    actual, answered, _ = np.split(columns.sum(axis=0), 3)
    return actual + answered > 0
