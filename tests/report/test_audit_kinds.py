"""What each kind of fault means."""

from __future__ import annotations

from hilum.report.audit_kinds import KINDS, group_faults, kind_text, summary_of

WORDS = {
    *("leak", "duplicate", "label-conflict", "known-source", "source-label", "patient-overlap"),
    *("class-by-source", "thumbnail", "border-only", "center-blacked", "age-confound"),
    *("imbalance", "small-class", "unreadable", "not-chest", "constant", "low-resolution"),
}


def fault(kind: str, severity: str, message: str = "m") -> dict:
    return {"kind": kind, "severity": severity, "message": message, "paths": [], "figure": None}


def test_every_kind_is_explained() -> None:
    assert set(KINDS) >= WORDS
    for text in KINDS.values():
        assert text.heading
        assert text.meaning.endswith(".")
        assert not text.heading.endswith(".")
    assert kind_text("upside-down").heading == "Upside down"


def test_groups_go_from_errors_to_notes() -> None:
    faults = [fault("duplicate", "note"), fault("thumbnail", "error"), fault("other", "error"), fault("leak", "error")]
    groups = group_faults([*faults, fault("leak", "error")])
    assert [(severity, kind, len(found)) for severity, kind, found in groups] == [
        ("error", "leak", 2),
        ("error", "thumbnail", 1),
        ("error", "other", 1),
        ("note", "duplicate", 1),
    ]


def test_one_speaks_for_itself_and_many_are_counted() -> None:
    one = fault("leak", "error", "A test film has a twin.")
    assert summary_of("leak", [one]) == "A test film has a twin."
    assert summary_of("leak", [one] * 9) == "9 test films have a twin in the training part."
    assert summary_of("unreadable", [fault("unreadable", "warning", "{n} is {first}")] * 2) == (
        "2 files cannot be read; the first: {n} is {first}"
    )
    assert summary_of("imbalance", [one] * 2) == "2 cases; the first: A test film has a twin."
