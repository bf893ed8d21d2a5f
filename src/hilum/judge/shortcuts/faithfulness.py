"""Whether a heat map points at what the answer rests on: its share inside the lungs, and deletion and insertion.

A map has no truth to be held against. What can be measured: how much of it lies where disease of the lung can be seen;
and whether taking away what it points at changes the answer sooner than taking away anything else. Both speak of
where, not of why.

Source: Petsiuk, Das, Saenko 2018, RISE: randomized input sampling for explanation of black-box models (deletion and
insertion).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import Interval, grouped_mean
from hilum.judge.metrics import Labels
from hilum.judge.shortcuts.occlusion import FILL
from hilum.run.answer import softmax
from hilum.run.engine import Engine
from hilum.run.heatmap import heat
from hilum.run.lungs import lung_mask

__all__ = [
    "FRACTIONS",
    "ORDERS",
    "HeatMapMass",
    "OrderScores",
    "order_films",
    "score_mass",
    "score_orders",
    "share_in_lungs",
]

FRACTIONS = tuple(step / 12 for step in range(13))
ORDERS = ("heatmap", "centre", "random")
_CELLS = 16  # a side; random order goes by cells, as a heat map does, and not by single pixels
_BLUR_FRACTION = 0.08  # of the side: what insertion begins with shows no structure of the lung


@dataclass(frozen=True)
class Mass:
    """How much of some heat maps lies inside the lungs.

    Attributes:
        n: How many heat maps there are.
        in_lungs: Their share inside the lungs.
        even: That of an even map.
        excess: The difference, on the same films.
    """

    n: int
    in_lungs: Interval
    even: Interval
    excess: Interval


@dataclass(frozen=True)
class HeatMapMass:
    """How much of the heat maps lies inside the lungs.

    Attributes:
        all: Of all films.
        right: Of films with a right answer.
        wrong: Of films with a wrong answer.
        per_finding: By the finding answered.
    """

    all: Mass
    right: Mass
    wrong: Mass
    per_finding: Mapping[str, Mass]


@dataclass(frozen=True)
class OrderScore:
    """Deletion or insertion.

    Attributes:
        curves: Order of the pixels to the mean probability after each fraction of them.
        area: Order to the area beneath its curve.
        gain: Baseline to the gain of the heat map over it on the same films: above 0 where the map is better.
    """

    curves: Mapping[str, tuple[float, ...]]
    area: Mapping[str, Interval]
    gain: Mapping[str, Interval]


@dataclass(frozen=True)
class OrderScores:
    """Deletion (a smaller area is better) and insertion (a larger one), by fractions of the pixels."""

    fractions: tuple[float, ...]
    deletion: OrderScore
    insertion: OrderScore


def share_in_lungs(radiograph: Radiograph, activation: NDArray[np.float32]) -> tuple[float, float]:
    """Return how much of a heat map lies inside the lungs, and how much of an even one would.

    Args:
        radiograph: The film.
        activation: (h, w) float32 of one finding.

    Returns:
        Two fractions; the first is NaN where nothing on the film speaks for the finding.
    """
    mask = lung_mask(radiograph)
    warmth = heat(activation, (mask.shape[0], mask.shape[1]))
    total = float(warmth.sum())
    even = float(mask.mean())
    return float(warmth[mask].sum()) / total if total > 0 else float("nan"), even


def score_mass(shares: NDArray[np.float64], predicted: NDArray[np.int64], labels: Labels) -> HeatMapMass:
    """Return how much of the heat maps lies inside the lungs, over all films, by answer and by finding.

    Args:
        shares: (n, 2), as share_in_lungs returns them.
        predicted: (n,) index of the finding answered, whose heat map it is; a film counts with this finding.
        labels: Of these films.
    """
    truth = labels.truth

    def mean(chosen: NDArray[np.bool_]) -> Mass:
        chosen = chosen & np.isfinite(shares[:, 0])
        inside, even, of = shares[chosen, 0], shares[chosen, 1], labels.groups[chosen]
        excess = grouped_mean(inside - even, of, limits=(-1, 1))
        return Mass(int(chosen.sum()), grouped_mean(inside, of), grouped_mean(even, of), excess)

    return HeatMapMass(
        all=mean(np.ones(len(truth), dtype=bool)),
        right=mean(predicted == truth),
        wrong=mean(predicted != truth),
        per_finding={name: mean(predicted == index) for index, name in enumerate(labels.findings)},
    )


def order_films(
    engine: Engine,
    film: NDArray[np.float32],
    activation: NDArray[np.float32],
    answer: int,
    *,
    temperature: float,
    seed: int,
) -> NDArray[np.float64]:
    """Return the answer's probability as a film is taken away, and as it comes, hottest pixels first and otherwise.

    Taken away, a pixel turns to even grey; to begin with, the film that comes is blurred beyond recognition. The order
    of the heat map is that of the activation, evidence against the answer last; the baselines take cells at random, or
    pixels from the centre outwards.

    Args:
        engine: The model's.
        film: (1, S, S) float32, the graph's input.
        activation: (h, w) float32 of the finding answered.
        answer: Its index.
        temperature: The model's.
        seed: Of the random order.

    Returns:
        (2, 3, 13) float64: deletion and insertion, by ORDERS, by FRACTIONS of the pixels changed.
    """
    side = film.shape[-1]
    blurred = cv2.GaussianBlur(film[0], (0, 0), _BLUR_FRACTION * side, borderType=cv2.BORDER_REPLICATE)
    inner = FRACTIONS[1:-1]
    inputs = [np.full_like(film, FILL), film, blurred[np.newaxis]]
    for rank in _ranks(activation, side, seed):
        for fraction in inner:
            changed = rank < fraction
            inputs.append(np.where(changed, FILL, film))
            inputs.append(np.where(changed, film, blurred))
    logits = np.concatenate([engine.run(np.stack(inputs[at : at + 16])).logits for at in range(0, len(inputs), 16)])
    probability = softmax(logits, temperature)[:, answer]
    empty, whole, vague = probability[:3]
    curves = probability[3:].reshape(len(ORDERS), len(inner), 2).transpose(2, 0, 1)  # (2, orders, inner fractions)
    ends = np.ones((len(ORDERS), 1))
    deletion = np.concatenate((whole * ends, curves[0], empty * ends), axis=1)
    insertion = np.concatenate((vague * ends, curves[1], whole * ends), axis=1)
    return np.stack((deletion, insertion))


def score_orders(curves: NDArray[np.float64], groups: NDArray[np.int64]) -> OrderScores:
    """Return mean curves and the areas beneath them.

    Args:
        curves: (n, 2, 3, 13), one order_films a film.
        groups: (n,) films of equal number are not independent.
    """
    areas = np.asarray(np.trapezoid(curves, FRACTIONS, axis=-1))  # (n, 2, 3)

    def score(index: int, sign: float) -> OrderScore:
        own = areas[:, index, 0]
        gains = {order: sign * (own - areas[:, index, at]) for at, order in enumerate(ORDERS) if at}
        return OrderScore(
            curves={order: tuple(curves[:, index, at].mean(axis=0).tolist()) for at, order in enumerate(ORDERS)},
            area={order: grouped_mean(areas[:, index, at], groups) for at, order in enumerate(ORDERS)},
            gain={order: grouped_mean(gain, groups, limits=(-1, 1)) for order, gain in gains.items()},
        )

    return OrderScores(FRACTIONS, deletion=score(0, -1.0), insertion=score(1, 1.0))


def _ranks(activation: NDArray[np.float32], side: int, seed: int) -> list[NDArray[np.float64]]:
    """Return for each of ORDERS when each pixel's turn comes, (S, S) from 0 to 1."""
    rng = np.random.default_rng(seed)
    strength = cv2.resize(activation.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    row = np.linspace(-1, 1, side)
    distance = row[:, np.newaxis] ** 2 + row**2
    cells = cv2.resize(
        rng.permutation(_CELLS**2).astype(np.float32).reshape(_CELLS, _CELLS),
        (side, side),
        interpolation=cv2.INTER_NEAREST,
    )
    chance = rng.random((side, side))  # settles ties
    ranks = []
    for first in (-strength, distance, cells):
        order = np.lexsort((chance.ravel(), first.ravel()))
        rank = np.empty(side * side)
        rank[order] = np.arange(side * side) / (side * side)
        ranks.append(rank.reshape(side, side))
    return ranks
