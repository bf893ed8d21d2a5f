"""Each folder of a data set once, and what the first look into one shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.data.names import Look, folders_in
from hilum.errors import InconsistentDataset


def test_folders_without_files_and_loops(tmp_path: Path) -> None:
    for name in ("set/b", "set/a", "set/.hidden", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "set/film.png").touch()
    assert folders_in(tmp_path / "set") == ["a", "b"]
    (tmp_path / "set/loop").symlink_to(tmp_path)
    (tmp_path / "set/far").symlink_to(tmp_path / "other")
    assert folders_in(tmp_path / "set", tmp_path / "set") == ["a", "b", "far"]
    (tmp_path / "set/twice").symlink_to(tmp_path / "set/a")
    with pytest.raises(InconsistentDataset, match=r"twice` is a link into the same data set"):
        folders_in(tmp_path / "set", tmp_path / "set")


def test_a_look_tells_parts_from_class_folders() -> None:
    look = Look(("Normal", "train", "images", "Covid"), has_films=False)
    assert look.parts == {"train": "train"}
    assert look.classes == ("Normal", "Covid")
