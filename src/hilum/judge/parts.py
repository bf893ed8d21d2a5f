"""The parts of the films that metrics.json has figures of, the most trustworthy first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hilum.figures import from_json
from hilum.judge.metrics import Performance

__all__ = ["PARTS", "Metrics", "headline_parts", "judged_parts", "parts_from_json"]

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
class Metrics:
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


def headline_parts(judged: Mapping[str, Performance]) -> list[str]:
    """Return the test parts, clean before nominal; without a test, the most trustworthy part there is.

    Args:
        judged: The figures of the parts that hold any film, the most trustworthy first.
    """
    return [name for name in judged if name.startswith("test")] or list(judged)[:1]
