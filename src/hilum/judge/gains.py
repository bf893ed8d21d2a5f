"""What an ensemble gains over its members, on films that all of them have answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.figures import left_out_if_none
from hilum.judge.intervals import Interval
from hilum.judge.paired import accuracy_difference, macro_f1_difference
from hilum.judge.parts import Metrics

__all__ = ["EnsembleMetrics", "Gain", "Gains", "MemberFigures", "paired_gain"]


@dataclass(frozen=True)
class MemberFigures:
    """A member: its run, and what it got right of the films that every run has answered out of fold.

    Attributes:
        name: The run's name.
        backbone: The run's backbone.
        seed: The run's seed.
        n: How many films; None where the runs have no such films in common.
        accuracy: None likewise.
        macro_f1: None likewise.
    """

    name: str
    backbone: str
    seed: int
    n: int | None = left_out_if_none()
    accuracy: Interval | None = left_out_if_none()
    macro_f1: Interval | None = left_out_if_none()


@dataclass(frozen=True)
class Gain:
    """By how much an ensemble is better than one of its members.

    Attributes:
        name: The member's name.
        n: How many films.
        right: How many of them the member answers with the true finding, and how many the ensemble.
        accuracy: The difference, with its 95 % interval.
        macro_f1: The same.
    """

    name: str
    n: int
    right: tuple[int, int]
    accuracy: Interval
    macro_f1: Interval


@dataclass(frozen=True)
class Gains:
    """The members, and what the ensemble gains over the best of them; None where that cannot be measured."""

    members: tuple[MemberFigures, ...]
    best_member: Gain | None


@dataclass(frozen=True, kw_only=True)
class EnsembleMetrics(Metrics):
    """What metrics.json of an ensemble holds."""

    ensemble: Gains


def paired_gain(
    truth: np.ndarray, member: np.ndarray, ensemble: np.ndarray, groups: np.ndarray, *, name: str, seed: int
) -> Gain:
    """Return by how much an ensemble is better than one of its members on the same films.

    Args:
        truth: (n,) int.
        member: (n, K) probabilities or logits.
        ensemble: The same of the ensemble.
        groups: (n,) int, the bootstrap draws whole groups.
        name: The member's name.
        seed: Decides the draws of the bootstrap.
    """
    answers = [scores.argmax(axis=1) for scores in (member, ensemble)]
    right = [answer == truth for answer in answers]
    return Gain(
        name=name,
        n=len(truth),
        right=(int(right[0].sum()), int(right[1].sum())),
        accuracy=accuracy_difference(right[0], right[1], groups, seed=seed),
        macro_f1=macro_f1_difference(truth, answers[0], answers[1], groups, seed=seed),
    )
