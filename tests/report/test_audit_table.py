"""The audit on the terminal: the verdict first, one row a kind, whole messages, never wider than the terminal."""

from __future__ import annotations

import dataclasses

import pytest

from hilum.judge.audit.audit import check_of
from hilum.judge.audit.check import CheckResults, Fault, Outcome
from hilum.report.audit_table import audit_table, group_faults, summary_of, verdict_words


def results_of(*faults: Fault, passed: tuple[str, ...] = (), reasons: tuple[tuple[str, str], ...] = ()) -> CheckResults:
    kinds = list(dict.fromkeys(fault.kind for fault in faults))
    failed = [Outcome(check_of(kind), "failed", "", tuple(f for f in faults if f.kind == kind)) for kind in kinds]
    missing = [Outcome(check_of(kind), "not_applicable", why) for kind, why in reasons]
    return CheckResults((*failed, *(Outcome(check_of(kind), "passed") for kind in passed), *missing))


LEAKS = (
    Fault("leak", "error", "A twin.", ("test/a.png", "train/b.png")),
    Fault("leak", "error", "A twin.", ("test/c.png", "train/d.png")),
)
FAULTS = (
    *LEAKS,
    Fault("duplicate", "note", "Two films [x] " + "long " * 60 + "end", ("e", "f"), 1),
    Fault("thumbnail", "warning", "92 % right", (), 0.92),
)


@pytest.mark.parametrize("width", [40, 80, 100, 180])
def test_each_kind_is_a_row_that_fits_and_whole(width: int) -> None:
    text = audit_table(results_of(*FAULTS), width=width)
    start = text.index(" kind")
    assert max(map(len, text[start:].splitlines())) <= max(width, 60)
    rows = [line.split() for line in text[start:].splitlines() if line[:1] == " " and line[1:2].isalpha()]
    assert [row[:3] for row in rows] == [
        ["kind", "severity", "films"],
        ["leak", "error", "2"],
        ["thumbnail", "warning", "–"],
        ["duplicate", "note", "2"],
    ]
    assert text.split().count("long") == 60  # nothing of a message is cut off
    assert "Two films [x]" in text
    assert "…" not in text


def test_the_verdict_comes_first_and_says_what_to_do() -> None:
    lines = audit_table(results_of(*FAULTS), width=100).splitlines()
    assert lines[0] == "Found 2 serious problems in your data. The worst: 2 test films are also in train."
    assert lines[1].startswith("What to do: `hilum audit DATA --repair OUT.csv`")
    assert verdict_words(results_of(LEAKS[0]))[0] == "Found 1 serious problem in your data. It is: A twin."
    assert verdict_words(results_of(FAULTS[3])) == (
        "You can train on these films, but read the 1 warning first.",
        check_of("thumbnail").remedy,
    )


def test_nothing_found_is_said_and_what_was_looked_at() -> None:
    why = "No patient is known."
    text = audit_table(results_of(passed=("leak", "duplicate"), reasons=(("patient-overlap", why), ("shortcut", why))))
    assert text == (
        "Nothing was found that speaks against training on these films.\n"
        "Passed: leak, duplicate.\n"
        "Not checked: patient-overlap, shortcut. No patient is known.\n"
    )


def test_how_the_data_set_was_read_follows_in_sentences() -> None:
    text = audit_table(results_of(Fault("columns", "note", "`label` is read as the finding.")))
    assert text.splitlines()[1] == "`label` is read as the finding."


def test_groups_go_from_errors_to_notes() -> None:
    mixed = dataclasses.replace(FAULTS[3], severity="error")
    groups = group_faults(results_of(*FAULTS, mixed))
    assert [(severity, check.code, len(found)) for severity, check, found in groups] == [
        ("error", "leak", 2),
        ("error", "thumbnail", 1),
        ("warning", "thumbnail", 1),
        ("note", "duplicate", 1),
    ]
    assert summary_of("leak", ["A twin."] * 9) == "9 test films are also in train."


def test_a_file_name_that_is_no_text_breaks_nothing() -> None:
    fault = Fault("unreadable", "warning", "Cannot read \udcff.", ("\udcff",))
    assert "\\udcff" in audit_table(results_of(fault), width=100)
