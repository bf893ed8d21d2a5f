"""What metrics.json holds: the figures of parts of the films, the most trustworthy first, and the verdict on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hilum.figures import from_json, left_out_if_none
from hilum.judge.intervals import Interval
from hilum.judge.metrics import Performance
from hilum.judge.subgroups import PatientGroups

__all__ = [
    "PARTS",
    "Metrics",
    "Reason",
    "Verdict",
    "distinct_parts",
    "headline_parts",
    "judged_parts",
    "parts_from_json",
]

PARTS: dict[str, tuple[str, str]] = {  # in the order in which they are believed
    "test_clean": ("Clean test", "test films without a twin or a known patient in training"),
    "test": ("Test as given", "every test film, twins and known patients of training films included"),
    "cross_validation": (
        "Cross-validation",
        "training films, each judged by a model that saw neither it nor its group",
    ),
    "validation": ("Validation", "films that chose the weights and the calibration: flattering"),
}


@dataclass(frozen=True)
class Reason:
    """One reason for a verdict.

    Attributes:
        code: Its name for programs; `hilum.judge.verdict` has them all.
        figure: The figure behind it, where there is one.
        n: How many films or problems it is about, where it is about some.
    """

    code: str
    figure: Interval | None = left_out_if_none()
    n: int | None = left_out_if_none()


@dataclass(frozen=True)
class Verdict:
    """Whether the headlined figure may be believed.

    Attributes:
        believed: Whether it may; None where these films cannot say.
        reasons: What speaks against it, or why nothing can be said; the weightiest first. What speaks for it, where it
            may be believed.
        next_step: The code of what to do next: that of the weightiest reason, or "other-hospital".
    """

    believed: bool | None
    reasons: tuple[Reason, ...]
    next_step: str


@dataclass(frozen=True)
class Metrics:
    """The figures of a model by part of the films: what metrics.json holds.

    Attributes:
        test: Every test film.
        test_clean: Test films without a twin or a known patient in training.
        validation: None where no film was kept for it.
        cross_validation: None where there was none.
        lungs_hidden: The share of right answers with the lungs hidden, on the clean test films (on all test films where
            none is clean); None where it was not measured.
        thumbnail: What a simple model gets right that sees 8 x 8 pixels of each film; None where it was not measured.
        verdict: Whether the figures may be believed; None where nobody asked.
        subgroups: The figures of the same films by "age" and "sex"; None where neither is known.
    """

    test: Performance
    test_clean: Performance
    validation: Performance | None = None
    cross_validation: Performance | None = None
    lungs_hidden: Interval | None = left_out_if_none()
    thumbnail: Interval | None = left_out_if_none()
    verdict: Verdict | None = left_out_if_none()
    subgroups: Mapping[str, PatientGroups] | None = left_out_if_none()


def judged_parts(metrics: Metrics) -> dict[str, Performance]:
    """Return the figures of the parts that hold any film, the most trustworthy first."""
    parts: dict[str, Performance | None] = {name: getattr(metrics, name) for name in PARTS}
    return {name: figures for name, figures in parts.items() if figures and figures.n}


def parts_from_json(metrics: Mapping[str, Any]) -> dict[str, Performance]:
    """Return the same from metrics in JSON, as a model file keeps them; a part may lack.

    Raises:
        ValueError: A part's figures have another shape.
    """
    return {name: from_json(Performance, part) for name in PARTS if (part := metrics.get(name)) and part.get("n")}


def distinct_parts(judged: Mapping[str, Performance]) -> dict[str, Performance]:
    """Return the parts to show: without the test as given where all its films are clean, since it says the same."""
    same = "test_clean" in judged and judged["test_clean"].n == judged["test"].n
    return {name: figures for name, figures in judged.items() if not (same and name == "test")}


def headline_parts(judged: Mapping[str, Performance]) -> list[str]:
    """Return the test parts, clean before nominal; without a test, the most trustworthy part there is.

    Args:
        judged: The figures of the parts that hold any film, the most trustworthy first.
    """
    return [name for name in judged if name.startswith("test")] or list(judged)[:1]
