"""What is passed over is counted by kind, and what lies about on every disk is not."""

from __future__ import annotations

import os
from pathlib import Path

from hilum.data.walk import PassedOver, film_paths


def passed(*files: str) -> PassedOver:
    found = PassedOver()
    for file in files:
        folder, name = os.path.split(file)
        found.add(folder, name)
    return found


def test_kinds_are_counted_and_the_most_come_first() -> None:
    sentence = passed("a/1.json", "a/1.dcm.gz", "a/2.DCM.GZ", "b/3.dcm.gz", "c/4.dcm.gz").sentence()
    assert sentence == (
        "Passed over: 4 files .dcm.gz in a/ and 2 more folders (unpack them with gunzip); 1 file .json in a/."
    )


def test_volumes_and_packed_files_are_told_what_they_are() -> None:
    assert "2 files .nii.gz in a/ (volumes, not films" in passed("a/1.nii.gz", "a/2.nii.gz").sentence()
    assert "1 file .nii in a/ (volumes, not films" in passed("a/1.nii").sentence()
    assert "1 file .zip in a/ (unpack them)" in passed("a/1.zip").sentence()
    assert "1 file .gz in a/ (unpack them with gunzip)" in passed("a/1.2.840.113619.gz").sentence()
    assert "1 file README in a/." in passed("a/README").sentence()
    assert passed("a/1.csv").may_hold_films is False
    assert passed("a/1.csv", "a/1.dcm.bz2").may_hold_films is True


def test_leftovers_are_quietly_apart() -> None:
    assert passed("a/.DS_Store", "a/Thumbs.db", "a/._1.dcm.gz", "desktop.ini").sentence() == ""
    assert not passed("a/.DS_Store")


def test_many_kinds_are_cut_short() -> None:
    assert passed(*(f"a/1.{kind}x" for kind in "abcdefghijklmno")).sentence().endswith("; files of 3 more kinds.")


def test_a_folder_is_counted_once_while_its_films_come_out(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.dcm.gz", "a/.x", "__MACOSX/3.dcm.gz", "b/4.nii", "b/5.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = PassedOver()
    assert [path.name for path in film_paths([tmp_path], found)] == ["1.png", "5.dcm"]
    assert found.sentence(str(tmp_path)).startswith(
        "Passed over: 1 file .dcm.gz in a/ (unpack them with gunzip); 1 file .nii in"
    )
