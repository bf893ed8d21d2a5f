"""The audit on the terminal: one line a kind, never wider than the terminal."""

from __future__ import annotations

import pytest

from hilum.report.audit_table import audit_table

FAULTS = [
    {"kind": "leak", "severity": "error", "message": "A twin.", "paths": ["test/a.png", "train/b.png"], "figure": None},
    {"kind": "leak", "severity": "error", "message": "A twin.", "paths": ["test/c.png", "train/d.png"], "figure": None},
    {
        "kind": "duplicate",
        "severity": "note",
        "message": "Two films [x] " + "long " * 60,
        "paths": ["e", "f"],
        "figure": 1,
    },
    {"kind": "thumbnail", "severity": "warning", "message": "92.0% right", "paths": [], "figure": 0.92},
]


@pytest.mark.parametrize("width", [40, 80, 180])
def test_each_kind_is_one_line_that_fits(width: int) -> None:
    lines = audit_table(FAULTS, width=width).splitlines()
    assert max(map(len, lines)) <= max(width, 60)
    rows = [line.split() for line in lines if line.strip() and "─" not in line]
    assert [row[:3] for row in rows] == [
        ["kind", "severity", "films"],
        ["leak", "error", "2"],
        ["thumbnail", "warning", "–"],
        ["duplicate", "note", "2"],
    ]
    assert any("Two films [x]" in line for line in lines)
    assert any("…" in line for line in lines)


def test_nothing_found_is_said() -> None:
    assert audit_table([]) == "No fault was found.\n"


def test_a_file_name_that_is_no_text_breaks_nothing() -> None:
    fault = {"kind": "unreadable", "severity": "warning", "message": "Cannot read \udcff.", "paths": ["\udcff"]}
    assert "\\udcff" in audit_table([fault], width=100)
