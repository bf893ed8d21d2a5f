"""Numbers are written alike everywhere: signs, dashes for what is not known, intervals beneath."""

from __future__ import annotations

import pytest

from hilum.report.markup import brackets, cell, headings, plain_cell, scroll, signed_cell
from hilum.text import points, points_range

NOTHING = {"value": None, "low": None, "high": None}
SOME = {"value": -0.0712, "low": -0.12, "high": 0.25}


@pytest.mark.parametrize(
    ("value", "said"), [(0.1234, "+12.3"), (-0.05, "−5.0"), (0.0, "+0.0"), (-0.0004, "+0.0"), (None, "–")]
)
def test_points_carry_their_sign(value: float | None, said: str) -> None:
    assert points(value) == said


def test_cells_hold_figure_and_interval() -> None:
    assert signed_cell(SOME) == "<td>−7.1<small>−12.0 to +25.0</small></td>"
    assert plain_cell(SOME) == "<td>−0.07<small>−0.12 to 0.25</small></td>"
    assert cell({"value": 0.5, "low": 0.25, "high": 0.75}) == "<td>50.0<small>25.0–75.0</small></td>"
    assert plain_cell({"value": -0.001, "low": -0.004, "high": 0.0}) == "<td>0.00<small>0.00 to 0.00</small></td>"
    assert points_range(NOTHING) == brackets("") == ""
    assert brackets("1 to 2") == '<span class="nowrap">(1 to 2)</span>'
    for one in (cell, signed_cell, plain_cell):
        assert one(NOTHING) == "<td>–</td>"


def test_tables_scroll_and_are_named() -> None:
    assert scroll('a "b"', "<table></table>") == (
        '<div class="scroll" role="region" tabindex="0" aria-label="a &quot;b&quot;"><table></table></div>'
    )
    assert headings("A", "B") == '<th scope="col">A</th><th scope="col">B</th>'
