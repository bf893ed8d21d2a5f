"""What a notebook shows is escaped, and a result shows the box of its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hilum.report.notebook import answer_html, answers_html, result_html
from hilum.report.page import html_page, render
from hilum.run.answer import Answer, Reason


def answer(**changes: object) -> Answer:
    told = Answer("<film>.png", {"A": 0.7, "B": 0.3}, ("A", "B"), ("A",), (), {"name": "m", "sha256": "0"},
                  np.zeros(2, np.float32), np.zeros((2, 4, 4), np.float32))  # fmt: skip
    return replace(told, **changes)  # type: ignore[arg-type]


def test_an_answer_says_what_it_cannot_rule_out_or_why_it_is_refused() -> None:
    page = answer_html(answer(), None)
    assert "<b>A or B (undecided)</b>" in page
    assert "It cannot rule out A, B." in page
    assert "&lt;film&gt;.png" in page
    assert "<film>" not in page
    refused = answer_html(answer(reasons=(Reason("too-small", "The film is <small>."),)), None)
    assert "<b>Refused</b>" in refused
    assert "The film is &lt;small&gt;." in refused
    assert 'class="verdict bad"' in refused


def test_a_long_table_says_how_many_films_there_are() -> None:
    page = answers_html([answer().to_dict()] * 60)
    assert page.count("<tr>") == 13
    assert "The first 12 of 60 films." in page
    assert "0 films." in answers_html([])


def test_a_result_shows_the_box_of_its_report() -> None:
    opening = render("macros.html.j2").__class__('<section class="verdict bad"><p><b>Do not use it.</b></p></section>')
    page = html_page("t", "k", opening, [])
    shown = result_html(page, "words", Path("run/report.html"))
    assert '<section class="verdict bad"><p><b>Do not use it.</b></p></section>' in shown
    assert "<b>words</b>" not in shown
    assert "Report: run/report.html." in shown
    assert "<h1>" not in shown
    assert "<b>1 &lt; 2</b>" in result_html("", "1 < 2", Path("x"))
