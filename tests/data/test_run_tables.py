"""The answers of a run are read back whole, or the folder is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.data.labels import FilmRecord
from hilum.data.run_tables import SplitRow, read_predictions, read_splits, write_splits
from hilum.errors import InputError

HEADER = "path,part,finding,predicted,accepted,probability_a,probability_b\n"


def test_answers_are_read_back_by_part_and_path(tmp_path: Path) -> None:
    lines = ["x,test,a,b,true,0.2,0.8", "./=y,validation,b,b,true,0.1,0.9", "z,leave_one_source_out,b,b,true,,1"]
    (tmp_path / "predictions.csv").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    judged = read_predictions(tmp_path)
    assert (judged.name, judged.findings) == (tmp_path.name, ("a", "b"))
    assert {part: list(rows) for part, rows in judged.parts.items()} == {
        "test": ["x"],
        "validation": ["=y"],
        "leave_one_source_out": ["z"],
    }
    assert judged.parts["test"]["x"]["predicted"] == "b"
    assert (judged.groups, judged.clean) == ({}, None)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "Cannot read the predictions"),
        ("a,b\n1,2\n", "is not a predictions.csv"),
        ("path,part,finding,predicted,accepted,probability_a\nx,test,a\n", "cut short"),
        ("path,part,finding,predicted,accepted,probability_a\nx,test,a,a,true,much\n", "could not convert"),
    ],
)
def test_folders_without_answers_are_refused(tmp_path: Path, content: str | None, match: str) -> None:
    if content is not None:
        (tmp_path / "predictions.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=match):
        read_predictions(tmp_path)
    with pytest.raises(InputError, match="it is not a folder"):
        read_predictions(tmp_path / "nowhere")


def test_splits_are_written_and_read_back(tmp_path: Path) -> None:
    records = [FilmRecord('ä, "b"/c\n.png', "Covid-19", None), FilmRecord(os_name := "bad\udce4.png", "Normal", None)]
    path = tmp_path / "splits.csv"
    write_splits(path, records, ("train", "test"), np.array([0, 1]))
    assert read_splits(path) == (
        SplitRow('ä, "b"/c\n.png', "Covid-19", "train", 0),
        SplitRow(os_name, "Normal", "test", 1),
    )


def test_splits_that_a_spreadsheet_would_run_come_back_as_they_were(tmp_path: Path) -> None:
    records = [FilmRecord("=a.png", "+Normal", None), FilmRecord("-b/c.png", "Covid-19", None)]
    write_splits(tmp_path / "splits.csv", records, ("train", "test"), np.array([0, 1]))
    assert (tmp_path / "splits.csv").read_text().splitlines()[1:] == [
        "./=a.png,'+Normal,train,0",
        "./-b/c.png,Covid-19,test,1",
    ]
    assert [(row.path, row.finding) for row in read_splits(tmp_path / "splits.csv")] == [
        (record.path, record.finding) for record in records
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,finding\na,b\n", "has the columns path, finding; expected path, finding, split, group"),
        ("", "has the columns none"),
        ("path,finding,split,group\n", "name no films"),
        ("path,finding,split,group\na,b,train\n", "cut short"),
        ("path,finding,split,group\na,b,trian,0\n", "split is not one of"),
        ("path,finding,split,group\na,b,train,x\n", "invalid literal"),
    ],
)
def test_a_broken_splits_file_is_told_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_splits(tmp_path / "splits.csv")
    with pytest.raises(InputError, match="No such file"):
        read_splits(tmp_path / "gone.csv")
