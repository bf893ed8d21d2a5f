"""Which figures of a variant decide, and when it may be chosen."""

from __future__ import annotations

import pytest

from hilum.judge.intervals import Interval
from hilum.judge.study import StudyFigures
from hilum.judge.study_result import NetworkRow


def figures(auroc: float, *, above: bool | None = True) -> StudyFigures:
    return StudyFigures(20, Interval(), Interval(), Interval(auroc), Interval(), above)


def network(here: StudyFigures | None, other: StudyFigures | None, kept_random: int | None = 0) -> NetworkRow:
    return NetworkRow(
        name="a", title="A", backbone="a", size_px=64, start="", in_house=here, external=other, kept_random=kept_random
    )


def test_films_of_other_sources_decide_where_there_are_any() -> None:
    assert network(figures(0.9), figures(0.7)).auroc == Interval(0.7)
    assert network(figures(0.9), None).auroc == Interval(0.9)
    assert network(None, None).auroc == Interval()


@pytest.mark.parametrize(
    ("row", "is_proven"),
    [
        (network(figures(0.9), figures(0.7)), True),
        (network(figures(0.9), figures(0.7, above=False)), False),
        (network(figures(0.9, above=None), None), False),
        (network(figures(0.9), None, kept_random=1), False),
    ],
)
def test_only_what_is_above_chance_everywhere_may_be_chosen(row: NetworkRow, is_proven: bool) -> None:
    assert row.is_proven == is_proven
