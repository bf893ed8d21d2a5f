"""Columns of 0 and 1 are findings where there are two of them or more."""

from __future__ import annotations

from hilum.data.columns import Columns
from hilum.data.manifest import find_marks, marked_finding


def test_columns_of_ones() -> None:
    columns = Columns({"path": 0}, ("path", "Normal", "Effusion", "age"))
    rows = [
        ["a", "1", "0", "45"],
        ["b", "0", "1.0", "1"],
        ["c", "0", "", "0"],
        ["d", "1", "true", "1"],
        ["e", "1", "-1", ""],
    ]
    marked = find_marks(columns, rows)
    assert marked.marks == (1, 2)
    labels = [marked_finding(marked, row) for row in rows]
    assert labels == ["Normal", "Effusion", "", "Normal|Effusion", "Normal|Effusion"]
    assert find_marks(columns, [["a", "7", "0", "1"]]).marks == ()


def test_other_marks_and_columns_that_are_no_findings() -> None:
    columns = Columns({"path": 0}, ("path", "Sex", "is_test", "Normal", "Effusion"))
    marked = find_marks(columns, [["a", "1", "0", "Y", "nan"], ["b", "0", "1", "N", "x"]])
    assert marked.marks == (3, 4)
    assert marked_finding(marked, ["a", "1", "0", "Y", "nan"]) == "Normal"
