"""The comparison shown: every figure on the terminal and on the page, names escaped, nothing replaced by accident."""

from __future__ import annotations

import re
from typing import Any

from hilum.report.comparison import comparison_page, comparison_text, p_text


def compared(**changes: Any) -> dict[str, Any]:
    difference = {"value": -0.052, "low": -0.11, "high": -0.0001}
    figure = {"first": 0.981, "second": 0.929, "difference": difference, "p_value": 0.043}
    undefined = {"first": 1.0, "second": 1.0, "difference": {"value": 0.0, "low": None, "high": None}, "p_value": None}
    part = {
        "n": 66,
        "num_groups": 61,
        "only_in": {"first": 2, "second": 0},
        "flattering": False,
        "accuracy": figure,
        "macro_f1": figure | {"p_value": None},
        "auroc_macro": None,
        "per_finding": {"<b>odd</b>": {"n": 26, "auroc": undefined}},
        "verdict": "a is better than <i>b</i>.",
    }
    names = {"first": "a", "second": "<i>b</i>", "notes": ["A <note>."], "verdict": "Test: a is better than <i>b</i>."}
    return names | {"parts": {"test": part | changes}}


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
