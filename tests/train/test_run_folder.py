"""The folder of a run: only what hilum left is ever removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.train.run_folder import RUN_FILES, check_folder, history_csv, remove_run


def write_run(folder: Path) -> None:
    for name in RUN_FILES:
        (folder / name).write_text('{"test": {}, "test_clean": {}, "validation": {}}')
    (folder / "folds").mkdir()
    (folder / "folds" / "fold-1.onnx").write_text("x")


def test_what_hilum_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "thoughts.txt").write_text("precious")
    remove_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thoughts.txt"]


def test_finished_runs_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    run, foreign, data = tmp_path / "run", tmp_path / "foreign", tmp_path / "data"
    for folder in (run, foreign, data):
        folder.mkdir()
    write_run(run)
    (foreign / "a.txt").write_text("precious")
    check_folder(tmp_path / "new", data, overwrite=False)
    check_folder(run, data, overwrite=True)
    for folder, words in (
        (run, "finished run"),
        (foreign, "no run of hilum's"),
        (data / "run", "lies in the data folder"),
    ):
        with pytest.raises(InputError, match=words):
            check_folder(folder, data, overwrite=False)


def test_a_folder_with_names_of_a_run_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir()
    for name in ("config.toml", "splits.csv", "model.onnx", "metrics.json", ".work/run.json"):
        (tmp_path / name).write_text("precious")
    with pytest.raises(InputError, match="no run of hilum's"):
        check_folder(tmp_path, tmp_path / "data", overwrite=True)


def test_files_beside_the_folds_stay(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "folds" / "notes.txt").write_text("precious")
    remove_run(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["folds", "notes.txt"]


def test_the_history_has_a_line_an_epoch_and_only_its_own_columns() -> None:
    rows = [{"stage": "head", "epoch": 0, "loss": 0.5, "secret": 1, "kept": True}, {"stage": "backbone", "epoch": 1}]
    lines = history_csv(rows).splitlines()
    assert lines[0] == "stage,epoch,loss,validation_loss,validation_accuracy,learning_rate,kept"
    assert lines[1:] == ["head,0,0.5,,,,true", "backbone,1,,,,,false"]
