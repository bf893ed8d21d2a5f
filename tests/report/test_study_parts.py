"""What the pages of studies share."""

from __future__ import annotations

import numpy as np

from hilum.report.page import Section
from hilum.report.study_parts import change_cell, films_section, picture, study_html, table

FACTS = {
    "data": {"name": "own<b>", "n": 20, "groups": 18, "findings": {"Normal": 10, "Covid-19": 10}},
    "external": {
        "name": "theirs",
        "n": 9,
        "groups": 9,
        "findings": {"Normal": 9},
        "left_out": {"other_findings": 4, "twins": 2},
    },
    "folds": 5,
    "seeds": 1,
}


def test_the_films_are_told_with_what_was_left_out() -> None:
    html = films_section(FACTS, ["A <remark>."]).html
    assert "own&lt;b&gt;" in html
    assert "A &lt;remark&gt;." in html
    assert "5 folds by groups" in html
    assert "4 of other findings and 2 that the study&#x27;s films hold too" in html
    assert "theirs" not in films_section(FACTS | {"external": None}, []).html


def test_a_page_loads_nothing_and_escapes_its_verdict() -> None:
    html = study_html("A & B", "<script>", [Section("one", "One", "<p>x</p>")])
    assert "&lt;script&gt;" in html
    assert "A &amp; B" in html
    assert "http" not in html.replace("http-equiv", "")


def test_cells_and_tables() -> None:
    change = {"auroc": {"value": -0.02, "low": -0.03, "high": -0.015}, "verdict": "worse"}
    assert change_cell(change) == "<td>−2.0<small>−3.0 to −1.5</small><small>worse</small></td>"
    assert change_cell(None) == "<td>–</td>"
    assert "<caption>a &lt; b</caption>" in table("T", ("x",), "<tr></tr>", "a < b")


def test_a_picture_is_inline_whatever_its_range() -> None:
    html = picture(np.linspace(-1, 2, 64, dtype=np.float32).reshape(8, 8), 'a"b', " c<")
    assert 'src="data:image/jpeg;base64,' in html
    assert "a&quot;b" in html
    assert " c&lt;" in html
