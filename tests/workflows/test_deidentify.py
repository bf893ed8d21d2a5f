"""`hilum data deidentify`: a new folder without names, also of files, and a table of old and new files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.console import Console
from hilum.errors import InputError
from hilum.workflows.deidentify import deidentify_folder

PLACES = ("train/Covid/SORENSEN KIRSTEN/a.dcm", "train/Covid/JEKYLL/a.dcm", "train/Normal/b", "test/Normal/c.dcm")


@pytest.fixture
def films(tmp_path: Path, write_dicom: Callable[..., Path]) -> Path:
    for seed, place in enumerate(PLACES):
        write_dicom(tmp_path / "films" / place, seed=seed)
    (tmp_path / "films" / "SORENSEN.csv").write_text("path,finding\n")
    (tmp_path / "films" / "train" / "Normal" / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "films"


def test_command_copies_what_it_can_and_says_what_stays(
    films: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    before = {path: path.read_bytes() for path in films.rglob("*") if path.is_file()}
    out, key = tmp_path / "new", tmp_path / "key.csv"
    shown = command("data", "deidentify", films, "--out", out, "--key", key)
    assert shown.code == 1  # the PNG is left out
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.dcm")) == [
        "test/Normal/000001.dcm",
        "train/Covid/folder-1/000001.dcm",
        "train/Covid/folder-2/000001.dcm",
        "train/Normal/000001.dcm",
    ]
    assert before == {path: path.read_bytes() for path in films.rglob("*") if path.is_file()}
    assert not [path for path in out.rglob("*.dcm") if b"CRET" in path.read_bytes()]
    assert "4 films in" in shown.out
    assert "photo.png" in shown.err
    assert "NOT removed" in shown.err
    with key.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {Path(row["new"]) for row in rows} == set(out.rglob("*.dcm"))
    assert all(Path(row["old"]).is_file() for row in rows)


@pytest.mark.parametrize(
    ("out", "key", "message"),
    [
        ("films/new", None, "lies in the data folder"),
        ("films", None, "lies in the data folder"),
        ("full", None, "is not empty"),
        ("new", "new/key.csv", "folder does not exist|must not lie"),
        ("empty", "empty/key.csv", "must not lie"),
        ("new", "full/mine.txt", "was not made by"),
    ],
)
def test_nothing_of_the_user_is_overwritten(
    films: Path, tmp_path: Path, out: str, key: str | None, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=message):
        deidentify_folder(films, tmp_path / out, key=key and tmp_path / key, console=Console())
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_a_folder_without_dicom_films_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="holds no DICOM film"):
        deidentify_folder(tmp_path / "films", tmp_path / "new", console=Console())
