"""Numbers are written alike everywhere, and the most trustworthy part comes first."""

from __future__ import annotations

import pytest

from hilum.judge.parts import correct_films, headline_parts, judged_parts
from hilum.report.tables import figures_section
from hilum.text import percent, range_text

FILMS = {"n": 3}


@pytest.mark.parametrize(("value", "words"), [(64 / 66, "97.0"), (1.0, "100.0"), (0.0, "0.0"), (None, "–")])
def test_percent(value: float | None, words: str) -> None:
    assert percent(value) == words


def test_range_text() -> None:
    assert range_text({"value": 0.97, "low": 0.8961, "high": 0.9917}) == "89.6–99.2"
    assert range_text({"value": 0.97, "low": None, "high": None}) == ""


def test_parts_are_ordered_by_trust_and_empty_ones_left_out() -> None:
    metrics = {"validation": FILMS, "test": FILMS, "cross_validation": {"n": 0}, "test_clean": FILMS}
    assert judged_parts(metrics) == ["test_clean", "test", "validation"]
    assert headline_parts(metrics) == ["test_clean", "test"]
    assert headline_parts({"validation": FILMS, "cross_validation": FILMS, "test": None}) == ["cross_validation"]
    assert headline_parts({}) == []


def test_correct_films_are_the_diagonal() -> None:
    assert correct_films({"confusion": {"counts": [[5, 1], [2, 7]]}}) == 12


def test_no_film_no_table() -> None:
    assert figures_section({"test": None}) == ""
