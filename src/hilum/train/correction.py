"""The correction that sets a model right for one place: constants, a temperature, and a small linear correction.

A model is seldom wrong everywhere in the same way. At another hospital its logits are mostly shifted, and a few tens of
films tell by how much. Three levels are fitted, the simplest first: the model as shipped; a constant for each finding
and a temperature; and also a linear correction on the model's features, shrunk to zero. correction_choice.py decides
which of them the films carry. numpy only.

A finding without a local film keeps its constant: its mean difference in logits to the findings that have films stays
as shipped, apart from the temperature, and no linear correction is fitted for it. So it stays possible.

Sources:
    Alexandari, Kundaje, Shrikumar 2020, Maximum likelihood with bias-corrected calibration is hard to beat at label
        shift adaptation.
    Nocedal, Wright 2006, Numerical optimization, 7.2 (L-BFGS).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.run.answer import softmax

__all__ = [
    "LEAST_FINDING_FILMS",
    "MOST_FALSE_ALARMS",
    "PENALTIES",
    "Correction",
    "LocalFilms",
    "fit_levels",
    "losses",
]

LEAST_FINDING_FILMS = 10  # a finding with fewer has no linear correction
MOST_FALSE_ALARMS = 0.1  # of local films of one finding alone, answered with another
PENALTIES = (300.0, 100.0, 30.0, 10.0, 3.0)  # on the weights of standardised features, the strongest first
_CONSTANTS_DEVIATION = 2.0  # of the normal prior on the constants, as logits at temperature 1
_TEMPERATURE_DEVIATION = 0.5  # of the normal prior on the logarithm of the change of temperature
_LEAST_SPREAD = 0.5  # of the median spread: features that hardly vary here are not blown up
_STEPS, _TOLERANCE, _REMEMBERED = 300, 1e-4, 10

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LocalFilms:
    """What a model says of n films of one place, and what they show.

    Attributes:
        logits: (n, K) of the model as shipped.
        features: (n, D) of the same graph.
        truth: (n,) int, index of the finding.
        groups: (n,) int; films of equal number stay together.
    """

    logits: FloatArray
    features: FloatArray
    truth: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Return how many films show each finding, (K,)."""
        return np.bincount(self.truth, minlength=self.logits.shape[1])

    def part(self, chosen: npt.NDArray[np.bool_]) -> LocalFilms:
        """Return some of the films, by a mask (n,)."""
        return LocalFilms(self.logits[chosen], self.features[chosen], self.truth[chosen], self.groups[chosen])


@dataclass(frozen=True, eq=False)
class Correction:
    """What is added to a model's logits, and the temperature that then suits them.

    Attributes:
        level: ``as shipped``, ``constants`` or ``linear``.
        temperature: The corrected logits are divided by it.
        constants: (K,) added to the logits.
        kernel: (D, K); the features times it are added too. None where there is no linear correction.
        penalty: Of the linear correction, else None.
    """

    level: str
    temperature: float
    constants: FloatArray
    kernel: FloatArray | None = None
    penalty: float | None = None

    def logits(self, films: LocalFilms) -> FloatArray:
        """Return the corrected logits (n, K), before the temperature."""
        added = 0.0 if self.kernel is None else films.features @ self.kernel
        return np.asarray(films.logits + self.constants + added, np.float64)


def losses(logits: npt.ArrayLike, truth: npt.NDArray[np.int64]) -> FloatArray:
    """Return each film's negative log-likelihood (n,) from logits (n, K) at temperature 1."""
    values = np.asarray(logits, np.float64)
    return np.asarray(np.logaddexp.reduce(values, axis=1) - values[np.arange(len(truth)), truth])


def fit_levels(
    films: LocalFilms, temperature: float, uses: npt.NDArray[np.bool_], *, num_levels: int | None = None
) -> tuple[Correction, ...]:
    """Return every level fitted to films, the simplest first.

    Args:
        films: The films.
        temperature: Of the model as shipped.
        uses: (K,) findings that may have a linear correction, if two of them have films.
        num_levels: How many levels are wanted: without enough findings the last one stands for those that lack.
    """
    has_films = films.counts > 0
    shipped = Correction("as shipped", temperature, np.zeros(len(uses)))
    if np.count_nonzero(has_films) == 1:
        return (shipped, _bounded(films, temperature))
    plain = _fit(films, temperature, _Design(np.zeros((len(films.truth), 0)), has_films, has_films & uses))
    found = [shipped, plain.correction("constants", None)]
    if np.count_nonzero(has_films & uses) >= 2:
        basis = _Basis.of(films.features)
        design, start = _Design(basis.rows, has_films, has_films & uses), plain.values
        for penalty in PENALTIES:
            fitted = _fit(films, temperature, design, penalty=penalty, start=start)
            found.append(fitted.correction("linear", basis, penalty))
            start = fitted.values
    return (*found, *found[-1:] * ((num_levels or 0) - len(found)))


def _bounded(films: LocalFilms, temperature: float) -> Correction:
    """Return the smallest constant for the one finding there is that bounds how often another is answered."""
    finding = int(films.truth[0])
    others = np.delete(films.logits, finding, axis=1).max(axis=1)
    lead = np.sort(others - films.logits[:, finding])  # of another finding; answered with it where above 0
    rank = min(math.ceil((len(lead) + 1) * (1 - MOST_FALSE_ALARMS) - 1e-9), len(lead))
    constants = np.zeros(films.logits.shape[1])
    constants[finding] = max(0.0, float(lead[rank - 1]))
    return Correction("constants" if constants.any() else "as shipped", temperature, constants)


@dataclass(frozen=True, eq=False)
class _Basis:
    """Features standardised on n films and turned so that they have at most n columns."""

    rows: FloatArray  # (n, r)
    turn: FloatArray  # (D, r): features minus means, times it, give rows
    means: FloatArray  # (D,)

    @classmethod
    def of(cls, features: FloatArray) -> _Basis:
        values = np.asarray(features, np.float64)
        means, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.maximum(spread, max(_LEAST_SPREAD * float(np.median(spread)), 1e-6))
        standardised = (values - means) / spread
        _, _, turned = np.linalg.svd(standardised, full_matrices=False)
        return cls(standardised @ turned.T, turned.T / spread[:, np.newaxis], means)


@dataclass(frozen=True, eq=False)
class _Design:
    """What a fit may move: (n, r) columns, (K,) findings with a constant, (K,) findings with a linear correction."""

    rows: FloatArray
    constants: npt.NDArray[np.bool_]
    linear: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Fit:
    """The logarithm of the change of scale, constants (K,) of mean 0, and weights (r, K), at temperature 1."""

    values: FloatArray
    log_scale: float
    constants: FloatArray
    weights: FloatArray
    temperature: float  # as shipped

    def correction(self, level: str, basis: _Basis | None, penalty: float | None = None) -> Correction:
        temperature = self.temperature / math.exp(self.log_scale)
        constants = self.constants * temperature
        if basis is None:
            return Correction(level, temperature, constants)
        kernel = basis.turn @ self.weights * temperature
        return Correction(level, temperature, constants - basis.means @ kernel, kernel, penalty)


def _fit(
    films: LocalFilms, temperature: float, design: _Design, *, penalty: float = 0.0, start: FloatArray | None = None
) -> _Fit:
    """Return the fit of the largest posterior. ``start`` may lack the weights, as that of a simpler level does."""
    num_films, num_findings = films.logits.shape
    shipped, targets = films.logits / temperature, np.eye(num_findings)[films.truth]
    rows, moved = design.rows, design.constants
    shape = (rows.shape[1], num_findings)

    def read(values: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        constants = values[1 : 1 + num_findings]
        weights = values[1 + num_findings :].reshape(shape) * design.linear
        return float(values[0]), np.where(moved, constants - constants[moved].mean(), 0.0), weights

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        log_scale, constants, weights = read(values)
        scaled = shipped * math.exp(log_scale)
        logits = scaled + constants + rows @ weights
        value = losses(logits, films.truth).sum() + 0.5 * (
            (log_scale / _TEMPERATURE_DEVIATION) ** 2
            + np.square(constants / _CONSTANTS_DEVIATION).sum()
            + penalty * np.square(weights).sum()
        )
        excess = softmax(logits) - targets
        of_constants = excess.sum(axis=0) + constants / _CONSTANTS_DEVIATION**2
        of_weights = (rows.T @ excess + penalty * weights) * design.linear
        slope = np.concatenate(
            (
                [float((excess * scaled).sum()) + log_scale / _TEMPERATURE_DEVIATION**2],
                np.where(moved, of_constants - of_constants[moved].mean(), 0.0),
                of_weights.ravel(),
            )
        )
        return float(value), slope

    first = np.zeros(1 + num_findings + shape[0] * num_findings)
    if start is not None:
        first[: len(start)] = start
    values = _minimum(loss, first, tolerance=_TOLERANCE * num_films)
    return _Fit(values, *read(values), temperature)


def _minimum(
    function: Callable[[FloatArray], tuple[float, FloatArray]], start: FloatArray, *, tolerance: float
) -> FloatArray:
    """Return where a smooth function of many numbers is smallest: L-BFGS with steps that are halved until they help.

    Args:
        function: Returns value and gradient.
        start: Where to begin.
        tolerance: The largest component of the gradient at the end.
    """
    point, (value, slope) = start, function(start)
    steps: list[tuple[FloatArray, FloatArray]] = []
    for _ in range(_STEPS):
        if np.abs(slope).max() <= tolerance:
            break
        direction = _direction(slope, steps)
        decline, length = float(slope @ direction), 1.0 if steps else min(1.0, 1.0 / float(np.linalg.norm(slope)))
        while True:
            tried = point + length * direction
            new_value, new_slope = function(tried)
            if new_value <= value + 1e-4 * length * decline or length < 1e-8:
                break
            length /= 2
        step, change = tried - point, new_slope - slope
        if step @ change > 1e-10 * float(change @ change):
            steps = [*steps[1 - _REMEMBERED :], (step, change)]
        point, value, slope = tried, new_value, new_slope
    return point


def _direction(slope: FloatArray, steps: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Return the direction of L-BFGS: minus the inverse curvature of the last steps, times the gradient."""
    direction, shares = -slope, []
    for step, change in reversed(steps):
        share = float(step @ direction) / float(step @ change)
        shares.append(share)
        direction = direction - share * change
    if steps:
        step, change = steps[-1]
        direction = direction * (float(step @ change) / float(change @ change))
    for (step, change), share in zip(steps, reversed(shares), strict=True):
        direction = direction + step * (share - float(change @ direction) / float(step @ change))
    return direction
