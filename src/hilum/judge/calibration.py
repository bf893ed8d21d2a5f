"""The calibration of one model from films that it had not learned from: temperature, thresholds and limits, as one.

Films are either out-of-fold films (each scored by a model of the same kind that saw neither it nor its group) or
validation films. A temperature is one number, but fifty films can set it wrong by half: so it is kept only where it
lowers the loss of films that it was not fitted on, by grouped cross-validation. Else the logits stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.data.split import grouped_folds
from hilum.judge.calibrate import (
    checked_scores,
    conformal_thresholds,
    cross_conformal_thresholds,
    fit_temperature,
    operating_thresholds,
    score_counts,
)
from hilum.run.answer import softmax

__all__ = [
    "REFUSED_FRACTION",
    "Calibration",
    "ChosenTemperature",
    "calibration_words",
    "choose_temperature",
    "fit_calibration",
    "sparing_thresholds",
]

# Conformal thresholds that refuse few films: as few films as possible should fit no finding at all.
#
# A threshold for a coverage of 90 % leaves out a tenth of a finding's films. If the findings are easy to tell apart,
# these films fit no finding: they would be refused, though nothing is odd about them. A threshold below one half can be
# raised without taking a second finding into any set: a finding within it is more probable than all others together, so
# it is the most probable one, which every set holds. So thresholds are raised, up to one half, until they leave out few
# films.

REFUSED_FRACTION = 0.025  # of a finding's films that may fit no finding
_HIGHEST = 0.5


def sparing_thresholds(
    limits: Mapping[str, Mapping[str, Any]],
    probabilities: npt.ArrayLike,
    truth: npt.ArrayLike,
    findings: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return conformal thresholds of the same sets, by which fewer films fit no finding.

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
        name: {**limit, "threshold": max(limit["threshold"], min(wide[name]["threshold"], _HIGHEST))}
        for name, limit in limits.items()
    }


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
