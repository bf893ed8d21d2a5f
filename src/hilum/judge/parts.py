"""The parts of the films that metrics.json has figures of, the most trustworthy first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PARTS", "correct_films", "headline_parts", "judged_parts"]

PARTS: dict[str, tuple[str, str]] = {  # in the order in which they are believed
    "test_clean": ("Clean test", "test films without a twin or a known patient in training"),
    "test": ("Test as given", "every test film, twins and known patients of training films included"),
    "cross_validation": (
        "Cross-validation",
        "training films, each judged by a model that saw neither it nor its group",
    ),
    "validation": ("Validation", "films that training was stopped and calibrated on: flattering"),
}


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
