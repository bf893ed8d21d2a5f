"""The curves behind a model's figures: ROC, precision and recall, and reliability with the calibration error.

The tests check the first two with scikit-learn.

Source: Guo et al. 2017, On calibration of modern neural networks (expected calibration error).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError

__all__ = [
    "checked_scores",
    "expected_calibration_error",
    "precision_recall_curve",
    "reliability_bins",
    "roc_curve",
]

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
