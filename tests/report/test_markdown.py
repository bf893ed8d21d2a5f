"""Pieces of Markdown stay whole."""

from __future__ import annotations

from hilum.report.markdown import figure_text, inline, listed, lower_first, numbered, table


def test_odd_names_break_nothing() -> None:
    assert inline("a|b\n<c>  `d`") == r"a\|b \<c\> \`d\`"
    assert inline("a|b\nc", code=True) == "a|b c"
    assert table(("x", "y"), [("1|2", "3\n4")]) == "| x | y |\n| --- | --- |\n| 1\\|2 | 3 4 |"


def test_figures_are_per_cent_with_their_interval() -> None:
    assert figure_text({"value": 0.9824, "low": 0.907, "high": 0.997}) == "98.2 (90.7–99.7)"
    assert figure_text({"value": None, "low": None, "high": None}) == "–"


def test_names_and_titles_within_a_sentence() -> None:
    assert listed(["a|b", "c"]) == r"a\|b, c"
    assert numbered({"Normal": 12, "Covid-19": 8}) == "Normal 12, Covid-19 8"
    assert [lower_first(title) for title in ("Macro F1", "AUROC")] == ["macro F1", "AUROC"]
