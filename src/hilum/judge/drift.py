"""Drift: whether a model's answers to today's films are distributed as those to the films of its evaluation.

Answers are counted in bins: the probability of each finding, the highest probability, the likeliest finding, the size
of the set, whether the film was refused, how unlike the training films it is, and how bright it is. Each count is
compared with that of the evaluation by a permutation test: if the films were of one kind, any of them could have been
on either side. The level of 1 % is shared by all quantities (Bonferroni), so that one false alarm in a hundred
comparisons is expected at most.

Source: Scholz, Stephens 1987, K-sample Anderson-Darling tests (ordered bins); Pearson's chi-square (unordered bins).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.figures import to_json
from hilum.judge.predictions import LabelledPredictions
from hilum.run.saved_counts import DayCounts

__all__ = [
    "LEAST_FILMS",
    "LEVEL",
    "AnswerCounts",
    "Drift",
    "QuantityDrift",
    "bin_names",
    "count_answers",
    "counts_from_json",
    "counts_of_days",
    "evaluation_of",
    "measure_drift",
    "sum_counts",
]

LEVEL = 0.01  # false alarms among comparisons of films of one kind
LEAST_FILMS = 50  # on either side; fewer cannot tell
_EDGES = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999)  # of probabilities
_SCORE_EDGES = (0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 11, 16, 25)  # of outlier scores
_EXPOSURE_EDGES = tuple(round(0.05 * step, 2) for step in range(1, 20))
_DRAWS = 10_000
_POWER = 0.8
_UNORDERED = "likeliest"

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AnswerCounts:
    """A model's answers to films, counted in bins.

    Attributes:
        n: Number of films.
        counts: Quantity to the numbers of films in its bins: ``probability:NAME`` of each finding, ``confidence``
            (the highest probability), ``likeliest`` (one bin a finding), ``set_size``, ``refused``, ``outlier_score``
            and ``exposure``. The last two count the films of which they are known, and are left out where there are
            none: earlier versions of hilum did not count them.
    """

    n: int
    counts: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class QuantityDrift:
    """One quantity compared.

    Attributes:
        quantity: As in `AnswerCounts`.
        p: How often films of one kind would differ as much.
        is_different: Whether this is below the quantity's share of the level.
        reference_shares: Share of the evaluation's films in each bin.
        shares: Share of today's films in each bin.
    """

    quantity: str
    p: float
    is_different: bool
    reference_shares: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Drift:
    """Today's films compared with those of the evaluation.

    Attributes:
        n: Today's films.
        reference_n: Films of the evaluation.
        quantities: The comparisons, the smallest p first; empty with fewer than `LEAST_FILMS` on either side.
        found_difference: The smallest difference in a share of half the films that would be found 8 times out of 10.
        not_in_reference: Quantities that are not compared, since the evaluation counted fewer than `LEAST_FILMS`.
        not_in_today: Quantities that are not compared, since fewer than `LEAST_FILMS` of today's films were counted.
    """

    n: int
    reference_n: int
    quantities: tuple[QuantityDrift, ...]
    found_difference: float | None
    not_in_reference: tuple[str, ...] = ()
    not_in_today: tuple[str, ...] = ()

    @property
    def is_different(self) -> bool | None:
        """Whether any quantity differs; None with too few films."""
        return any(one.is_different for one in self.quantities) if self.quantities else None


def count_answers(
    probabilities: npt.ArrayLike,
    set_sizes: Sequence[int],
    accepted: Sequence[bool],
    findings: Sequence[str],
    *,
    outlier_scores: Sequence[float | None] = (),
    exposures: Sequence[float | None] = (),
) -> AnswerCounts:
    """Return answers counted in bins.

    Args:
        probabilities: (n, K).
        set_sizes: (n,), 1 to K.
        accepted: (n,), whether the film was judged.
        findings: K names.
        outlier_scores: (n,), as in `hilum.run.answer.Answer`; None where it is not known. Empty: none is.
        exposures: (n,), the same.
    """
    values = np.asarray(probabilities, np.float64).reshape(len(set_sizes), len(findings))
    counts = {f"probability:{name}": _binned(values[:, place]) for place, name in enumerate(findings)}
    counts["confidence"] = _binned(values.max(axis=1, initial=0.0))
    likeliest = values.argmax(axis=1)
    counts[_UNORDERED] = _tuple(np.bincount(likeliest, minlength=len(findings)))
    counts["set_size"] = _tuple(np.bincount(np.asarray(set_sizes, np.int64), minlength=len(findings) + 1)[1:])
    refused = int(np.sum(~np.asarray(accepted, bool)))
    counts["refused"] = (len(values) - refused, refused)
    for name, found, edges in (
        ("outlier_score", outlier_scores, _SCORE_EDGES),
        ("exposure", exposures, _EXPOSURE_EDGES),
    ):
        if known := [value for value in found if value is not None]:
            counts[name] = _binned(np.array(known), edges)
    return AnswerCounts(len(values), counts)


def sum_counts(parts: Iterable[AnswerCounts]) -> AnswerCounts:
    """Return the counts of all films of several parts; no films and no quantities of none. Each part may lack some.

    Args:
        parts: Counts of the same model.
    """
    found = [one for one in parts if one.counts]
    counts: dict[str, tuple[int, ...]] = {}
    for part in found:
        for name, bins in part.counts.items():
            counts[name] = tuple(map(sum, zip(counts.get(name, (0,) * len(bins)), bins, strict=True)))
    return AnswerCounts(sum(one.n for one in found), counts)


def counts_of_days(days: Iterable[DayCounts]) -> AnswerCounts:
    """Return the counts of all films of several days."""
    return sum_counts(AnswerCounts(one.n, {name: tuple(bins) for name, bins in one.counts.items()}) for one in days)


def bin_names(quantity: str, findings: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a quantity's bins, as for Prometheus.

    Example:
        >>> bin_names("set_size", ("Normal", "Covid-19"))
        ('1', '2')
    """
    named = {
        _UNORDERED: tuple(findings),
        "set_size": tuple(str(size + 1) for size in range(len(findings))),
        "refused": ("no", "yes"),
    }
    inner, last = {"outlier_score": (_SCORE_EDGES, ""), "exposure": (_EXPOSURE_EDGES, "1")}.get(quantity, (_EDGES, "1"))
    edges = ("0", *map(str, inner), last)
    return named.get(quantity) or tuple(f"{low}-{high}" for low, high in pairwise(edges))


def counts_from_json(values: Mapping[str, Any]) -> AnswerCounts | None:
    """Return the counts that a model file keeps; None if it keeps none, as those of earlier versions."""
    if not values:
        return None
    return AnswerCounts(int(values["n"]), {name: tuple(map(int, one)) for name, one in values["counts"].items()})


def evaluation_of(**parts: LabelledPredictions) -> dict[str, Any]:
    """Return what a model file keeps of its evaluation: the answers of the first part that has films."""
    for name, part in parts.items():
        if part.answers:
            made = count_answers(
                part.probabilities,
                [len(one.set) for one in part.answers],
                [one.accepted for one in part.answers],
                part.findings,
                outlier_scores=[one.outlier_score for one in part.answers],
                exposures=[one.exposure for one in part.answers],
            )
            return {"part": name, **to_json(made)}
    return {}


def measure_drift(reference: AnswerCounts, today: AnswerCounts, *, seed: int = 0) -> Drift:
    """Return how today's answers compare with those of the evaluation.

    Args:
        reference: The answers of the evaluation.
        today: Answers of the same model.
        seed: Of the permutations.
    """
    if min(reference.n, today.n) < LEAST_FILMS:
        return Drift(today.n, reference.n, (), None)
    rng = np.random.default_rng(seed)
    found_names = dict.fromkeys((*reference.counts, *today.counts))
    lacking = [_scarce(one, found_names) for one in (reference, today)]
    names = [name for name in found_names if not any(name in one for one in lacking)]
    if not names:
        return Drift(today.n, reference.n, (), None)
    level = LEVEL / len(names)
    quantities = []
    for name in names:
        old, new = (np.array(one.counts[name], np.int64) for one in (reference, today))
        p = _permutation_p(old, new, rng, ordered=name != _UNORDERED)
        quantities.append(QuantityDrift(name, p, p <= level, tuple(old / old.sum()), tuple(new / new.sum())))
    normal = NormalDist()
    needed = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(_POWER)
    difference = needed * 0.5 * float(np.sqrt(1 / reference.n + 1 / today.n))
    return Drift(
        today.n,
        reference.n,
        tuple(sorted(quantities, key=lambda one: one.p)),
        min(difference, 1.0),
        *(tuple(name for name in found_names if name in one) for one in lacking),
    )


def _scarce(counts: AnswerCounts, found: Iterable[str]) -> set[str]:
    """Return the quantities of which too few films were counted."""
    return {name for name in found if sum(counts.counts.get(name, ())) < LEAST_FILMS}


def _permutation_p(
    old: npt.NDArray[np.int64], new: npt.NDArray[np.int64], rng: np.random.Generator, *, ordered: bool
) -> float:
    """Return the p value of two counts of the same bins: films of both sides are dealt out anew."""
    both = old + new
    used = both > 0
    both, new = both[used], new[used]
    if both.size < 2:
        return 1.0
    dealt = rng.multivariate_hypergeometric(both, int(new.sum()), size=_DRAWS, method="marginals")  # (draws, B)
    found = _distance(new[np.newaxis], both, ordered=ordered)[0]
    return float((1 + np.sum(_distance(dealt, both, ordered=ordered) >= found * (1 - 1e-9))) / (_DRAWS + 1))


def _distance(counts: npt.NDArray[np.int64], both: npt.NDArray[np.int64], *, ordered: bool) -> FloatArray:
    """Return how far counts (draws, B) are from their expectation: Anderson-Darling's or chi-square."""
    share = counts[:1].sum() / both.sum()
    if not ordered:
        return np.asarray(((counts - share * both) ** 2 / both).sum(axis=1))
    below = both.cumsum()[:-1] / both.sum()
    gaps = (counts.cumsum(axis=1)[:, :-1] - share * both.cumsum()[:-1]) ** 2
    return np.asarray((both[:-1] * gaps / (below * (1 - below))).sum(axis=1))


def _binned(values: FloatArray, edges: Sequence[float] = _EDGES) -> tuple[int, ...]:
    return _tuple(np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1))


def _tuple(counts: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(counts.tolist())
