"""The doubts that are cut from the faults of an audit."""

from __future__ import annotations

from hilum.judge.audit.check import Fault, Suggestion
from hilum.judge.audit.doubts import Doubt, doubts_of

FINDINGS = {
    "a.png": "Normal",
    "b.png": "Covid-19",
    "c.png": "Normal",
    "d.png": "Viral Pneumonia",
    "e.png": "Normal|Viral Pneumonia",
}


def doubts(*faults: Fault) -> tuple[Doubt, ...]:
    return doubts_of(faults, FINDINGS)


def test_serious_doubts_come_first_and_only_those_about_films() -> None:
    found = doubts(
        Fault("duplicate", "note", "Two films are identical.", ("a.png", "c.png")),
        Fault("small-class", "warning", "Only 2 films.", ("a.png",)),
        Fault("rotated", "warning", "2 films are turned.", ("c.png", "d.png")),
        Fault("leak", "error", "A test film has 2 twins.", ("a.png", "b.png", "c.png")),
    )
    assert [one.key for one in found] == [
        ("leak", "a.png", "b.png"),
        ("leak", "a.png", "c.png"),
        ("rotated", "c.png"),
        ("rotated", "d.png"),
        ("duplicate", "a.png", "c.png"),
    ]
    assert {one.marked for one in found} == {(0,)}
    assert {one.suggestion for one in found} == {""}


def test_a_suspect_label_has_its_suggestion_and_both_findings_in_question() -> None:
    suggestions = {"a.png": Suggestion("Covid-19", 0.93), "e.png": Suggestion("Covid-19", 0.5)}
    first, second = doubts(Fault("suspect-label", "warning", "2 labels.", ("a.png", "e.png"), 2, suggestions))
    assert first.findings == ("Normal", "Covid-19")
    assert first.suggestion == "Covid-19"
    assert "labelled Normal" in first.reason
    assert "93.0" in first.reason
    assert second.findings == ("Normal", "Covid-19", "Viral Pneumonia")


def test_a_source_puts_its_finding_in_question_if_the_data_set_has_it() -> None:
    def fault(instead: str) -> Fault:
        return Fault("source-label", "error", "The source says otherwise.", ("a.png",), 1, instead=instead)

    (one,) = doubts(fault("Covid-19"))
    assert (one.findings, one.suggestion) == (("Normal", "Covid-19"), "Covid-19")
    (foreign,) = doubts(fault("ARDS"))
    assert (foreign.findings, foreign.suggestion) == (("Normal",), "")
    (either,) = doubts(fault("Covid-19|Viral Pneumonia"))
    assert (either.findings, either.suggestion) == (("Normal", "Covid-19", "Viral Pneumonia"), "")


def test_one_picture_with_two_findings_is_decided_for_both_films() -> None:
    (one,) = doubts(Fault("label-conflict", "error", "Two films are identical.", ("a.png", "b.png")))
    assert (one.marked, one.findings) == ((0, 1), ("Normal", "Covid-19"))


def test_films_that_are_not_in_the_data_set_are_passed_over() -> None:
    assert not doubts(Fault("leak", "error", "A twin.", ("gone.png", "a.png")))
    (one,) = doubts(Fault("rotated", "warning", "Turned.", ("gone.png", "a.png", "a.png")))
    assert one.paths == ("a.png",)
