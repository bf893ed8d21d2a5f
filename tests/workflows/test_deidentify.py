"""`hilum data deidentify`: a new folder without names, also of files, and a table of old and new files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.console import Console
from hilum.errors import InputError
from hilum.files import replace_file
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
        ("films/new", None, "lies in .* which holds the patients' films"),
        ("films", None, "lies in .* which holds the patients' films"),
        ("full", None, "is not empty. Nothing in it was changed"),
        ("full/mine.txt", None, "it is a file"),
        ("new", "new/key.csv", "folder does not exist|must not lie"),
        ("empty", "empty/key.csv", "must not lie"),
        ("new", "full/mine.txt", "mine.txt` exists. It was not changed"),
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
    with pytest.raises(InputError, match="holds no DICOM film"):
        deidentify_folder(tmp_path / "films", tmp_path / "new", key=tmp_path / "key.csv", console=Console())
    assert not (tmp_path / "key.csv").exists()


def test_second_run_does_not_replace_the_first(films: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "new", tmp_path / "key.csv"
    deidentify_folder(films, out, key=key, console=Console())
    table = key.read_bytes()
    with pytest.raises(InputError, match="is not empty"):
        deidentify_folder(films, out, console=Console())
    with pytest.raises(InputError, match=r"key.csv` exists. It was not changed"):
        deidentify_folder(films, tmp_path / "other", key=key, console=Console())
    assert key.read_bytes() == table


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_after_a_stop_the_table_has_every_copy(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    out, key = tmp_path / "new", tmp_path / "key.csv"

    def stops_at_third(path: Path, content: bytes, *, wait: bool) -> None:
        if len(list(out.rglob("*.dcm"))) == 2:
            raise error
        replace_file(path, content, wait=wait)

    monkeypatch.setattr("hilum.workflows.deidentify.replace_file", stops_at_third)
    with pytest.raises((KeyboardInterrupt, InputError)):
        deidentify_folder(films, out, key=key, console=Console())
    with key.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    copies = set(out.rglob("*.dcm"))
    assert len(copies) == 2
    assert copies <= {Path(row["new"]) for row in rows}


def test_table_has_a_line_before_its_film_is_there(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, seen = tmp_path / "key.csv", []
    monkeypatch.setattr(
        "hilum.workflows.deidentify.replace_file",
        lambda path, content, *, wait: seen.append(str(path) in key.read_text(encoding="utf-8")),
    )
    deidentify_folder(films, tmp_path / "new", key=key, console=Console())
    assert seen == [True] * 4
