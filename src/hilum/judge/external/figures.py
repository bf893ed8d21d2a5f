"""A model on the films of another hospital: whose findings have other names, lack some, or are none of the model's.

What the model does not know is not quietly left out. Films of unknown findings count in no accuracy, but in a hospital
they come all the same: how the model answers them is reported.

Sources:
    Zou, Donner 2008, Construction of confidence limits about effect measures: a general approach (MOVER: the interval
    of a difference from the intervals of its two sides).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.figures import left_out_if_none
from hilum.findings import NORMAL
from hilum.judge.intervals import Interval, proportion
from hilum.judge.metrics import FindingFigures, performance
from hilum.judge.parts import Metrics, headline_parts, judged_parts, parts_from_json
from hilum.judge.prevalence import AtPrevalence
from hilum.run.answer import Answer

__all__ = [
    "Change",
    "EvaluationMetrics",
    "InHouseComparison",
    "JudgedPart",
    "PneumoniaFigures",
    "TrainedOn",
    "UnknownFinding",
    "in_house_comparison",
    "pneumonia_figures",
    "unknown_figures",
]

PNEUMONIAS = ("Viral Pneumonia", "Bacterial Pneumonia", "Pneumonia (type not stated)")
_COMPARED = ("auroc", "sensitivity", "specificity")


@dataclass(frozen=True)
class UnknownFinding:
    """How a model answers films of one finding that it does not know.

    Attributes:
        n: How many films there are.
        answers: The model's findings to how many films are answered with them, the commonest first.
        accepted: How many films are accepted.
        single_finding: The share of films that are accepted with exactly one finding in the conformal set: answered as
            if all were well.
    """

    n: int
    answers: Mapping[str, int]
    accepted: int
    single_finding: Interval


@dataclass(frozen=True)
class PneumoniaFigures:
    """Pneumonia of any kind against normal.

    Attributes:
        kinds: The model's findings whose probabilities are summed.
        pneumonia: How many films show pneumonia.
        normal: How many are normal.
        auroc: Of the sum.
        sensitivity: A film is answered "pneumonia" where the sum is larger than the probability of any other finding.
        specificity: The same.
    """

    kinds: tuple[str, ...]
    pneumonia: int
    normal: int
    auroc: Interval
    sensitivity: Interval
    specificity: Interval


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


def unknown_figures(records: Sequence[FilmRecord], answers: Sequence[Answer]) -> dict[str, UnknownFinding]:
    """Return how a model answers films with findings that it does not know, by finding.

    Args:
        records: Films of such findings.
        answers: One a film.
    """
    figures = {}
    for finding in sorted({record.finding for record in records}):
        chosen = [answer for record, answer in zip(records, answers, strict=True) if record.finding == finding]
        single = sum(answer.accepted and len(answer.set) == 1 for answer in chosen)
        figures[finding] = UnknownFinding(
            n=len(chosen),
            answers=dict(Counter(answer.likeliest for answer in chosen).most_common()),
            accepted=sum(answer.accepted for answer in chosen),
            single_finding=proportion(single, len(chosen)),
        )
    return figures


def pneumonia_figures(
    records: Sequence[FilmRecord], answers: Sequence[Answer], known: Sequence[str], groups: np.ndarray
) -> PneumoniaFigures | None:
    """Return the figures of pneumonia against normal, where the films' kinds of pneumonia are not the model's.

    The probability of pneumonia is the sum over the model's kinds of it, Covid-19 not among them; a film is answered
    "pneumonia" where that sum is larger than the probability of every other finding.

    Args:
        records: Films of any finding.
        answers: One a film.
        known: The model's findings.
        groups: (n,) int.

    Returns:
        The figures; None where the model knows all kinds of pneumonia among the films, or the question cannot be asked.
    """
    kinds = [name for name in PNEUMONIAS if name in known]
    strange = [name for name in PNEUMONIAS if name not in known and any(r.finding == name for r in records)]
    if not kinds or not strange or NORMAL not in known:
        return None
    asked = [i for i, record in enumerate(records) if record.finding in PNEUMONIAS or record.finding == NORMAL]
    truth = np.array([int(records[i].finding != NORMAL) for i in asked])
    sums = np.array([sum(answers[i].probabilities[name] for name in kinds) for i in asked])
    others = [name for name in known if name not in kinds]
    rivals = np.array([max(answers[i].probabilities[name] for name in others) for i in asked])
    # Two columns that order the films as the sum does, for the AUROC; and one that exceeds one half where pneumonia is
    # the answer, for sensitivity and specificity.
    ordered, answered = (
        performance(
            truth,
            np.stack((1 - score, score), axis=1),
            ("not pneumonia", "pneumonia"),
            groups=groups[asked],
        ).per_finding["pneumonia"]
        for score in (sums, (sums > rivals).astype(np.float64))
    )
    return PneumoniaFigures(
        kinds=tuple(kinds),
        pneumonia=int(truth.sum()),
        normal=int((truth == 0).sum()),
        auroc=ordered.auroc,
        sensitivity=answered.sensitivity,
        specificity=answered.specificity,
    )


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
