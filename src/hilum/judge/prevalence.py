"""What an answer is worth where a given share of the films have the finding, and how many local films show it.

A test set holds each finding as often as somebody collected it; a hospital does not. Sensitivity and specificity at the
operating threshold carry over, predictive values do not: they follow from both and from the prevalence.

Source: Altman, Bland 1994, Diagnostic tests 2: predictive values, BMJ 309:102.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hilum.errors import InputError
from hilum.judge.intervals import Interval, films_for
from hilum.judge.metrics import FindingFigures, Performance

__all__ = ["MARGIN", "AtPrevalence", "PredictiveValues", "at_prevalence", "check_prevalence"]

MARGIN = 0.05  # on either side of sensitivity and specificity, for the number of local films


@dataclass(frozen=True)
class PredictiveValues:
    """What the answers on one finding are worth.

    Attributes:
        ppv: Of the films called positive, the share that has the finding. The limits are those at both lower and at
            both upper limits of sensitivity and specificity, so the interval is rather too wide.
        npv: Of the films called negative, the share that does not have it; likewise.
        films_needed: How many local films it takes to know sensitivity and specificity within `MARGIN`; None where the
            films judged give neither.
    """

    ppv: Interval
    npv: Interval
    films_needed: int | None


@dataclass(frozen=True)
class AtPrevalence:
    """The predictive values of every finding.

    Attributes:
        prevalence: The share of films that have the finding, taken for each finding alone.
        per_finding: Finding to its values.
    """

    prevalence: float
    per_finding: Mapping[str, PredictiveValues]


def check_prevalence(prevalence: float) -> None:
    """Refuse what is no share between 0 and 1.

    Raises:
        InputError: It is not.
    """
    if not 0 < prevalence < 1:
        raise InputError(
            f"Expected a prevalence above 0 and below 1, received {prevalence:g}.", fix="For 5 %: --prevalence 0.05"
        )


def at_prevalence(figures: Performance, prevalence: float) -> AtPrevalence:
    """Return what the answers are worth where a share of the films has the finding.

    Args:
        figures: Of the films judged.
        prevalence: Above 0 and below 1.

    Raises:
        InputError: The prevalence is no such share.
    """
    check_prevalence(prevalence)
    return AtPrevalence(prevalence, {name: _values(one, prevalence) for name, one in figures.per_finding.items()})


def _values(figures: FindingFigures, prevalence: float) -> PredictiveValues:
    found, spared = figures.sensitivity, figures.specificity
    if found.value is None or spared.value is None:
        return PredictiveValues(Interval(), Interval(), None)
    pairs = ((found.value, spared.value), (found.low, spared.low), (found.high, spared.high))
    needed = max(films_for(found.value, MARGIN) / prevalence, films_for(spared.value, MARGIN) / (1 - prevalence))
    return PredictiveValues(
        ppv=Interval(*(_share(prevalence, one, 1 - prevalence, other) for one, other in pairs)),
        npv=Interval(*(_share(1 - prevalence, other, prevalence, one) for one, other in pairs)),
        films_needed=math.ceil(round(needed, 6)),
    )


def _share(common: float, right: float | None, rare: float, right_of_rare: float | None) -> float | None:
    """Return how many of the films called something are it; None where none is called so."""
    if right is None or right_of_rare is None:
        return None
    called = common * right + rare * (1 - right_of_rare)
    return common * right / called if called else None
