"""Films counted so that every figure of a resample of groups is one matrix product.

Where no resample differs from another (no film was wrong), the bootstrap's interval has no width and would claim
certainty; there Wilson's interval over the effective number of groups stands in.

Sources:
    Hand, Till 2001, A simple generalisation of the area under the ROC curve (ranks, ties).
    Newcombe 2006, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.judge.intervals import NO_WIDTH, Bootstrap, Interval, group_weights, middle_95, wilson_interval

__all__ = ["OVERALL", "PER_FINDING", "Measured", "Tally", "mean_f1"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

PER_FINDING = ("precision", "recall", "f1", "auroc", "sensitivity", "specificity")
OVERALL = ("balanced_accuracy", "macro_f1", "auroc_macro")


def mean_f1(sums: FloatArray, occurs: BoolArray) -> FloatArray:
    """Return (R,) the macro F1; NaN where one of the findings is in neither truth nor answers of a resample.

    Args:
        sums: (R, 3 K) films with each finding, films answered with it, and films of both.
        occurs: (K,) the findings that the plain mean is over: those that occur in the films that are resampled.
    """
    actual, answered, hits = np.split(sums, 3, axis=1)
    return _mean(_ratio(2 * hits, actual + answered), occurs)


@dataclass(frozen=True, eq=False)
class Measured:
    """Every figure of a tally, from which intervals are taken.

    Attributes:
        point: Figure to its value, (1, K) or (1,).
        resamples: Figure to its values in the resamples, (R, K) or (R,); empty of none.
        support: Figure to how many groups bear on it, (K,) or ().
    """

    point: Mapping[str, FloatArray]
    resamples: Mapping[str, FloatArray]
    support: Mapping[str, FloatArray]

    def interval(self, figure: str, *finding: int) -> Interval:
        """Return a figure with its 95 % interval; of one finding, or over all."""
        drawn = self.resamples[figure].T[finding or ...] if self.resamples else np.empty(0)  # (R,)
        value = float(self.point[figure].T[finding or ...][0])
        return _interval(value, drawn, float(self.support[figure][finding or ...]))


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
class Tally:
    """The films counted so that a resample of groups is one matrix product."""

    per_group: FloatArray  # (G, K*K + 2K): confusion cells, then present with and without it
    group_of: npt.NDArray[np.intp]  # (n,) 0 .. G-1
    rankings: tuple[_Ranking, ...]
    num_findings: int

    @classmethod
    def of(
        cls, labels: npt.NDArray[np.int64], scores: FloatArray, group_of: npt.NDArray[np.int64], thresholds: FloatArray
    ) -> Tally:
        """Return the tally of n films.

        Args:
            labels: (n,) index of the true finding.
            scores: (n, K) float; they order the films, and the largest is the answer.
            group_of: (n,) films of equal number are not independent.
            thresholds: (K,) from which score on a finding counts as present.
        """
        group_of = np.unique(group_of, return_inverse=True)[1]
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
        """Return every figure under group weights (G, R): (R, K) per finding, (R,) overall; NaN where undefined.

        Exclusion is the share of films without a finding that are not answered with it.
        """
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
            "exclusion": 1 - _ratio(answered - hits, total - actual),
            "f1": f1,
            "auroc": auroc,
            "sensitivity": _ratio(sums[:, num * num : -num], actual),
            "specificity": 1 - _ratio(sums[:, -num:], total - actual),
            "balanced_accuracy": _mean(recall, actual_films > 0),
            "macro_f1": mean_f1(np.concatenate((actual, answered, hits), axis=1), actual_films + answered_films > 0),
            "auroc_macro": _mean(auroc, (actual_films > 0) & (actual_films < counts.sum())),
        }

    def measured(self, bootstrap: Bootstrap) -> Measured:
        """Return every figure with what its interval is made from."""
        point = self.figures(np.ones((self.num_groups, 1)))
        return Measured(point, self._resample(bootstrap), self._effective_groups())

    def _resample(self, bootstrap: Bootstrap) -> dict[str, FloatArray]:
        """Return the figures of resamples of whole groups, drawn with replacement; empty where there are none."""
        draws = group_weights(
            self.num_groups, len(self.group_of), seed=bootstrap.seed, num_resamples=bootstrap.num_resamples
        )
        drawn = [self.figures(weights) for weights in draws]
        return {figure: np.concatenate([part[figure] for part in drawn]) for figure in (drawn[0] if drawn else ())}

    def _effective_groups(self) -> dict[str, FloatArray]:
        """Return how many groups bear on each figure: what stands for n where the bootstrap has no width."""
        cells = self._cells(self.per_group)  # (G, K, K)
        has, answered = cells.sum(axis=2) > 0, cells.sum(axis=1) > 0
        lacks = cells.sum(axis=(1, 2))[:, None] > cells.sum(axis=2)
        with_finding, without = has.sum(axis=0), lacks.sum(axis=0)
        support = {
            "precision": answered.sum(axis=0),
            "recall": with_finding,
            "exclusion": without,
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
