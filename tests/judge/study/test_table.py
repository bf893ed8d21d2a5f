"""Tables of studies in the terminal."""

from __future__ import annotations

from hilum.judge.study.table import change_text, figure_text, plain_table


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
