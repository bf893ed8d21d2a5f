"""From logits to probabilities that mean what they say, and to sets and thresholds that keep a promise.

Everything here is fitted on validation films and written into the model file. numpy only.

Sources:
    Guo et al. 2017, On calibration of modern neural networks (temperature, expected calibration error).
    Platt 1999, Probabilistic outputs for support vector machines (targets that do not reach 0 and 1).
    Sadinle, Lei, Wasserman 2019, Least ambiguous set-valued classifiers (class-conditional conformal sets).
    Vovk 2015, Cross-conformal predictors; Barber, Candes, Ramdas, Tibshirani 2021, Predictive inference with the
        jackknife+ (what out-of-fold scores can promise).
    Youden 1950, Index for rating diagnostic tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError
from hilum.run.answer import conformal_limits, conformal_sets, reached, softmax

__all__ = [
    "LEAST_FINDING_FILMS",
    "SCORE_EDGES",
    "FindingSets",
    "SetFigures",
    "conformal_thresholds",
    "cross_conformal_thresholds",
    "expected_calibration_error",
    "films_needed",
    "fit_temperature",
    "operating_thresholds",
    "reliability_bins",
    "score_counts",
    "set_figures",
    "surer_thresholds",
]

LEAST_FINDING_FILMS = 40  # films of a finding for a limit of its own; fewer, and a limit is shared
SCORE_EDGES = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)  # of the bins in which probabilities are counted
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
FALLBACK_THRESHOLD = 0.5

FloatArray = npt.NDArray[np.float64]


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the temperature under which validation films are least surprising (smallest negative log-likelihood).

    The targets are Platt's: each film counts (n + 1) / (n + 2) for its finding, and the others share the rest. A
    network that gets all of forty films right is so not declared infallible (plain likelihood would run to the lower
    bound); with thousands of films the targets are 0 and 1. The loss is convex in 1 / temperature, so bisecting its
    slope finds the one minimum.

    Args:
        logits: (n, K) of validation films.
        truth: (n,) int, index of the true finding.

    Returns:
        A temperature between 0.05 and 20; 1.0 where there is no film.

    Raises:
        InputError: Shapes disagree, an index is out of range or a logit is not finite.
    """
    scores, labels = checked_scores(logits, truth)
    num_films, num_findings = scores.shape
    if num_films == 0 or num_findings < 2:
        return 1.0
    targets = np.full(scores.shape, 1.0 / ((num_films + 2) * (num_findings - 1)))  # (n, K)
    targets[np.arange(num_films), labels] = (num_films + 1) / (num_films + 2)
    wanted = float((targets * scores).sum(axis=1).mean())

    def slope(inverse: float) -> float:
        return float((softmax(scores * inverse) * scores).sum(axis=1).mean()) - wanted

    low, high = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
    if slope(low) >= 0:  # the scores tell nothing, or the wrong thing
        return MAX_TEMPERATURE
    if slope(high) <= 0:
        return MIN_TEMPERATURE
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1.0 / math.sqrt(low * high)


def reliability_bins(probabilities: npt.ArrayLike, truth: npt.ArrayLike, num_bins: int = 15) -> dict[str, FloatArray]:
    """Return how sure the answers were and how often they were right, in bins of equal width of the top probability.

    Args:
        probabilities: (n, K) in [0, 1].
        truth: (n,) int, index of the true finding.
        num_bins: Bins over [0, 1]; a bin holds its upper edge, not its lower one.

    Returns:
        Arrays (num_bins,) float64: "count", "confidence" (mean top probability) and "accuracy"; the last two are
        NaN in an empty bin.
    """
    scores, labels = checked_scores(probabilities, truth)
    top = scores.max(axis=1, initial=0.0)  # (n,); scores of no film have no maximum
    bins = np.clip(np.ceil(top * num_bins).astype(np.int64) - 1, 0, num_bins - 1)  # (n,)
    right = (scores.argmax(axis=1) == labels).astype(np.float64) if labels.size else np.empty(0)
    count, confidence, correct = (
        np.bincount(bins, weights=weights, minlength=num_bins).astype(np.float64)
        for weights in (np.ones(len(top)), top, right)
    )
    filled = np.where(count > 0, count, np.nan)
    return {"count": count, "confidence": confidence / filled, "accuracy": correct / filled}


def score_counts(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return how the probability of each finding is distributed among films of each finding.

    Films without labels can later be compared with it: do their probabilities come from these films in another mix?

    Args:
        probabilities: (n, K) in [0, 1].
        truth: (n,) int, index of the true finding.

    Returns:
        (K, K, B) numbers of films: by what they show, by the finding whose probability it is, and by its bin
        (`SCORE_EDGES`).
    """
    scores, labels = checked_scores(probabilities, truth)
    num_findings = scores.shape[1]
    counts = np.zeros((num_findings, num_findings, len(SCORE_EDGES) + 1), np.int64)
    bins = np.searchsorted(SCORE_EDGES, scores, side="right")  # (n, K)
    np.add.at(counts, (labels[:, np.newaxis], np.arange(num_findings), bins), 1)
    return counts


def expected_calibration_error(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the mean gap between how sure the answers were and how often they were right, in [0, 1]; NaN of no film.

    Args:
        probabilities: (n, K) in [0, 1].
        truth: (n,) int, index of the true finding.
    """
    bins = reliability_bins(probabilities, truth)
    total = bins["count"].sum()
    if total == 0:
        return math.nan
    return float(np.nansum(bins["count"] * np.abs(bins["accuracy"] - bins["confidence"])) / total)


def conformal_thresholds(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, findings: Sequence[str], coverage: float = 0.9
) -> dict[str, dict[str, Any]]:
    """Return a threshold for each finding, so that sets hold a film's true finding with the coverage asked for.

    Class-conditional split conformal: the promise holds within every finding, for films drawn like the validation
    films. The score is 1 - p(true finding); the threshold is its ceil((n + 1) * coverage)-th smallest value.

    A threshold from few films is a draw of luck. So findings with fewer than `LEAST_FINDING_FILMS` (or
    `films_needed`, if that is more) share one, made from their films together; where these are still too few, the
    next smallest findings join until they are enough or all have joined. The promise then holds within the findings
    that share, taken together.

    Args:
        probabilities: (n, K) of validation films, calibrated.
        truth: (n,) int, index of the true finding.
        findings: The K names, in the order of the columns.
        coverage: Promised fraction of films whose set holds the truth, above 0 and below 1.

    Returns:
        {finding: {"threshold": float in [0, 1], "n": films of it}}, in the order of ``findings``; where it is shared
        also {"shared": the findings that share it, "shared_n": the films of them all}. With too few films to promise
        anything (fewer than 9 at 0.9) the threshold is 1.0: the finding is in every set.

    Raises:
        InputError: Shapes disagree, or the coverage is not between 0 and 1.
    """
    scores, labels = checked_scores(probabilities, truth, len(findings))
    if not 0 < coverage < 1:
        raise InputError(f"A coverage must lie between 0 and 1, received {coverage!r}.")
    counts = np.bincount(labels, minlength=len(findings))
    sharing = _sharing(counts, max(LEAST_FINDING_FILMS, films_needed(coverage)))
    misfit = 1.0 - scores[np.arange(labels.size), labels]
    thresholds: dict[str, dict[str, Any]] = {}
    for index, finding in enumerate(findings):
        together = sharing if index in sharing else [index]
        found = np.sort(misfit[np.isin(labels, together)])
        rank = math.ceil((found.size + 1) * coverage - 1e-9)  # 100 * 0.55 is 55.00000000000001
        limit = float(found[rank - 1]) if rank <= found.size else 1.0
        thresholds[finding] = {"threshold": limit, "n": int(counts[index])}
        if len(together) > 1:
            thresholds[finding] |= {"shared": [findings[one] for one in together], "shared_n": int(found.size)}
    return thresholds


def films_needed(coverage: float) -> int:
    """Return from how many films on a threshold of a coverage can leave one out; with fewer it is 1.0."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def _sharing(counts: npt.NDArray[np.int64], least: int) -> list[int]:
    """Return the findings, by index, that share a threshold: those of fewer than ``least`` films, and who joins them.

    A finding without any film has no part in it: nothing is known of it, so it stays in every set.
    """
    order = [int(index) for index in np.argsort(counts, kind="stable") if counts[index]]
    num_sharing = sum(int(counts[index]) < least for index in order)
    while 0 < num_sharing < len(order) and counts[order[:num_sharing]].sum() < least:
        num_sharing += 1
    return sorted(order[:num_sharing])


def cross_conformal_thresholds(
    probabilities: npt.ArrayLike,
    truth: npt.ArrayLike,
    folds: npt.ArrayLike,
    findings: Sequence[str],
    coverage: float = 0.9,
) -> dict[str, dict[str, Any]]:
    """Return a threshold for each finding from out-of-fold scores, for findings with few validation films.

    Class-conditional cross-conformal: every training film is scored by a model that saw neither it nor its group, and
    the scores of all folds are ranked together. Many more films stand behind a threshold than in a validation part.
    The price: the models of the folds learned from fewer films than the one that is served, so that the sets are
    usually a little larger than need be, and what is proved in the worst case is a coverage of 1 - 2 (1 - coverage),
    not the coverage itself (0.8 for 0.9). Where every film is a fold of its own this is the jackknife's form.

    Args:
        probabilities: (n, K) of films, each by the model of its fold, calibrated.
        truth: (n,) int, index of the true finding.
        folds: (n,) int, the fold that held the film out; at least two.
        findings: The K names, in the order of the columns.
        coverage: Promised fraction of films whose set holds the truth, above 0 and below 1.

    Returns:
        {finding: {"threshold", "n": out-of-fold films of it, "method": "cross", "folds"}}, in the order of
        ``findings``; "folds" counts those that held any film of the finding.

    Raises:
        InputError: Shapes disagree, the coverage is not between 0 and 1, or there is but one fold.
    """
    labels, held = np.asarray(truth), np.asarray(folds)
    if held.shape != labels.shape:
        raise InputError(f"Expected one fold a film, received {held.shape} for {labels.shape}.")
    if labels.size and np.unique(held).size < 2:
        raise InputError("Expected scores of two folds or more.", fix="Give the folds that held the films out.")
    thresholds = conformal_thresholds(probabilities, truth, findings, coverage)
    for index, finding in enumerate(findings):
        num_folds = int(np.unique(held[labels == index]).size)
        thresholds[finding] = {**thresholds[finding], "method": "cross", "folds": num_folds}
    return thresholds


def surer_thresholds(
    split: Mapping[str, Mapping[str, Any]], cross: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return each finding's threshold from whichever scores say more.

    The split threshold keeps its exact promise where validation has `LEAST_FINDING_FILMS` of the finding; below that
    the cross-conformal one is taken, if more films of the finding stand behind it.
    """
    chosen = {}
    for finding, threshold in split.items():
        other = cross.get(finding, {"n": 0})
        is_split = threshold.get("method") != "cross" and threshold["n"] >= LEAST_FINDING_FILMS
        chosen[finding] = dict(threshold if is_split or other["n"] <= threshold["n"] else other)
    return chosen


@dataclass(frozen=True)
class FindingSets:
    """How often conformal sets held one finding.

    Attributes:
        n: Films of it.
        num_covered: Those whose set holds it.
    """

    n: int
    num_covered: int


@dataclass(frozen=True)
class SetFigures(FindingSets):
    """How often conformal sets held the truth, and how large they were.

    Attributes:
        mean_size: Mean number of findings in a set; NaN of no film.
        num_single: Films whose set holds one finding.
        num_empty: Films of which no finding reaches its threshold. They are refused; their set holds the likeliest
            finding alone.
        per_finding: The same of each finding.
    """

    mean_size: float
    num_single: int
    num_empty: int
    per_finding: Mapping[str, FindingSets]


def set_figures(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, findings: Sequence[str], limits: Mapping[str, Mapping[str, Any]]
) -> SetFigures:
    """Return how often conformal sets held the truth, and how large they were.

    Args:
        probabilities: (n, K) calibrated, of films that the thresholds were not made from.
        truth: (n,) int, index of the true finding.
        findings: The K names, in the order of the columns.
        limits: As `conformal_thresholds` returns them.
    """
    scores, labels = checked_scores(probabilities, truth, len(findings))
    edges = conformal_limits(limits, findings)
    inside = conformal_sets(scores, edges)  # (n, K)
    covered = inside[np.arange(labels.size), labels]
    sizes = inside.sum(axis=1)
    return SetFigures(
        int(labels.size),
        int(covered.sum()),
        mean_size=float(sizes.mean()) if sizes.size else math.nan,
        num_single=int((sizes == 1).sum()),
        num_empty=int((~reached(scores, edges).any(axis=1)).sum()),
        per_finding={
            name: FindingSets(int((labels == index).sum()), int(covered[labels == index].sum()))
            for index, name in enumerate(findings)
        },
    )


def operating_thresholds(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, findings: Sequence[str]
) -> dict[str, float]:
    """Return for each finding the probability from which on it is called present (largest Youden index).

    Candidates lie midway between adjacent probabilities, so that no validation film sits on the threshold. Of several
    equally good ones the one nearest 0.5 is taken.

    Args:
        probabilities: (n, K) of validation films, calibrated.
        truth: (n,) int, index of the true finding.
        findings: The K names, in the order of the columns.

    Returns:
        {finding: threshold in [0, 1]}; 0.5 where the films cannot tell (all or none have the finding, or no threshold
        beats chance).
    """
    scores, labels = checked_scores(probabilities, truth, len(findings))
    return {name: _youden_threshold(scores[:, index], labels == index) for index, name in enumerate(findings)}


def _youden_threshold(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> float:
    num_positive = int(positive.sum())
    num_negative = positive.size - num_positive
    if num_positive == 0 or num_negative == 0:
        return FALLBACK_THRESHOLD
    values, inverse = np.unique(scores, return_inverse=True)  # ascending
    positives_below = np.cumsum(np.bincount(inverse, weights=positive))[:-1]
    negatives_below = np.cumsum(np.bincount(inverse, weights=~positive))[:-1]
    # Sensitivity + specificity - 1, over a common denominator: whole numbers, so equals are equal.
    youden = negatives_below * num_positive - positives_below * num_negative
    if youden.size == 0 or youden.max() <= 0:
        return FALLBACK_THRESHOLD
    cuts = values[:-1] + (values[1:] - values[:-1]) / 2
    cuts = np.where(cuts > values[:-1], cuts, values[1:])  # neighbours with no float between them
    best = cuts[youden == youden.max()]
    return float(best[np.abs(best - FALLBACK_THRESHOLD).argmin()])


def checked_scores(
    scores: npt.ArrayLike, truth: npt.ArrayLike, num_findings: int | None = None
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return scores (n, K) float64 and truth (n,) int64 once their shapes, range and finiteness hold.

    Raises:
        InputError: Something does not hold; the message says what.
    """
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(truth)
    if values.ndim != 2 or labels.ndim != 1 or len(values) != len(labels):
        raise InputError(
            f"Expected scores of shape (n, K) and truth of shape (n,), received {values.shape} and {labels.shape}."
        )
    if num_findings is not None and values.shape[1] != num_findings:
        raise InputError(f"Expected one column a finding ({num_findings}), received {values.shape[1]} columns.")
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"Expected whole numbers as truth, received {labels.dtype}.")
    if labels.size and not (labels.min() >= 0 and labels.max() < values.shape[1]):
        raise InputError(f"Expected truth from 0 to {values.shape[1] - 1}, received {labels.min()} to {labels.max()}.")
    if not np.isfinite(values).all():
        raise InputError("Expected finite scores, received NaN or infinity.", fix="Look for what produced them.")
    return values, labels.astype(np.int64)
