"""The tables of a study are plain text that any terminal takes; test_study.py shows them filled."""

from __future__ import annotations

import pytest

from hilum.report.study_tables import Cell, Table, TableRow, plain_table


def test_a_table_is_plain_text_that_any_terminal_takes() -> None:
    rows = [TableRow("one", [Cell("1.0")]), TableRow("bad \udcff name", [Cell("[b]2.0[/b]")])]
    text = plain_table(Table(("way", "figure"), rows), width=60)
    assert text.splitlines()[0].split() == ["way", "figure"]
    assert "\\udcff" in text
    assert "[b]2.0[/b]" in text
    assert text.endswith("\n")
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_a_cell_in_words() -> None:
    assert str(Cell("97.0", "89.6–99.2")) == "97.0 (89.6–99.2)"
    assert str(Cell("+1.0", "+0.2 to +2.0", "better")) == "+1.0 (+0.2 to +2.0) better"
    assert str(Cell("–")) == "–"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_width_breaks_a_word(width: int) -> None:
    heads = ["change in AUROC, points", *(f"{dose} dose" for dose in ("low", "medium", "high")), "forced, clean", "ms"]
    cells = [*[Cell("+1.0", "+0.2 to +2.0", "not shown to be no worse")] * 4, Cell("12.5")]
    text = plain_table(Table(heads, [TableRow("Median of three", cells)] * 2), width=width)
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
