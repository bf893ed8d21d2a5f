"""The folder of a training run: what hilum leaves in it, and whether a run may begin. It needs no Keras."""

from __future__ import annotations

from pathlib import Path

from hilum.data.folder import read_dataset
from hilum.data.split import check_counts
from hilum.results import ResultFolder
from hilum.train.backbones import check_weights
from hilum.train.config import RunConfig

__all__ = ["RUN_FOLDER", "check_run"]

RUN_FOLDER = ResultFolder(
    of="run",
    finished="a finished run",
    files=(
        "folds",
        "model.onnx",
        "model.keras",
        "config.toml",
        "splits.csv",
        "history.csv",
        "batches.png",
        "predictions.csv",
        "audit.json",
        "report.html",
        "model-card.md",
        "claim.md",
        "tensorboard",
        "mlflow",
        "mlflow.db",
        ".work",
        "metrics.json",
    ),
    marks={
        ".work/run.json": frozenset({"config", "films"}),
        "metrics.json": frozenset({"test", "test_clean", "validation"}),
    },
    last="metrics.json",
    is_alone=True,
    shared={"folds": "*.onnx", "tensorboard": "*.hilum"},
    costly=(".work/*.npz", "model.onnx"),
)


def check_run(data: Path, out: Path, config: RunConfig, *, overwrite: bool = False) -> None:
    """Refuse a run that cannot be made, as far as that shows without Keras and without reading a film.

    Args:
        data: The data set.
        out: The run's folder; it need not exist.
        config: Its settings.
        overwrite: Whether a finished run may be replaced.

    Raises:
        InputError: The folder or the data set cannot be used; nothing in the folder was touched.
        ConfigError: The starting weights are not available.
    """
    check_weights(config.backbone, config.weights)
    RUN_FOLDER.check(out, overwrite=overwrite, data=data)
    check_counts(read_dataset(data))
