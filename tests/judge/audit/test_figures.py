"""The numbers of an audit, and what of them audit.json holds."""

from __future__ import annotations

import pytest

from hilum.figures import to_json
from hilum.judge.audit.figures import AuditFigures, Score
from hilum.judge.intervals import Interval


@pytest.mark.parametrize(
    ("low", "chance", "expected"), [(0.5, 0.5, 0.0), (1.0, 0.5, 1.0), (0.75, 0.5, 0.5), (0.25, 0.5, -0.5), (1, 1, 0)]
)
def test_excess_is_the_way_from_chance_to_certainty(low: float, chance: float, expected: float) -> None:
    assert Score(10, Interval(1.0, low, 1.0), Interval(), chance).excess == pytest.approx(expected)


def test_what_was_not_measured_has_no_key() -> None:
    assert "trivial_models" not in to_json(AuditFigures(num_films=3))
    assert to_json(AuditFigures(trivial_models={}, traits=())) == {
        "num_films": 0,
        "num_unreadable": 0,
        "num_refused": 0,
        "num_groups": 0,
        "num_twin_pairs": 0,
        "films": {},
        "trivial_models": {},
        "traits": [],
        "ages": None,
    }
