"""A model's figures in house, as its file has them, beside those on other films; and what `evaluate` makes of both.

Sources:
    Zou, Donner 2008, Construction of confidence limits about effect measures: a general approach (MOVER: the interval
    of a difference from the intervals of its two sides).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hilum.figures import left_out_if_none
from hilum.judge.external import PneumoniaFigures, UnknownFinding
from hilum.judge.intervals import Interval
from hilum.judge.metrics import FindingFigures
from hilum.judge.parts import Metrics, headline_parts, judged_parts, parts_from_json
from hilum.judge.prevalence import AtPrevalence

__all__ = ["Change", "EvaluationMetrics", "InHouseComparison", "JudgedPart", "TrainedOn", "in_house_comparison"]

_COMPARED = ("auroc", "sensitivity", "specificity")


@dataclass(frozen=True)
class Change:
    """A figure in house and here, on separate films, and the change: here minus in house."""

    in_house: Interval
    here: Interval
    change: Interval


@dataclass(frozen=True)
class JudgedPart:
    """The part of the films that a figure is of, and how many films it holds."""

    part: str
    n: int


@dataclass(frozen=True)
class InHouseComparison:
    """The figures in the model file beside those of the films judged now.

    Attributes:
        in_house: The part that the model file has figures of.
        here: The part judged now.
        lacking: Findings without a film here.
        figures: Figure to its change.
        per_finding: Finding to figure to its change.
    """

    in_house: JudgedPart
    here: JudgedPart
    lacking: tuple[str, ...]
    figures: Mapping[str, Change]
    per_finding: Mapping[str, Mapping[str, Change]]


@dataclass(frozen=True)
class TrainedOn:
    """The films that the model, or a near twin of them, was trained on."""

    n: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationMetrics(Metrics):
    """What metrics.json of `evaluate` holds.

    Attributes:
        in_house: None where one of the two sides has no figures.
        trained_on: None where the model file does not tell what it was trained on.
        unknown_findings: Finding that the model does not know to how its films are answered.
        pneumonia: None where the question cannot be asked.
        at_prevalence: What the answers are worth at a prevalence; None where none was asked for.
    """

    in_house: InHouseComparison | None = None
    trained_on: TrainedOn | None = None
    unknown_findings: Mapping[str, UnknownFinding] = field(default_factory=dict)
    pneumonia: PneumoniaFigures | None = None
    at_prevalence: AtPrevalence | None = left_out_if_none()


def in_house_comparison(in_house: Mapping[str, Any], here: Metrics) -> InHouseComparison | None:
    """Return the figures in the model file beside those of the films judged now, each with its change.

    Each side is its most trustworthy test part. Accuracy and AUROC depend on which findings there are; where some lack
    here, the recall of the findings present is what can be compared.

    Args:
        in_house: The figures in the model file.
        here: Those of the films judged now.

    Returns:
        None where one of the two has no figures.
    """
    judged = parts_from_json(in_house), judged_parts(here)
    if not all(judged):
        return None
    parts = [headline_parts(side)[0] for side in judged]
    house, now = (side[part] for side, part in zip(judged, parts, strict=True))
    shared = [name for name, values in now.per_finding.items() if values.n and _num_films(house.per_finding.get(name))]
    lacking = tuple(name for name, values in now.per_finding.items() if not values.n)
    figures = {"accuracy": _change(house.accuracy, now.accuracy)}
    if shared:
        recall = (_mean([side.per_finding[name].recall for name in shared]) for side in (house, now))
        figures["recall_mean"] = _change(*recall)
    if not lacking:
        figures["auroc_macro"] = _change(house.auroc_macro, now.auroc_macro)
    return InHouseComparison(
        in_house=JudgedPart(parts[0], house.n),
        here=JudgedPart(parts[1], now.n),
        lacking=lacking,
        figures=figures,
        per_finding={
            name: {
                figure: _change(getattr(house.per_finding[name], figure), getattr(now.per_finding[name], figure))
                for figure in _COMPARED
            }
            for name in shared
        },
    )


def _num_films(figures: FindingFigures | None) -> int:
    return figures.n if figures else 0


def _mean(intervals: Sequence[Interval]) -> Interval:
    """Return the mean of figures on separate films, its interval by MOVER."""
    num, below, above, value = len(intervals), 0.0, 0.0, 0.0
    for one in intervals:
        if one.value is None or one.low is None or one.high is None:
            return Interval()
        value += one.value / num
        below, above = math.hypot(below, one.value - one.low), math.hypot(above, one.high - one.value)
    return Interval(value, value - below / num, value + above / num)


def _change(house: Interval, now: Interval) -> Change:
    """Return two figures on separate films and their difference, its interval by MOVER."""
    if house.value is None or now.value is None:
        return Change(house, now, Interval())
    value = now.value - house.value
    if house.low is None or house.high is None or now.low is None or now.high is None:
        return Change(house, now, Interval(value))
    below = math.hypot(now.value - now.low, house.high - house.value)
    above = math.hypot(now.high - now.value, house.value - house.low)
    return Change(house, now, Interval(value, value - below, value + above))
