"""Holding out a source: none of its films, and none of their twins, are trained on; what is not taught is said."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.data.sources import MIN_GROUPS, hold_out_sources
from hilum.errors import InconsistentDataset


def films(*parts: tuple[str | None, str, int]) -> list[FilmRecord]:
    return [
        FilmRecord(f"{source}/{finding}/{number}.png", finding, None, source=source)
        for source, finding, count in parts
        for number in range(count)
    ]


def test_each_source_is_held_out_once_and_the_test_part_never() -> None:
    records = films(("b", "Normal", 8), ("b", "Covid-19", 8), ("a", "Normal", 8), ("a", "Covid-19", 9))
    splits = ["train"] * len(records)
    splits[0], splits[20] = "test", "validation"
    parts = hold_out_sources(records, splits, np.arange(len(records)))
    assert [part.source for part in parts] == ["a", "b"]
    held = np.sum([part.held for part in parts], axis=0)
    assert held.tolist() == [0] + [1] * 32
    for part in parts:
        assert {record.source for record, one in zip(records, part.held, strict=True) if one} == {part.source}
        assert part.source not in {record.source for record, one in zip(records, part.rest, strict=True) if one}
        assert not part.rest[0]
        assert (part.findings, part.untaught, part.reason) == (("Normal", "Covid-19"), (), "")


def test_twins_of_the_held_films_are_not_trained_on() -> None:
    records = films(("a", "Normal", 8), ("a", "Covid-19", 8), ("b", "Normal", 8), ("b", "Covid-19", 8))
    groups = np.arange(32)
    groups[16] = 0  # one picture in both sources
    first, second = hold_out_sources(records, ["train"] * 32, groups)
    assert not first.rest[16]
    assert first.held[0]
    assert not second.rest[0]
    assert second.held[16]
    assert first.rest.sum() == second.rest.sum() == 15


def test_what_the_others_do_not_teach_is_said_and_not_trained_on() -> None:
    records = films(
        ("a", "Normal", 8), ("a", "Covid-19", 8), ("a", "Tuberculosis", MIN_GROUPS - 1), ("b", "Normal", 8),
        ("b", "Covid-19", 8), ("b", "Tuberculosis", 8),
    )  # fmt: skip
    without_a, without_b = hold_out_sources(records, ["train"] * len(records), np.arange(len(records)))
    assert without_a.findings == ("Normal", "Covid-19", "Tuberculosis")
    assert without_b.findings == ("Normal", "Covid-19")  # four films of tuberculosis teach nothing
    assert without_b.untaught == ("Tuberculosis",)
    assert {record.finding for record, one in zip(records, without_b.rest, strict=True) if one} == {
        "Normal",
        "Covid-19",
    }
    twins = np.arange(len(records))
    twins[-8:] = 99  # eight copies of one film
    assert hold_out_sources(records, ["train"] * len(records), twins)[0].untaught == ("Tuberculosis",)


def test_sources_that_cannot_be_judged_give_the_reason() -> None:
    records = films(("a", "Normal", 8), ("b", "Normal", 8), ("b", "Covid-19", 8), ("c", "Tuberculosis", 8))
    without_a, without_b, without_c = hold_out_sources(records, ["train"] * len(records), np.arange(len(records)))
    assert without_a.reason == ""
    assert without_b.reason == ""  # Normal of a, Tuberculosis of c
    assert without_c.reason == "the other sources have too few films of its findings (Tuberculosis)"
    alone = hold_out_sources(records[:24], ["train"] * 24, np.arange(24))
    assert alone[1].reason == "the other sources have enough films of Normal only"


def test_no_source_is_held_out_that_the_starting_weights_were_learned_from() -> None:
    records = films(("a", "Normal", 8), ("b", "Normal", 8), ("b", "Covid-19", 8), ("c", "Covid-19", 8))
    seen = np.zeros(32, dtype=bool)
    seen[4:8] = True
    without_a, without_b, without_c = hold_out_sources(records, ["train"] * 32, np.arange(32), seen=seen)
    assert without_a.reason == "the starting weights were trained on 4 of its 8 films"
    assert without_b.reason == without_c.reason == ""


def test_sets_without_sources_are_refused() -> None:
    with pytest.raises(InconsistentDataset, match="2 of 10 films have no source"):
        hold_out_sources(films(("a", "Normal", 8), (None, "Normal", 2)), ["train"] * 10, np.arange(10))
    with pytest.raises(InconsistentDataset, match=r"come from one source \(a\)"):
        hold_out_sources(films(("a", "Normal", 8), ("b", "Normal", 2)), ["train"] * 8 + ["test"] * 2, np.arange(10))
