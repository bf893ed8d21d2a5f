"""Sets of findings that hold the true one with a promised coverage: their thresholds, and how often they hold it.

Sources:
    Sadinle, Lei, Wasserman 2019, Least ambiguous set-valued classifiers (class-conditional conformal sets).
    Vovk 2015, Cross-conformal predictors; Barber, Candes, Ramdas, Tibshirani 2021, Predictive inference with the
        jackknife+ (what out-of-fold scores can promise).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError
from hilum.judge.curves import checked_scores
from hilum.run.answer import conformal_limits, conformal_sets, reached

__all__ = [
    "LEAST_FINDING_FILMS",
    "REFUSED_FRACTION",
    "FindingSets",
    "SetFigures",
    "conformal_thresholds",
    "cross_conformal_thresholds",
    "films_needed",
    "set_figures",
    "sparing_thresholds",
    "surer_thresholds",
]

LEAST_FINDING_FILMS = 40  # films of a finding for a limit of its own; fewer, and a limit is shared
REFUSED_FRACTION = 0.025  # of a finding's films that may fit no finding


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


def sparing_thresholds(
    limits: Mapping[str, Mapping[str, Any]],
    probabilities: npt.ArrayLike,
    truth: npt.ArrayLike,
    findings: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return thresholds of the same sets, by which as few films as possible fit no finding.

    A threshold for a coverage of 90 % leaves out a tenth of a finding's films. If the findings are easy to tell apart,
    these films fit no finding: they would be refused, though nothing is odd about them. A threshold below one half can
    be raised without taking a second finding into any set: a finding within it is more probable than all others
    together, so it is the most probable one, which every set holds.

    Args:
        limits: As `conformal_thresholds` or `cross_conformal_thresholds` returns them for these films.
        probabilities: (n, K) calibrated.
        truth: (n,) int, index of the true finding.
        findings: The K names, in the order of the columns.

    Returns:
        The limits, each threshold raised to one half at most, where it leaves out more than `REFUSED_FRACTION` of the
        films that it was made from; all else in them stays.
    """
    wide = conformal_thresholds(probabilities, truth, findings, 1 - REFUSED_FRACTION)
    return {
        name: {**limit, "threshold": max(limit["threshold"], min(wide[name]["threshold"], 0.5))}
        for name, limit in limits.items()
    }


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
