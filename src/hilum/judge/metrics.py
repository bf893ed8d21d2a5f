"""Figures with their uncertainty: what metrics.json says of one part of the films.

A figure that the films cannot give (a finding without films, one class only) is None, never 0 and never 1. numpy only;
the tests check every figure against scikit-learn.

Intervals are 95 %: Wilson's for accuracy, else the percentile interval of a grouped bootstrap, in which whole groups
(twins, one patient's films) are drawn with replacement. Resamples in which a figure is undefined are left out of its
interval. Where no resample differs from another (no film was wrong), the bootstrap's interval has no width and would
claim certainty; there Wilson's interval over the effective number of groups stands in.

Sources:
    Hand, Till 2001, A simple generalisation of the area under the ROC curve (ranks, ties).
    Newcombe 2006, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError
from hilum.judge.calibrate import checked_scores, expected_calibration_error
from hilum.judge.intervals import NO_WIDTH, Bootstrap, Interval, group_weights, middle_95, proportion, wilson_interval

__all__ = [
    "Confusion",
    "FindingFigures",
    "Performance",
    "f1_columns",
    "macro_f1",
    "mean_f1",
    "occurring",
    "performance",
]

FloatArray = npt.NDArray[np.float64]

PER_FINDING = ("precision", "recall", "f1", "auroc", "sensitivity", "specificity")
OVERALL = ("balanced_accuracy", "macro_f1", "auroc_macro")


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
    """

    n: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    auroc_macro: Interval
    ece: float | None
    per_finding: Mapping[str, FindingFigures]
    confusion: Confusion


def performance(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    findings: Sequence[str],
    *,
    operating_thresholds: Mapping[str, float],
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
        operating_thresholds: A probability for each finding.
        groups: (n,) int; films of equal number are not independent. None: every film stands for itself.
        bootstrap: How the groups are drawn for the intervals of all figures but the accuracy.

    Raises:
        InputError: Shapes disagree, a threshold is missing or a probability is not finite.
    """
    names = list(findings)
    scores, labels = checked_scores(probabilities, truth, len(names))
    thresholds = _thresholds_of(names, operating_thresholds)
    group_of = _groups_of(len(labels), groups)
    tally = _Tally.of(labels, scores, np.unique(group_of, return_inverse=True)[1], thresholds)
    point = tally.figures(np.ones((tally.num_groups, 1)))
    resamples = tally.resample(bootstrap)
    support = tally.effective_groups()
    counts = tally.confusion
    correct, total = int(np.trace(counts)), len(labels)

    def interval(figure: str, *finding: int) -> Interval:
        drawn = resamples[figure].T[finding or ...] if resamples else np.empty(0)  # (R,)
        return _interval(float(point[figure].T[finding or ...][0]), drawn, float(support[figure][finding or ...]))

    error = expected_calibration_error(scores, labels)
    return Performance(
        n=total,
        accuracy=proportion(correct, total),
        **{figure: interval(figure) for figure in OVERALL},
        ece=error if math.isfinite(error) else None,
        per_finding={
            name: FindingFigures(
                **{figure: interval(figure, index) for figure in PER_FINDING},
                operating_threshold=float(thresholds[index]),
                n=int(counts[index].sum()),
            )
            for index, name in enumerate(names)
        },
        confusion=Confusion(tuple(names), tuple(tuple(row) for row in counts.tolist())),
    )


def _groups_of(num_films: int, groups: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    group_of = np.arange(num_films) if groups is None else np.asarray(groups)
    if group_of.shape != (num_films,):
        raise InputError(f"Expected one group a film ({num_films}), received shape {group_of.shape}.")
    return group_of


def _thresholds_of(names: Sequence[str], operating_thresholds: Mapping[str, float]) -> FloatArray:
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


def mean_f1(sums: FloatArray, occurs: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (R,) the macro F1; NaN where one of the findings is in neither truth nor answers of a resample.

    Args:
        sums: (R, 3 K) films with each finding, films answered with it, and films of both.
        occurs: (K,) the findings that the plain mean is over: those that occur in the films that are resampled.
    """
    actual, answered, hits = np.split(sums, 3, axis=1)
    return _mean(_ratio(2 * hits, actual + answered), occurs)


@dataclass(frozen=True, eq=False)
class _Ranking:
    """The films in the order of one finding's probability, with the ties marked: all that its AUROC needs."""

    negatives: npt.NDArray[np.intp]  # films without the finding, ascending
    positives: npt.NDArray[np.intp]  # films with the finding
    below: npt.NDArray[np.intp]  # for each of those: how many negatives lie below it
    up_to: npt.NDArray[np.intp]  # the same, ties included

    def auroc(self, film_weights: FloatArray) -> FloatArray:
        """Return (R,) the AUROC under film weights (n, R); NaN where one side weighs nothing."""
        weight = film_weights[self.positives]  # (n+, R)
        cumulated = np.zeros((len(self.negatives) + 1, film_weights.shape[1]))
        np.cumsum(film_weights[self.negatives], axis=0, out=cumulated[1:])
        wins = np.einsum("pr,pr->r", weight, cumulated[self.below] + cumulated[self.up_to]) / 2
        return _ratio(wins, weight.sum(axis=0) * cumulated[-1])


@dataclass(frozen=True, eq=False)
class _Tally:
    """The films counted so that a resample of groups is one matrix product."""

    per_group: FloatArray  # (G, K*K + 2K): confusion cells, then films at or above the threshold with and without it
    group_of: npt.NDArray[np.intp]  # (n,) 0 .. G-1
    rankings: tuple[_Ranking, ...]
    num_findings: int

    @classmethod
    def of(
        cls, labels: npt.NDArray[np.int64], scores: FloatArray, group_of: npt.NDArray[np.intp], thresholds: FloatArray
    ) -> _Tally:
        num_films, num_findings = scores.shape
        cells = np.zeros((num_films, num_findings * num_findings))
        if num_films:
            cells[np.arange(num_films), labels * num_findings + scores.argmax(axis=1)] = 1
        positive = labels[:, None] == np.arange(num_findings)  # (n, K)
        above = scores >= thresholds
        columns = np.concatenate((cells, above & positive, above & ~positive), axis=1)
        per_group = np.zeros((int(group_of.max()) + 1 if num_films else 0, columns.shape[1]))
        np.add.at(per_group, group_of, columns)
        rankings = []
        for index in range(num_findings):
            values = scores[:, index]
            negatives = np.flatnonzero(~positive[:, index])
            negatives = negatives[np.argsort(values[negatives], kind="stable")]
            positives = np.flatnonzero(positive[:, index])
            below = np.searchsorted(values[negatives], values[positives], side="left")
            up_to = np.searchsorted(values[negatives], values[positives], side="right")
            rankings.append(_Ranking(negatives, positives, below, up_to))
        return cls(per_group, group_of, tuple(rankings), num_findings)

    @property
    def num_groups(self) -> int:
        return len(self.per_group)

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """(K, K) films; rows are the truth."""
        return self._cells(self.per_group.sum(axis=0)).astype(np.int64)

    def _cells(self, sums: FloatArray) -> FloatArray:
        num = self.num_findings
        return sums[..., : num * num].reshape(*sums.shape[:-1], num, num)

    def figures(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return every figure under group weights (G, R): (R, K) per finding, (R,) overall; NaN where undefined."""
        num = self.num_findings
        sums = weights.T @ self.per_group  # (R, K*K + 2K)
        cells = self._cells(sums)
        hits, actual, answered = np.einsum("rkk->rk", cells), cells.sum(axis=2), cells.sum(axis=1)
        total = sums[:, : num * num].sum(axis=1, keepdims=True)
        film_weights = weights[self.group_of]  # (n, R)
        recall, f1 = _ratio(hits, actual), _ratio(2 * hits, actual + answered)
        auroc = np.stack([ranking.auroc(film_weights) for ranking in self.rankings], axis=1)
        counts = self.confusion  # which findings a mean is over is settled by the full sample
        actual_films, answered_films = counts.sum(axis=1), counts.sum(axis=0)
        return {
            "precision": _ratio(hits, answered),
            "recall": recall,
            "f1": f1,
            "auroc": auroc,
            "sensitivity": _ratio(sums[:, num * num : -num], actual),
            "specificity": 1 - _ratio(sums[:, -num:], total - actual),
            "balanced_accuracy": _mean(recall, actual_films > 0),
            "macro_f1": mean_f1(np.concatenate((actual, answered, hits), axis=1), actual_films + answered_films > 0),
            "auroc_macro": _mean(auroc, (actual_films > 0) & (actual_films < counts.sum())),
        }

    def resample(self, bootstrap: Bootstrap) -> dict[str, FloatArray]:
        """Return the figures of resamples of whole groups, drawn with replacement; empty where there are none."""
        draws = group_weights(
            self.num_groups, len(self.group_of), seed=bootstrap.seed, num_resamples=bootstrap.num_resamples
        )
        drawn = [self.figures(weights) for weights in draws]
        return {figure: np.concatenate([part[figure] for part in drawn]) for figure in (drawn[0] if drawn else ())}

    def effective_groups(self) -> dict[str, FloatArray]:
        """Return how many groups bear on each figure: what stands for n where the bootstrap has no width."""
        cells = self._cells(self.per_group)  # (G, K, K)
        has, answered = cells.sum(axis=2) > 0, cells.sum(axis=1) > 0
        lacks = cells.sum(axis=(1, 2))[:, None] > cells.sum(axis=2)
        with_finding, without = has.sum(axis=0), lacks.sum(axis=0)
        support = {
            "precision": answered.sum(axis=0),
            "recall": with_finding,
            "f1": (has | answered).sum(axis=0),
            # Newcombe's near 0 and 1, from Hanley and McNeil's variance: about twice the rarer side.
            "auroc": with_finding * without / (1 + np.maximum((with_finding + without) / 2 - 1, 0) / 2),
            "sensitivity": with_finding,
            "specificity": without,
        }
        for mean, figure in zip(OVERALL, ("recall", "f1", "auroc"), strict=True):
            parts = support[figure][support[figure] > 0]
            # A plain mean over strata of unequal size is worth K^2 / sum(1/n) films (Kish).
            support[mean] = np.array(parts.size**2 / (1 / parts).sum() if parts.size else 0.0)
        return {figure: np.asarray(value, dtype=np.float64) for figure, value in support.items()}


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: FloatArray, over: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (R,) the mean over the chosen findings; NaN where one of them is undefined, or none is chosen."""
    return values[:, over].mean(axis=1) if over.any() else np.full(len(values), np.nan)


def _interval(value: float, resamples: FloatArray, support: float) -> Interval:
    if not math.isfinite(value):
        return Interval()
    limits = middle_95(resamples)
    if limits is None:
        return Interval(value)
    low, high = limits
    if high - low < NO_WIDTH:
        low, high = wilson_interval(min(value, 1.0) * support, support)
    return Interval(value, min(low, value), max(high, value))
