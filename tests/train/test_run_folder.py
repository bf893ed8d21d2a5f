"""The folder of a run: only what hilum left is ever removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.train.run_folder import RUN_FOLDER


def write_run(folder: Path) -> None:
    for name in set(RUN_FOLDER.files) - {"folds", "tensorboard", ".work"}:
        (folder / name).write_text('{"test": {}, "test_clean": {}, "validation": {}}')
    (folder / "folds").mkdir()
    (folder / "folds" / "fold-1.onnx").write_text("x")
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / "events.out.tfevents.1.hilum").write_text("x")


def test_what_hilum_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "thoughts.txt").write_text("precious")
    RUN_FOLDER.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thoughts.txt"]


def test_finished_runs_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    run, foreign, data = tmp_path / "run", tmp_path / "foreign", tmp_path / "data"
    for folder in (run, foreign, data):
        folder.mkdir()
    write_run(run)
    (foreign / "a.txt").write_text("precious")
    RUN_FOLDER.check(tmp_path / "new", overwrite=False, data=data)
    RUN_FOLDER.check(run, overwrite=True, data=data)
    for folder, words in (
        (run, "finished run"),
        (foreign, "no run made by hilum"),
        (data / "run", "lies in the data folder"),
    ):
        with pytest.raises(InputError, match=words):
            RUN_FOLDER.check(folder, overwrite=False, data=data)


def test_a_folder_with_names_of_a_run_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir()
    for name in ("config.toml", "splits.csv", "model.onnx", "metrics.json", ".work/run.json"):
        (tmp_path / name).write_text("precious")
    with pytest.raises(InputError, match="no run made by hilum"):
        RUN_FOLDER.check(tmp_path, overwrite=True, data=tmp_path / "data")


def test_files_beside_the_folds_stay(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "folds" / "notes.txt").write_text("precious")
    RUN_FOLDER.remove(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["folds", "notes.txt"]
