"""The parts of the films that metrics.json has figures of, the most trustworthy first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hilum.figures import Figures
from hilum.judge.metrics import Performance

__all__ = ["PARTS", "Metrics", "correct_films", "headline_parts", "judged_parts"]

PARTS: dict[str, tuple[str, str]] = {  # in the order in which they are believed
    "test_clean": ("Clean test", "test films without a twin or a known patient in training"),
    "test": ("Test as given", "every test film, twins and known patients of training films included"),
    "cross_validation": (
        "Cross-validation",
        "training films, each judged by a model that saw neither it nor its group",
    ),
    "validation": ("Validation", "films that training was stopped and calibrated on: flattering"),
}


@dataclass(frozen=True)
class Metrics(Figures):
    """The figures of a model by part of the films: what metrics.json holds.

    Attributes:
        test: Every test film.
        test_clean: Test films without a twin or a known patient in training.
        validation: None where no film was kept for it.
        cross_validation: None where there was none.
    """

    test: Performance
    test_clean: Performance
    validation: Performance | None = None
    cross_validation: Performance | None = None


def judged_parts(metrics: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """Return the names of the parts that hold any film, the most trustworthy first."""
    return [name for name in PARTS if (metrics.get(name) or {}).get("n")]


def headline_parts(metrics: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """Return the test parts, clean before nominal; without a test, the most trustworthy part there is."""
    judged = judged_parts(metrics)
    return [name for name in judged if name.startswith("test")] or judged[:1]


def correct_films(figures: Mapping[str, Any]) -> int:
    """Return how many films of a part were answered rightly."""
    return sum(row[index] for index, row in enumerate(figures["confusion"]["counts"]))
