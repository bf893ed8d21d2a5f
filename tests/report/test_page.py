"""The frame of a page: self-contained, escaped, without sections that are empty; templates escape what they print."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from hilum.judge.intervals import Interval
from hilum.report import page as page_module
from hilum.report.page import Section, html_page, inline, render
from hilum.version import NOTICE

NOTHING = Interval(None, None, None)
SOME = Interval(-0.0712, -0.12, 0.25)


def filled(source: str, **values: object) -> str:
    """Return a template given as text, filled."""
    names = "cell, signed_cell, plain_cell, brackets, table, figure, keys, folded_list, terms, notes, picture"
    text = f'{{% from "macros.html.j2" import {names} %}}{source}'
    return page_module._environment().from_string(text).render(values)


def test_a_page_is_whole_and_escaped() -> None:
    sections = [Section("one", "One & two", "<p>in</p>"), Section("none", "Left out", "")]
    page = html_page("<b>", "kicker", "<p>opening</p>", sections, styles=("report.css", "audit.css"))
    assert page.startswith("<!doctype html>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "One &amp; two" in page
    assert "<p>opening</p>" in page
    assert "<p>in</p>" in page
    assert "Left out" not in page
    assert page.count(NOTICE) == 1
    assert "default-src 'none'" in page
    assert ".verdict" in page
    assert "<script" not in page


def test_a_template_escapes_text_and_control_characters_but_not_markup() -> None:
    assert filled("{{ a }} {{ b }}", a="<i>'\u202e\x1b", b=Markup("<b>")) == "&lt;i&gt;&#x27;\\u202e\\x1b <b>"
    assert filled('{{ notes(["<i>\u202e"]) }}') == '<ul class="notes"><li>&lt;i&gt;\\u202e</li></ul>'


def test_a_name_without_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="absent"):
        filled("{{ absent }}")
    with pytest.raises(UndefinedError, match="title"):
        render("base.html.j2", sections=[], styles=[], opening="")


def test_cells_hold_figure_and_interval() -> None:
    assert filled("{{ signed_cell(some) }}", some=SOME) == "<td>−7.1<small>−12.0 to +25.0</small></td>"
    assert filled("{{ plain_cell(some) }}", some=SOME) == "<td>−0.07<small>−0.12 to 0.25</small></td>"
    half = Interval(0.5, 0.25, 0.75)
    assert filled("{{ cell(some) }}", some=half) == "<td>50.0<small>25.0–75.0</small></td>"
    small = Interval(-0.001, -0.004, 0.0)
    assert filled("{{ plain_cell(some) }}", some=small) == "<td>0.00<small>0.00 to 0.00</small></td>"
    for macro in ("cell", "signed_cell", "plain_cell"):
        assert filled(f"{{{{ {macro}(nothing) }}}}", nothing=NOTHING) == "<td>–</td>"
    assert filled('{{ brackets("1 to 2") }}{{ brackets("") }}') == '<span class="nowrap">(1 to 2)</span>'


def test_tables_scroll_and_are_named() -> None:
    text = filled('{% call table(\'a "b"\', ["<A>", "B"], "All of <it>") %}<tr></tr>{% endcall %}')
    assert '<div class="scroll" role="region" tabindex="0" aria-label="a &quot;b&quot;"><table class="wide">' in text
    assert '<th scope="col">&lt;A&gt;</th><th scope="col">B</th>' in text
    assert "<caption>All of &lt;it&gt;</caption>" in text
    assert "<tbody>\n<tr></tr></tbody>" in text
    plain = filled('{% call table("a", [], kind="", grouped=true) %}<tr></tr>{% endcall %}')
    assert "<table>" in plain
    assert "tbody" not in plain
    assert "caption" not in plain


def test_long_lists_are_cut_and_said_to_be() -> None:
    text = filled('{{ folded_list("3 paths", ["a", "<b>", "c"], 2, "audit.json") }}')
    assert text == (
        "<details><summary>3 paths</summary><ul><li>a</li><li>&lt;b&gt;</li>"
        "<li>and 1 more, in audit.json</li></ul></details>"
    )
    assert "more" not in filled('{{ folded_list("1 path", ["a"]) }}')


def test_figures_carry_their_words() -> None:
    drawn = filled('{{ figure(svg, "a < b") }}{% call figure(svg) %}below{% endcall %}', svg="<svg></svg>")
    assert drawn == ("<figure><figcaption>a &lt; b</figcaption><svg></svg></figure><figure><svg></svg>below</figure>")
    assert filled('{{ picture("AAAA", "a \'film\'") }}') == (
        '<img alt="a &#x27;film&#x27;" src="data:image/png;base64,AAAA">'
    )
    assert filled('{{ keys([("", "one"), ("second", "two")]) }}') == (
        '<p class="fine keys"><span><i class="key"></i>one</span><span><i class="key second"></i>two</span></p>'
    )
    assert filled('{{ terms("facts", [("a", "<b>")]) }}') == '<dl class="facts"><dt>a</dt><dd>&lt;b&gt;</dd></dl>'


# --- Markdown -------------------------------------------------------------------------------------------------------


def filled_markdown(source: str, **values: object) -> str:
    """Return a Markdown template given as text, filled."""
    text = f'{{% from "macros.md.j2" import listed, numbered, table %}}{source}'
    return page_module._environment(is_markdown=True).from_string(text).render(values)


def test_odd_names_break_no_markdown() -> None:
    assert inline("a|b\n<c>  `d`") == r"a\|b \<c\> \`d\`"
    assert filled_markdown("`{{ name|code }}` {{ name }}", name="a|b\nc\u202e") == r"`a|b c\u202e` a\|b c\\u202e"
    rows = filled_markdown('{{ table(["x", "y"], rows) }}', rows=[("1|2", "3\n4"), (5, SOME)])
    assert rows == "| x | y |\n| --- | --- |\n| 1\\|2 | 3 4 |\n| 5 | -7.1 (-12.0–25.0) |"
    assert filled_markdown("{{ listed(names) }}", names=["a|b", "c"]) == r"a\|b, c"
    assert filled_markdown("{{ numbered(counts) }}", counts={"Normal": 12, "<b>": 8}) == r"Normal 12, \<b\> 8"


def test_figures_in_markdown_are_per_cent_with_their_interval() -> None:
    interval = Interval(0.9824, 0.907, 0.997)
    assert filled_markdown("{{ one|figure }}, {{ two|figure }}", one=interval, two=NOTHING) == "98.2 (90.7–99.7), –"
