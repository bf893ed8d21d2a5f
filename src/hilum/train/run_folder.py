"""The folder of a run: what hilum leaves in it, and what it must not touch."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.data.folder import read_dataset
from hilum.data.split import check_counts
from hilum.results import ResultFolder
from hilum.text import write_csv
from hilum.train.backbones import check_weights
from hilum.train.config import RunConfig

__all__ = ["RUN_FILES", "check_folder", "check_run", "history_csv", "remove_run"]

RUN_FILES = (
    "model.onnx",
    "model.keras",
    "config.toml",
    "splits.csv",
    "history.csv",
    "predictions.csv",
    "metrics.json",
    "audit.json",
    "report.html",
    "model-card.md",
    "claim.md",
)
_FOLDER = ResultFolder(
    of="run",
    finished="a finished run; it was",
    files=(*RUN_FILES, ".work", "folds"),
    marks={
        "metrics.json": frozenset({"test", "test_clean", "validation"}),
        ".work/run.json": frozenset({"config", "films"}),
    },
    last="metrics.json",
    is_alone=True,
)
_HISTORY_COLUMNS = ("stage", "epoch", "loss", "validation_loss", "validation_accuracy", "learning_rate", "kept")


def check_run(data: Path, out: Path, config: RunConfig, *, overwrite: bool = False) -> None:
    """Refuse a run that cannot be made, as far as that shows without Keras and without reading a film.

    Args:
        data: The data set.
        out: The run's folder.
        config: Its settings.
        overwrite: Whether a finished run may be replaced.

    Raises:
        InputError: The folder or the data set cannot be used.
        ConfigError: The starting weights are not to be had.
    """
    check_weights(config.backbone, config.weights)
    check_folder(out, data, overwrite=overwrite)
    check_counts(read_dataset(data))


def check_folder(out: Path, data: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything but a run of hilum's, or a finished run that is not to be replaced.

    Args:
        out: The run's folder; it need not exist.
        data: The data set; the run must not lie in it.
        overwrite: Whether a finished run may be replaced.

    Raises:
        InputError: The folder cannot be used; nothing in it was touched.
    """
    _FOLDER.check(out, overwrite=overwrite, data=data)


def remove_run(out: Path) -> None:
    """Remove what hilum left in a run's folder, and nothing else; what says that it is hilum's goes last."""
    folds = out / "folds"
    if folds.is_dir() and not folds.is_symlink():
        for model in folds.glob("*.onnx"):
            model.unlink()
        if not any(folds.iterdir()):
            folds.rmdir()
    for name in (name for name in RUN_FILES if name != "metrics.json"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / ".work", ignore_errors=True)
    (out / "metrics.json").unlink(missing_ok=True)


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """Return history.csv: one line for what stood before the first epoch, and one an epoch."""
    text = io.StringIO()
    rows = [{**row, "kept": str(bool(row.get("kept"))).lower()} for row in history]
    write_csv(text, _HISTORY_COLUMNS, [[row.get(name) for name in _HISTORY_COLUMNS] for row in rows])
    return text.getvalue()
