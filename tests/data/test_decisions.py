"""Decisions on doubtful films: kept on disk at once, gone on with, taken back, and read by the reader of data sets."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.columns import Listing, listing
from hilum.data.decisions import Decision, Decisions, review_files, reviewed_data
from hilum.data.folder import read_dataset
from hilum.data.manifest import group_columns
from hilum.errors import InputError
from hilum.findings import open_kinds

FIRST, SECOND, THIRD = "train/Covid-19/0.png", "train/Normal/0.png", "test/Normal/1.png"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for finding in ("Normal", "Covid-19"):
            for number in range(3):
                path = tmp_path / "films" / part / finding / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"not opened here")
    return tmp_path / "films"


@pytest.fixture
def open_decisions(films: Path) -> Callable[[], Decisions]:
    def open_one() -> Decisions:
        (films.parent / "audit").mkdir(exist_ok=True)
        return Decisions(films.parent / "audit", films, read_dataset(films))

    return open_one


def decided(choice: str, *films: str, finding: str = "", doubt: str = "leak") -> Decision:
    return Decision((doubt, *films), choice, films, finding, "Anna")  # type: ignore[arg-type]


def test_the_list_is_read_as_a_data_set_with_what_was_decided(
    films: Path, open_decisions: Callable[..., Decisions]
) -> None:
    decisions = open_decisions()
    decisions.add(decided("relabel", FIRST, finding="Normal"))
    decisions.add(decided("drop", SECOND))
    decisions.add(decided("undecided", THIRD, finding="Normal|Covid-19"))
    decisions.add(decided("keep", "train/Normal/2.png"))
    _, kept, dropped = review_files(films.parent / "audit")
    read = read_dataset(kept)
    found = {str((read.root / record.path).relative_to(films)): record for record in read.records}
    assert len(found) == 11
    assert SECOND not in found
    assert (found[FIRST].finding, found[FIRST].split) == ("Normal", "train")
    assert open_kinds(found[THIRD].finding, read.findings) == ("Normal", "Covid-19")
    assert found[THIRD].split == "test"
    with kept.open(encoding="utf-8") as lines:
        rows = {Path(row["path"]).relative_to(films).as_posix(): row for row in csv.DictReader(lines)}
    assert [rows[path]["decision"] for path in (FIRST, THIRD, "train/Normal/2.png", "train/Normal/1.png")] == [
        "relabel",
        "undecided",
        "keep",
        "",
    ]
    assert rows[FIRST]["who"] == "Anna"
    assert rows[FIRST]["when"].endswith("Z")
    assert not any(group_columns(kept).values())  # who decided is no group of patients
    left_out = list(csv.DictReader(dropped.read_text(encoding="utf-8").splitlines()))
    assert [(Path(row["path"]).name, row["decision"]) for row in left_out] == [("0.png", "drop")]


def test_a_list_above_the_films_has_relative_paths(films: Path) -> None:
    Decisions(films.parent, films, read_dataset(films))
    read = read_dataset(films.parent / "review.csv")
    assert {record.path for record in read.records} == {f"films/{one.path}" for one in read_dataset(films).records}


def test_a_second_review_goes_on_where_the_first_was(open_decisions: Callable[..., Decisions], films: Path) -> None:
    first = open_decisions()
    first.add(decided("drop", FIRST))
    first.add(decided("keep", SECOND))
    again = open_decisions()
    assert again.made == first.made
    assert again.dropped() == {FIRST}
    assert reviewed_data(films.parent / "audit") == films
    last = again.undo()
    assert last is not None and last.films == (SECOND,)
    assert [one.films for one in open_decisions().made] == [(FIRST,)]
    again.undo()
    assert again.undo() is None
    assert len(read_dataset(films.parent / "audit" / "review.csv").records) == 12


def test_the_columns_that_the_user_named_are_remembered(films: Path) -> None:
    table = films.parent / "mine.csv"
    table.write_text("f,dx\nfilms/train/Normal/0.png,Normal\nfilms/train/Covid-19/0.png,Covid\n", encoding="utf-8")
    data = listing(table, {"path": "f", "finding": "dx"})
    Decisions(films.parent, data, read_dataset(data))
    again = reviewed_data(films.parent)
    assert isinstance(again, Listing)
    assert again.columns == data.columns
    assert len(read_dataset(again).records) == 2


def test_the_last_decision_on_a_doubt_counts_and_keep_changes_no_label(
    open_decisions: Callable[..., Decisions],
) -> None:
    decisions = open_decisions()
    decisions.add(decided("relabel", FIRST, finding="Normal", doubt="suspect-label"))
    decisions.add(decided("keep", FIRST, doubt="rotated"))
    assert decisions.finding_of(FIRST) == "Normal"
    decisions.add(decided("keep", FIRST, doubt="suspect-label"))
    assert decisions.finding_of(FIRST) == "Covid-19"
    decisions.undo()
    assert decisions.finding_of(FIRST) == "Normal"
    decisions.add(decided("drop", FIRST, doubt="leak"))
    decisions.add(decided("keep", FIRST, doubt="rotated"))
    assert decisions.dropped() == {FIRST}


def test_nothing_of_others_is_overwritten(open_decisions: Callable[..., Decisions], films: Path) -> None:
    folder = films.parent / "audit"
    folder.mkdir()
    for name in ("review.json", "review.csv", "review.dropped.csv"):
        (folder / name).write_text("mine", encoding="utf-8")
        with pytest.raises(InputError):
            open_decisions()
        assert (folder / name).read_text(encoding="utf-8") == "mine"
        (folder / name).unlink()


def test_decisions_on_other_films_are_refused(open_decisions: Callable[..., Decisions], films: Path) -> None:
    open_decisions()
    other = films.parent / "other"
    films.rename(other)
    with pytest.raises(InputError, match="holds decisions on the films of"):
        Decisions(films.parent / "audit", other, read_dataset(other))


def test_a_review_beside_this_one_loses_nothing(open_decisions: Callable[..., Decisions]) -> None:
    one, other = open_decisions(), open_decisions()
    one.add(decided("keep", FIRST))
    with pytest.raises(InputError, match="Another review has changed"):
        other.add(decided("drop", SECOND))
    assert [len(decisions.made) for decisions in (one, other, open_decisions())] == [1, 0, 1]


def test_where_the_disk_is_full_nothing_is_decided(
    open_decisions: Callable[..., Decisions], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions = open_decisions()

    def full(*_: object, **__: object) -> None:
        raise InputError("The disk is full.")

    monkeypatch.setattr("hilum.data.decisions.replace_files", full)
    with pytest.raises(InputError, match="full"):
        decisions.add(decided("keep", FIRST))
    assert decisions.made == []
    assert json.loads((films.parent / "audit" / "review.json").read_text(encoding="utf-8"))["decisions"] == []
