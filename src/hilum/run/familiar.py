"""How far a film's features lie from those of the films a model learned from: statistics in the model file.

Features are projected onto the directions along which the training films vary most, and scaled to unit deviation within
the findings; what the projection leaves out counts too, measured against its usual size. The distance is the one to
the nearest finding's mean.

Source: Lee et al. 2018, A simple unified framework for detecting out-of-distribution samples (class means, one shared
    covariance).
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

__all__ = ["LEAST_HELD_OUT_FILMS", "LEAST_TRAINING_FILMS", "Familiarity", "fit_familiarity"]

LEAST_TRAINING_FILMS, LEAST_HELD_OUT_FILMS = 100, 20
_MOST_DIRECTIONS = 24
_RIDGE = 0.01  # of the mean variance
_MARGIN = 1.25

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Statistics of training films' features.

    Attributes:
        center: (D,) mean of the features.
        basis: (D, d), orthonormal directions.
        scaling: (d, d), gives projected features unit deviation within the findings.
        means: (K, d), each finding's mean, projected and scaled.
        residual_scale: Usual length of what the projection leaves out.
        threshold: A film further away than this is unfamiliar.
        refused_fraction: Share of films like the validation films that lie further away, as far as n of them can tell.
        n: Validation films that the threshold was chosen on.
    """

    center: FloatArray
    basis: FloatArray
    scaling: FloatArray
    means: FloatArray
    residual_scale: float
    threshold: float
    refused_fraction: float
    n: int

    def distances(self, features: npt.ArrayLike) -> NDArray[np.float64]:
        """Return how far films lie from the nearest finding, (N,), from their features (N, D)."""
        centred = np.asarray(features, np.float64) - self.center  # differences of large squares follow
        projected = centred @ self.basis  # (N, d)
        scaled = projected @ self.scaling
        gaps = np.square(scaled[:, None] - self.means).sum(axis=2).min(axis=1)  # (N,)
        left = np.maximum(np.square(centred).sum(axis=1) - np.square(projected).sum(axis=1), 0)
        return np.sqrt(gaps / self.means.shape[1] + left / self.residual_scale**2)

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as they stand in the model file; arrays as base64 of float32."""
        return {
            "center": _pack(self.center),
            "basis": _pack(self.basis),
            "scaling": _pack(self.scaling),
            "means": _pack(self.means),
            "residual_scale": self.residual_scale,
            "threshold": self.threshold,
            "refused_fraction": self.refused_fraction,
            "n": self.n,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Familiarity:
        """Return the statistics that `to_dict` wrote.

        Raises:
            ValueError, TypeError, KeyError: They do not hold together.
        """
        center, basis, scaling, means = (_unpack(values[name]) for name in ("center", "basis", "scaling", "means"))
        scale, threshold, fraction = (float(values[n]) for n in ("residual_scale", "threshold", "refused_fraction"))
        if center.ndim != 1 or means.ndim != 2 or not means.size:
            raise ValueError("the gate's statistics have other dimensions")
        if basis.shape != (center.size, means.shape[1]) or scaling.shape != (means.shape[1],) * 2:
            raise ValueError("the gate's statistics do not fit together")
        if not all(math.isfinite(number) for number in (scale, threshold, fraction)) or scale <= 0:
            raise ValueError("the gate's statistics hold no number")
        return cls(center, basis, scaling, means, scale, threshold, fraction, int(values["n"]))


def fit_familiarity(
    features: npt.ArrayLike, labels: npt.ArrayLike, held_out: npt.ArrayLike, *, refused_fraction: float = 0.01
) -> Familiarity | None:
    """Return the statistics of training films' features, or None where the films are too few to tell what is usual.

    Args:
        features: (N, D) of training films.
        labels: (N,) int, index of each film's finding.
        held_out: (n, D) of films that the features were not learned from; they set the threshold.
        refused_fraction: Share of films like those that may lie beyond it. With few of them (fewer than 99 at 0.01) the
            threshold lies a quarter beyond the furthest.
    """
    known, truth, others = np.asarray(features, np.float64), np.asarray(labels), np.asarray(held_out, np.float64)
    if len(known) < LEAST_TRAINING_FILMS or len(others) < LEAST_HELD_OUT_FILMS:
        return None
    center = known.mean(axis=0)
    centred = known - center
    num_directions = min(_MOST_DIRECTIONS, len(known) // 10, known.shape[1])
    basis = np.linalg.svd(centred, full_matrices=False)[2][:num_directions].T  # (D, d)
    projected = centred @ basis
    findings = np.unique(truth)
    means = np.array([projected[truth == finding].mean(axis=0) for finding in findings])  # (K, d)
    within = projected - means[np.searchsorted(findings, truth)]
    covariance = within.T @ within / len(within)
    covariance += np.eye(num_directions) * (np.trace(covariance) / num_directions * _RIDGE + 1e-12)
    scaling = np.linalg.inv(np.linalg.cholesky(covariance)).T
    left = np.square(centred).sum(axis=1) - np.square(projected).sum(axis=1)
    unset = Familiarity(
        center=center.astype(np.float32),
        basis=basis.astype(np.float32),
        scaling=scaling.astype(np.float32),
        means=(means @ scaling).astype(np.float32),
        residual_scale=float(np.sqrt(max(left.mean(), 1e-12))),
        threshold=0.0,
        refused_fraction=0.0,
        n=len(others),
    )
    distances = np.sort(unset.distances(others))
    rank = math.ceil((distances.size + 1) * (1 - refused_fraction) - 1e-9)
    enough = rank <= distances.size
    return dataclasses.replace(
        unset,
        threshold=float(distances[rank - 1] if enough else distances[-1] * _MARGIN),
        refused_fraction=refused_fraction if enough else 1 / (distances.size + 1),
    )


def _pack(values: FloatArray) -> dict[str, Any]:
    return {"shape": list(values.shape), "float32": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def _unpack(values: Mapping[str, Any]) -> FloatArray:
    numbers = np.frombuffer(base64.b64decode(values["float32"], validate=True), "<f4")
    array = numbers.reshape(values["shape"]).astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("the gate's statistics hold no number")
    return array
