"""The folder of a run: what hilum leaves in it, and what it must not touch."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.data.folder import read_dataset
from hilum.data.split import check_counts
from hilum.data.walk import is_inside
from hilum.errors import InputError
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
_HISTORY_COLUMNS = ("stage", "epoch", "loss", "validation_loss", "validation_accuracy", "learning_rate")


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
    if out.exists() and not out.is_dir():
        raise InputError(f"Cannot write the run into `{out}`: it is a file.", fix="Choose another folder.")
    if os.path.isdir(data) and is_inside(os.path.realpath(out), os.path.realpath(data)):  # noqa: PTH112
        raise InputError(f"The run's folder `{out}` lies in the data folder.", fix="Choose another folder for --out.")
    if not out.exists() or not any(out.iterdir()):
        return
    is_run = (out / ".work" / "run.json").exists() or all(
        (out / name).exists() for name in ("config.toml", "splits.csv")
    )
    if not is_run and any(path for path in out.rglob("*") if path != out / ".work"):  # one killed at once left .work
        raise InputError(
            f"`{out}` is not empty and holds no run of hilum's; nothing in it was touched.",
            fix="Choose another folder.",
        )
    if (out / "metrics.json").exists() and not overwrite:
        raise InputError(
            f"`{out}` holds a finished run; it was not touched.", fix="Choose another folder, or add --overwrite."
        )


def remove_run(out: Path) -> None:
    """Remove what hilum left in a run's folder, and nothing else."""
    for name in RUN_FILES:
        (out / name).unlink(missing_ok=True)
    for name in (".work", "folds"):
        shutil.rmtree(out / name, ignore_errors=True)


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """Return history.csv: one line an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _HISTORY_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
