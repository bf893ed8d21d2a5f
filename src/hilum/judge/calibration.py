"""From logits to probabilities that mean what they say: a model's temperature, thresholds and limits, as one.

Everything here is fitted on films that the model had not learned from, and written into the model file. numpy only.
They are either out-of-fold films (each scored by a model of the same kind that saw neither it nor its group) or
validation films. A temperature is one number, but fifty films can set it wrong by half: so it is kept only where it
lowers the loss of films that it was not fitted on, by grouped cross-validation. Else the logits stay as they are.

Sources:
    Guo et al. 2017, On calibration of modern neural networks (temperature).
    Platt 1999, Probabilistic outputs for support vector machines (targets that do not reach 0 and 1).
    Youden 1950, Index for rating diagnostic tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.data.split import grouped_folds
from hilum.judge.conformal import conformal_thresholds, cross_conformal_thresholds, sparing_thresholds
from hilum.judge.curves import checked_scores
from hilum.run.answer import softmax

__all__ = [
    "SCORE_EDGES",
    "Calibration",
    "ChosenTemperature",
    "calibration_words",
    "choose_temperature",
    "fit_calibration",
    "fit_temperature",
    "operating_thresholds",
    "score_counts",
]

SCORE_EDGES = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)  # of the bins in which probabilities are counted
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 0.05, 20.0
_FALLBACK_THRESHOLD = 0.5

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChosenTemperature:
    """A temperature that was fitted, and whether it is used.

    Attributes:
        value: The one to use: the fitted one, or 1.
        fitted: The one that suits all films best.
        loss: Mean negative log-likelihood of the films at temperature 1; None of no film.
        loss_fitted: The same, each film at the temperature that suits the films of other folds; None where the films
            are too few for two folds.
    """

    value: float
    fitted: float
    loss: float | None
    loss_fitted: float | None

    @property
    def is_kept(self) -> bool:
        """Whether the fitted temperature is used."""
        return self.value == self.fitted

    def to_dict(self) -> dict[str, float | bool | None]:
        """Return it as it stands in the model file."""
        return {"fitted": self.fitted, "kept": self.is_kept, "loss": self.loss, "loss_fitted": self.loss_fitted}


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns a model's logits into probabilities, sets and thresholds, and what that was learned from.

    Attributes:
        temperature: Logits are divided by it.
        operating_thresholds: A probability for each finding.
        conformal: As in the model file.
        facts: {"method": "out-of-fold", "validation" or "held-out", "n": films, "temperature": of ChosenTemperature,
            "scores": of `score_counts`}.
    """

    temperature: float
    operating_thresholds: dict[str, float]
    conformal: dict[str, dict[str, Any]]
    facts: dict[str, Any]


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

    low, high = 1.0 / _MOST_TEMPERATURE, 1.0 / _LEAST_TEMPERATURE
    if slope(low) >= 0:  # the scores tell nothing, or the wrong thing
        return _MOST_TEMPERATURE
    if slope(high) <= 0:
        return _LEAST_TEMPERATURE
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1.0 / math.sqrt(low * high)


def choose_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike, groups: npt.ArrayLike) -> ChosenTemperature:
    """Return the temperature that suits films, and whether it is any better than none on films it was not fitted on.

    Args:
        logits: (n, K) of films that the model had not learned from.
        truth: (n,) int, index of the true finding.
        groups: (n,) int, films of equal number are not independent.
    """
    scores, labels = checked_scores(logits, truth)
    fitted = fit_temperature(scores, labels)
    if not labels.size:
        return ChosenTemperature(1.0, fitted, None, None)
    loss = float(_losses(scores, labels, 1.0).mean())
    losses = np.full(labels.size, np.nan)
    for held in grouped_folds(labels, np.asarray(groups)):
        losses[held] = _losses(scores[held], labels[held], fit_temperature(scores[~held], labels[~held]))
    if not np.isfinite(losses).all():
        return ChosenTemperature(1.0, fitted, loss, None)
    loss_fitted = float(losses.mean())
    return ChosenTemperature(fitted if loss_fitted < loss else 1.0, fitted, loss, loss_fitted)


def fit_calibration(
    logits: npt.ArrayLike,
    truth: npt.ArrayLike,
    findings: Sequence[str],
    *,
    groups: npt.ArrayLike,
    coverage: float = 0.9,
    folds: npt.ArrayLike | None = None,
) -> Calibration:
    """Return a model's calibration.

    Args:
        logits: (n, K) of films that the model had not learned from.
        truth: (n,) int, index of the true finding.
        findings: The K names, in the order of the columns.
        groups: (n,) int, films of equal number are not independent.
        coverage: Of the conformal sets.
        folds: (n,) int, the fold that held each film out, where each was scored by a model of its own.
    """
    chosen = choose_temperature(logits, truth, groups)
    probabilities = softmax(logits, chosen.value)
    limits = (
        conformal_thresholds(probabilities, truth, findings, coverage)
        if folds is None
        else cross_conformal_thresholds(probabilities, truth, folds, findings, coverage)
    )
    return Calibration(
        chosen.value,
        operating_thresholds(probabilities, truth, findings),
        sparing_thresholds(limits, probabilities, truth, findings),
        {
            "method": "validation" if folds is None else "out-of-fold",
            "n": len(probabilities),
            "temperature": chosen.to_dict(),
            "scores": score_counts(probabilities, truth).tolist(),
        },
    )


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
        return _FALLBACK_THRESHOLD
    values, inverse = np.unique(scores, return_inverse=True)  # ascending
    positives_below = np.cumsum(np.bincount(inverse, weights=positive))[:-1]
    negatives_below = np.cumsum(np.bincount(inverse, weights=~positive))[:-1]
    # Sensitivity + specificity - 1, over a common denominator: whole numbers, so equals are equal.
    youden = negatives_below * num_positive - positives_below * num_negative
    if youden.size == 0 or youden.max() <= 0:
        return _FALLBACK_THRESHOLD
    cuts = values[:-1] + (values[1:] - values[:-1]) / 2
    cuts = np.where(cuts > values[:-1], cuts, values[1:])  # neighbours with no float between them
    best = cuts[youden == youden.max()]
    return float(best[np.abs(best - _FALLBACK_THRESHOLD).argmin()])


def calibration_words(temperature: float, facts: Mapping[str, Any]) -> str:
    """Return what the probabilities were set by: the temperature, the films behind it, and what was not kept.

    Args:
        temperature: The model's.
        facts: Of the calibration, as the model file has them; empty in files of an earlier hilum.
    """
    if not facts:
        return f"temperature {temperature:.3f}"
    films = f"{facts['n']} {facts['method']} films"
    chosen = facts.get("temperature")
    if not chosen or chosen["kept"]:
        return f"temperature {temperature:.3f}, fitted on {films}"
    if chosen["loss_fitted"] is None:
        return f"temperature 1; {films} are too few to fit another"
    return (
        f"temperature 1; a fitted one ({chosen['fitted']:.3f}) did not lower the loss in cross-validation of {films} "
        f"({chosen['loss_fitted']:.3f} against {chosen['loss']:.3f})"
    )


def _losses(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], temperature: float) -> Any:
    """Return each film's negative log-likelihood (n,)."""
    scaled = scores / temperature
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
