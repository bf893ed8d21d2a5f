"""Tables of studies in the terminal."""

from __future__ import annotations

import pytest

from hilum.report.study_table import change_text, plain_table
from hilum.text import figure_text


def test_a_table_is_plain_text_that_any_terminal_takes() -> None:
    text = plain_table(("way", "figure"), [("one", "1.0"), ("bad \udcff name", "[b]2.0[/b]")], width=60)
    assert text.splitlines()[0].split() == ["way", "figure"]
    assert "\\udcff" in text
    assert "[b]2.0[/b]" in text
    assert text.endswith("\n")
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_figures_and_changes_in_words() -> None:
    assert figure_text({"value": 0.97, "low": 0.896, "high": 0.992}) == "97.0 (89.6–99.2)"
    assert figure_text({"value": None, "low": None, "high": None}) == "–"
    change = {"auroc": {"value": 0.01, "low": 0.002, "high": 0.02}, "verdict": "better"}
    assert change_text(change) == "+1.0 (+0.2 to +2.0) better"
    assert change_text(None) == "–"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_width_breaks_a_word(width: int) -> None:
    heads = ["change in AUROC, points", *(f"{dose} dose" for dose in ("low", "medium", "high")), "forced, clean", "ms"]
    row = ["Median of three", *["+1.0 (+0.2 to +2.0) not shown to be no worse"] * 4, "12.5"]
    text = plain_table(heads, [row, row], width=width)
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    assert words.count("+1.0") == 8
    assert words.count("Median") == 2
    if width == 40:
        assert text.splitlines()[:4] == [
            "change in AUROC, points",
            "",
            "Median of three",
            "  low dose: +1.0 (+0.2 to +2.0) not",
        ]
