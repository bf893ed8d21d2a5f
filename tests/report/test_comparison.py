"""The comparison shown: every figure on the terminal and on the page, names escaped, nothing replaced by accident."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hilum.judge.comparison import Comparison, Counts, FindingDifference, PartComparison
from hilum.judge.intervals import Interval
from hilum.judge.paired import Difference, DiscordantFilms
from hilum.report.comparison import comparison_page, comparison_text, p_text


def compared(**changes: Any) -> Comparison:
    figure = Difference(0.981, 0.929, Interval(-0.052, -0.11, -0.0001), 0.043)
    undefined = Difference(1.0, 1.0, Interval(0.0), None)
    part = PartComparison(
        n=66,
        num_groups=61,
        right=Counts(65, 61),
        accuracy=figure,
        macro_f1=replace(figure, p_value=None),
        auroc_macro=None,
        mcnemar=DiscordantFilms(5, 1, 0.2, True),
        per_finding={"<b>odd</b>": FindingDifference(26, undefined)},
        told_apart=True,
        only_in=Counts(2, 0),
        flattering=False,
        verdict="a is better than <i>b</i>.",
    )
    parts = {"test": replace(part, **changes)}
    return Comparison("a", "<i>b</i>", parts, ("A <note>.",), "Test: a is better than <i>b</i>.")


def test_table_holds_every_figure() -> None:
    lines = comparison_text(compared(), width=160).splitlines()
    assert lines[0] == "Per cent; the difference is second minus first, in points."
    table = [re.split(r"\s{2,}", line.strip()) for line in lines if line.strip()]
    assert table[1][:3] == ["Test as given, 66 films in 61 groups, 2 and 0 not common", "a", "<i>b</i>"]
    assert ["Accuracy", "98.1", "92.9", "−5.2", "−11.0 to +0.0", "0.043 McNemar"] in table
    assert ["Macro F1", "98.1", "92.9", "−5.2", "−11.0 to +0.0"] in table
    assert ["AUROC", "–", "–", "–"] in table
    assert ["AUROC <b>odd</b> (26)", "100.0", "100.0", "+0.0"] in table
    assert ["a is better than <i>b</i>."] in table
    assert lines[-1] == "A <note>."


def test_a_broad_verdict_is_not_broken_where_it_is_piped() -> None:
    verdict = "word " * 60
    assert verdict.strip() in comparison_text(compared(verdict=verdict), width=100)


def test_page_is_whole_and_escaped() -> None:
    page = comparison_page(compared())
    assert page.startswith("<!doctype html>")
    assert "Research software, not a medical device." in page
    for forbidden in ("<i>b</i>", "<b>odd</b>", "<note>", "<script", "http://", "https://"):
        assert forbidden not in page
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert page.count("<tr>") == 5
    assert "0.043 McNemar" in page


def test_p_values_are_written_short() -> None:
    assert [p_text(p) for p in (None, 0.0004, 0.0163, 0.352)] == ["–", "< 0.001", "= 0.016", "= 0.35"]
