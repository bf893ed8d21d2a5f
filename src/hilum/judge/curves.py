"""The curves behind AUROC and average precision, one point a distinct score. The tests check them with scikit-learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["precision_recall_curve", "roc_curve"]

FloatArray = npt.NDArray[np.float64]


def roc_curve(positive: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return false-positive and true-positive fractions as the threshold falls, from (0, 0) to (1, 1).

    Args:
        positive: (n,) bool, the film has the finding.
        scores: (n,) float.

    Returns:
        Two arrays (m,) float64, one step a distinct score; empty where all or none of the films have the finding.
    """
    hits, alarms = _falling_counts(positive, scores)
    if hits[-1] == 0 or alarms[-1] == 0:
        return np.empty(0), np.empty(0)
    return alarms / alarms[-1], hits / hits[-1]


def precision_recall_curve(positive: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return recall and precision as the threshold falls, one point a distinct score.

    Args:
        positive: (n,) bool, the film has the finding.
        scores: (n,) float.

    Returns:
        Two arrays (m,) float64; empty where no film has the finding.
    """
    hits, alarms = _falling_counts(positive, scores)
    if hits[-1] == 0:
        return np.empty(0), np.empty(0)
    return hits[1:] / hits[-1], hits[1:] / (hits[1:] + alarms[1:])


def _falling_counts(positive: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return true and false positives at each distinct score, highest first, after a leading 0."""
    has_finding = np.asarray(positive, dtype=bool)
    values, inverse = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
    hits = np.bincount(inverse, weights=has_finding, minlength=values.size).cumsum()
    alarms = np.bincount(inverse, weights=~has_finding, minlength=values.size).cumsum()
    return np.concatenate(([0.0], hits)), np.concatenate(([0.0], alarms))
