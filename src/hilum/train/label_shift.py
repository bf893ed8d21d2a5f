"""How often each finding occurs among films without labels, and whether that is all that differs.

Expectation maximisation finds the mix of findings under which a model's probabilities of these films are the likeliest.
That is right if the films of each finding look as they did where the model was calibrated, and only their mix differs.
So three checks decide whether the mix is used: that it differs by more than chance; that the probabilities are
distributed as those of the calibration films would be in such a mix; and that few films are unlike those that the model
learned from.

Source: Saerens, Latinne, Decaestecker 2002, Adjusting the outputs of a classifier to new a priori probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.judge.calibration import SCORE_EDGES
from hilum.judge.contingency import chi_squared_tail
from hilum.judge.intervals import Interval, wilson_interval

__all__ = ["LabelShift", "estimate_shift"]

_MOST_P = 0.01  # a mix that differs by chance as rarely as this is used; answers that fit as rarely are not
_MOST_UNFAMILIAR = 0.05
_LEAST_FILMS = 10  # calibration films of each finding
_STEPS, _TOLERANCE, _RESAMPLES = 2000, 1e-6, 100

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelShift:
    """The mix of findings among films without labels.

    Attributes:
        before: (K,) the mix that the probabilities were calibrated in.
        after: (K,) the estimate here; no finding is rarer than one film in n + K.
        intervals: Of each share, from a bootstrap over groups.
        p_shift: How often a mix as different arises by chance.
        p_fit: How often the probabilities fit the estimate as badly by chance; None where the file does not tell.
        reason: Why the estimate is not used; empty where it is.
    """

    before: FloatArray
    after: FloatArray
    intervals: tuple[Interval, ...]
    p_shift: float
    p_fit: float | None
    reason: str

    @property
    def log_ratios(self) -> FloatArray:
        """Return what to add to the logits at temperature 1, (K,) of mean 0."""
        ratios = np.log(self.after / self.before)
        return np.asarray(ratios - ratios.mean())


def estimate_shift(
    probabilities: FloatArray,
    before: FloatArray,
    groups: npt.NDArray[np.int64],
    *,
    scores: FloatArray | None,
    num_unfamiliar: int,
) -> LabelShift:
    """Return the mix of findings among films, and whether it may be used.

    Args:
        probabilities: (n, K) calibrated.
        before: (K,) the mix that they were calibrated in.
        groups: (n,) int; films of equal number are not independent.
        scores: (K, K, B) of `score_counts` of the calibration films; None if not known.
        num_unfamiliar: How many of the films the model refused as unlike those that it learned from.
    """
    num_films, num_findings = probabilities.shape
    after = _mix(probabilities, before, np.ones(num_films))
    likelihood = 2 * float(np.log(probabilities @ (after / before)).sum())
    p_shift = chi_squared_tail(max(0.0, likelihood), num_findings - 1)
    enough = scores is not None and scores[:, 0].sum(axis=1).min() >= _LEAST_FILMS
    p_fit = _fit(probabilities, after, scores) if scores is not None and enough else None
    rng = np.random.default_rng(0)
    names, group_of = np.unique(groups, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), _RESAMPLES)[:, group_of]
    mixes = np.array([_mix(probabilities, before, weights) for weights in drawn.astype(np.float64)])
    low, high = np.percentile(mixes, [2.5, 97.5], axis=0)
    intervals = tuple(
        Interval(float(value), min(float(one), float(value)), max(float(two), float(value)))
        for value, one, two in zip(after, low, high, strict=True)
    )
    return LabelShift(before, after, intervals, p_shift, p_fit, _reason(p_shift, p_fit, num_unfamiliar, num_films))


def _reason(p_shift: float, p_fit: float | None, num_unfamiliar: int, num_films: int) -> str:
    """Return why a mix is not used, as a sentence; empty where it is."""
    if wilson_interval(num_unfamiliar, num_films)[0] > _MOST_UNFAMILIAR:
        return f"{num_unfamiliar} of {num_films} films are unlike those that the model learned from."
    if p_fit is None:
        return "The model file does not say how its probabilities are distributed, so this cannot be checked."
    if p_fit < _MOST_P:
        return "Its probabilities are not those to expect of any mix of its findings: more differs than the mix."
    if p_shift >= _MOST_P:
        return "The mix of findings does not differ from that of the model's films by more than chance."
    return ""


def _mix(probabilities: FloatArray, before: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the mix (K,) of films with weights (n,) by expectation maximisation."""
    mix, least = before, 1 / (weights.sum() + len(before))
    for _ in range(_STEPS):
        joint = probabilities * (mix / before)
        new = weights @ (joint / joint.sum(axis=1, keepdims=True)) / weights.sum()
        if np.abs(new - mix).max() < _TOLERANCE:
            break
        mix = new
    mix = np.maximum(mix, least)
    return np.asarray(mix / mix.sum())


def _fit(probabilities: FloatArray, mix: FloatArray, scores: FloatArray) -> float:
    """Return how often probabilities (n, K) fit a mix (K,) as badly by chance; the least of the K, times K.

    Args:
        probabilities: Of the films without labels.
        mix: The estimate.
        scores: (K, K, B) of the calibration films.
    """
    num_films, num_findings = probabilities.shape
    num_bins = scores.shape[2]
    films = scores.sum(axis=2, keepdims=True) + num_bins / 2
    shares = (scores + 0.5) / films  # (K, K, B)
    expected = np.einsum("t,tkb->kb", mix, shares)
    of_reference = np.einsum("t,tkb->kb", np.square(mix), shares * (1 - shares) / films)
    spread = num_films * expected + num_films**2 * of_reference
    bins = np.searchsorted(SCORE_EDGES, probabilities, side="right")
    found = np.stack([np.bincount(bins[:, one], minlength=num_bins) for one in range(num_findings)])
    misfit = (np.square(found - num_films * expected) / spread).sum(axis=1)
    return min(1.0, num_findings * min(chi_squared_tail(float(one), num_bins - 1) for one in misfit))
