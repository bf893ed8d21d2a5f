"""Out-of-distribution detection: a score for how much a film differs from the training films.

The score is the sum of three parts, each in units of its standard deviation over validation films: the cosine distance
of the film's features to the fifth nearest training film; the energy of the logits; and the doubt, one minus the
highest probability. The distance finds other kinds of films, energy and doubt find other diseases. A part below its
mean counts as 0, because large logits must not make up for a large distance. See "Films with none of the findings" in
docs/results.md.

Source: Sun, Ming, Zhu, Li 2022, Out-of-distribution detection with deep nearest neighbors; Liu, Wang, Owens, Li 2020,
    Energy-based out-of-distribution detection; Hendrycks, Gimpel 2017, A baseline for detecting misclassified and
    out-of-distribution examples.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from hilum.run.answer import softmax

__all__ = ["BANK_FILMS", "LEAST_HELD_OUT_FILMS", "LEAST_TRAINING_FILMS", "OutOfDistributionDetector", "fit_detector"]

LEAST_TRAINING_FILMS, LEAST_HELD_OUT_FILMS = 100, 20
BANK_FILMS = 256
_NEIGHBOUR = 5
_MARGIN = 0.25
_LEVELS = 127

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class OutOfDistributionDetector:
    """Statistics of the training and validation films of a model.

    Attributes:
        bank: (M, D) features of training films, each row of length 1.
        distance: Mean and standard deviation of validation films' distance to the fifth nearest of them, in [0, 2].
        energy: Mean and standard deviation of minus the log-sum-exp of the logits.
        doubt: Mean and standard deviation of one minus the highest probability, at a temperature of 1.
        threshold: A film with a higher score is refused as unfamiliar.
        refused_fraction: Expected share of films like the validation films above the threshold.
        n: Number of validation films.
    """

    bank: FloatArray
    distance: tuple[float, float]
    energy: tuple[float, float]
    doubt: tuple[float, float]
    threshold: float
    refused_fraction: float
    n: int

    def outlier_score(self, features: npt.ArrayLike, logits: npt.ArrayLike) -> NDArray[np.float64]:
        """Return the scores (N,), at least 0, of films with features (N, D) and logits (N, K)."""
        signs = (
            _deviation(_distances(self.bank, features), self.distance),
            _deviation(_energies(logits), self.energy),
            _deviation(_doubts(logits), self.doubt),
        )
        return np.sum(np.maximum(signs, 0), axis=0)

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics for the model file; the bank as base64 of int8."""
        largest = np.maximum(np.abs(self.bank).max(axis=1, keepdims=True), 1e-12)
        levels = np.rint(self.bank / largest * _LEVELS).astype(np.int8)
        return {
            "bank": {"shape": list(levels.shape), "int8": base64.b64encode(levels.tobytes()).decode()},
            "distance": list(self.distance),
            "energy": list(self.energy),
            "doubt": list(self.doubt),
            "threshold": self.threshold,
            "refused_fraction": self.refused_fraction,
            "n": self.n,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OutOfDistributionDetector:
        """Return the statistics that `to_dict` wrote.

        Raises:
            ValueError, TypeError, KeyError: They are damaged.
        """
        packed = values["bank"]
        levels = np.frombuffer(base64.b64decode(packed["int8"], validate=True), np.int8).reshape(packed["shape"])
        if levels.ndim != 2 or not levels.size:
            raise ValueError("the statistics of the training films have wrong dimensions")
        distance, energy, doubt = (_pair(values[name]) for name in ("distance", "energy", "doubt"))
        threshold, fraction = float(values["threshold"]), float(values["refused_fraction"])
        if not math.isfinite(threshold) or not math.isfinite(fraction):
            raise ValueError("a statistic of the training films is not a number")
        return cls(_directions(levels), distance, energy, doubt, threshold, fraction, int(values["n"]))


def fit_detector(
    features: npt.ArrayLike,
    held_out: npt.ArrayLike,
    held_out_logits: npt.ArrayLike,
    *,
    num_known: int | None = None,
    refused_fraction: float = 0.01,
) -> OutOfDistributionDetector | None:
    """Return the detector of a model, or None if there are too few films.

    Args:
        features: (M, D) of a random sample of training films; `BANK_FILMS` are enough.
        held_out: (n, D) of films that were not used for training.
        held_out_logits: (n, K) of the same films.
        num_known: Number of training films from which the M were drawn; M by default.
        refused_fraction: Share of films like the held-out ones that may be refused. If they are too few for this share
            (fewer than 99 at 0.01), the threshold is above the highest score, by a quarter of its distance from the
            median.
    """
    others, known = np.asarray(held_out, np.float32), np.asarray(features, np.float32)
    if (len(known) if num_known is None else num_known) < LEAST_TRAINING_FILMS or len(others) < LEAST_HELD_OUT_FILMS:
        return None
    bank = _directions(known)
    unset = OutOfDistributionDetector(
        bank=bank,
        distance=_usual(_distances(bank, others), 1e-3),
        energy=_usual(_energies(held_out_logits), 0.05),
        doubt=_usual(_doubts(held_out_logits), 0.01),
        threshold=0.0,
        refused_fraction=0.0,
        n=len(others),
    )
    unset = OutOfDistributionDetector.from_dict(unset.to_dict())  # rounded as the file keeps it
    found = np.sort(unset.outlier_score(others, held_out_logits))
    rank = math.ceil((found.size + 1) * (1 - refused_fraction) - 1e-9)
    enough = rank <= found.size
    beyond = found[-1] + _MARGIN * (found[-1] - float(np.median(found)))
    return dataclasses.replace(
        unset,
        threshold=float(found[rank - 1] if enough else beyond),
        refused_fraction=refused_fraction if enough else 1 / (found.size + 1),
    )


def _directions(features: npt.ArrayLike) -> FloatArray:
    """Return rows scaled to length 1; a row of zeros stays 0."""
    rows = np.asarray(features, np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def _distances(bank: FloatArray, features: npt.ArrayLike) -> NDArray[np.float64]:
    """Return one minus the cosine to the fifth nearest row of the bank, (N,)."""
    cosines = _directions(features) @ bank.T  # (N, M)
    place = min(_NEIGHBOUR, cosines.shape[1])
    return np.asarray(1 - np.partition(cosines, -place, axis=1)[:, -place], np.float64)


def _energies(logits: npt.ArrayLike) -> NDArray[np.float64]:
    """Return minus the log-sum-exp of logits (N, K), (N,)."""
    return np.asarray(-np.logaddexp.reduce(np.asarray(logits, np.float64), axis=1))


def _doubts(logits: npt.ArrayLike) -> NDArray[np.float64]:
    """Return one minus the highest probability, (N,), from logits (N, K)."""
    return np.asarray(1 - softmax(logits).max(axis=1))


def _pair(values: Any) -> tuple[float, float]:
    """Return a mean and a standard deviation from the file."""
    mean, deviation = (float(number) for number in values)
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
        raise ValueError("a statistic of the training films is not a number")
    return mean, deviation


def _usual(values: NDArray[np.float64], least: float) -> tuple[float, float]:
    """Return mean and standard deviation, the latter at least ``least``: with a tiny one every film is an outlier."""
    return float(values.mean()), float(max(values.std(), least))


def _deviation(values: NDArray[np.float64], usual: tuple[float, float]) -> NDArray[np.float64]:
    return (values - usual[0]) / usual[1]
