"""Where the films of a list lie, whoever wrote it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hilum.data.places import can_be_listed, local_path, path_writer, place_films, without_scheme
from hilum.errors import InconsistentDataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.DCM", "b/1.png", "b/deep/3.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def placed(root: Path, *cells: str) -> list[str]:
    found, places, _ = place_films(root / "films.csv", cells, range(2, 2 + len(cells)))
    assert found == str(root)
    return places


def test_paths_as_other_computers_write_them(root: Path) -> None:
    good = ["a/1.png", "b/deep/3.jpeg"]
    assert placed(root, *good) == good
    assert placed(root, "a\\1.png", ".\\b\\deep\\3.jpeg") == good
    assert placed(root, "D:\\x\\a\\1.png", "D:\\x\\b\\deep\\3.jpeg") == good
    assert placed(root, "/home/me/x/a/1.png", "/home/me/x/b/deep/3.jpeg") == good
    assert placed(root, "a/1", "3") == good
    assert placed(root, "A/1.PNG", "3.jpeg") == good
    assert placed(root, f"{root}/a/1.png", f"{root}/b/deep/3.jpeg") == good
    assert placed(root, "2.dcm", "deep/3") == ["a/2.DCM", "b/deep/3.jpeg"]


def test_addresses_of_files_are_paths(root: Path) -> None:
    good = ["a/1.png", "b/deep/3.jpeg"]
    assert placed(root, f"file://{root}/a/1.png", f"FILE://localhost{root}/b/deep/3.jpeg") == good
    assert placed(root, "file:///C:/x/a/1.png", "file:///C:/x/b/deep/3.jpeg") == good
    assert placed(root, "file:a/1.png", "file:b/deep/3.jpeg") == good
    (root / "a/my film é.png").touch()
    assert placed(root, f"file://{root}/a/my%20film%20%C3%A9.png") == ["a/my film é.png"]
    assert [
        without_scheme(one)
        for one in (
            "file://server/x/y.png",
            "file:/C|/x.png",
            "file://C:/x.png",
            "file:\\\\\\C:\\x.png",
            "file:",
            "file.png",
        )
    ] == ["//server/x/y.png", "C:/x.png", "C:/x.png", "C:\\x.png", "file:", "file.png"]


@pytest.mark.parametrize("cell", ["1.png", "1", "a/1.jpg", "c/1.png", "eep/3.jpeg", "D:\\x\\c\\9.png"])
def test_a_name_that_fits_no_file_or_two_is_not_there(root: Path, cell: str) -> None:
    with pytest.raises(InconsistentDataset, match=r"1 of the 2 films .* do not exist"):
        placed(root, "b/1.png", cell)


def test_a_backslash_in_a_name_that_is_there_stays(root: Path) -> None:
    (root / "odd\\name.png").touch()
    assert placed(root, "odd\\name.png", "a\\1.png") == ["odd\\name.png", "a/1.png"]


def test_names_in_windows_1252_and_names_that_are_no_utf8(root: Path) -> None:
    (root / "é.png").touch()
    in_list = os.fsdecode(b"\xe9.png")
    assert local_path(str(root), in_list) == "é.png"
    (root / in_list).touch()
    assert local_path(str(root), in_list) == in_list


def test_what_was_done_is_told(root: Path) -> None:
    _, _, (remark,) = place_films(root / "films.csv", ["C:\\me\\a\\1.png", "C:\\me\\b\\1.png"], [2, 3])
    assert "begin with `C:/me/`, which does not exist on this computer" in remark.message
    _, _, (remark,) = place_films(root / "films.csv", ["a/1", "b/1.png"], [2, 3])
    assert remark.message == "1 film was found by name: `a/1` is read as `a/1.png`."


def test_paths_are_relative_above_the_films_and_absolute_elsewhere(tmp_path: Path) -> None:
    films = tmp_path / "films"
    assert path_writer(films, tmp_path)("a/1.png") == "films/a/1.png"
    assert path_writer(films, tmp_path / "audit")("a/1.png") == str(films / "a/1.png")


@pytest.mark.parametrize(("path", "can"), [("a b.png", True), (" a.png", False), ("a\udcff.png", False)])
def test_names_that_would_not_come_back_are_known(path: str, *, can: bool) -> None:
    assert can_be_listed(path) is can
