"""The command `hilum train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import (
    ColumnOption,
    ConfigOption,
    DataArgument,
    SetOption,
    WeightsOption,
    show_figures,
    with_columns,
)
from hilum.console import TerminalConsole, count_of
from hilum.text import printable
from hilum.workflows.training_extra import check_training, load_training

__all__ = ["LogTo", "train"]


class LogTo(StrEnum):
    """Who is told of a run."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"


def train(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="RUN", help="Folder for the run. If a run there was interrupted, it continues."),
    ],
    config: ConfigOption = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="The network: efficientnet-lite0 (default), -lite1 or -lite2 (larger), plain-cnn, hilum-chest (that "
            "of the chest model), or one of keras.applications, such as MobileNetV2."
        ),
    ] = None,
    weights: WeightsOption = None,
    folds: Annotated[
        int | None, typer.Option(help="Also cross-validate the training films in this many folds.")
    ] = None,
    by_source: Annotated[
        bool | None,
        typer.Option("--by-source", help="For each source of films, also train a model without it and test on it."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the split, the first weights, the order and the augmentation.")
    ] = None,
    log: Annotated[
        LogTo | None,
        typer.Option(
            "--log",
            help="Also log settings, curves, figures, faults, model and report: to RUN/tensorboard, or to the MLflow "
            "store of MLFLOW_TRACKING_URI (RUN/mlflow.db if it is not set).",
        ),
    ] = None,
    settings: SetOption = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in RUN.")] = False,
) -> None:
    """Train a classifier on a folder of films and evaluate it.

    Files in RUN: model.onnx (the whole model), model.keras, config.toml, splits.csv, history.csv, batches.png (the
    first films that it trained on), predictions.csv, metrics.json, audit.json, report.html, model-card.md and claim.md.

    Example: hilum train films/ --out run --folds 5
    """
    (data,) = with_columns([data], column)
    check_training()
    from hilum.data.folder import read_dataset
    from hilum.data.scan import typical_side
    from hilum.judge.audit.suspects import SUSPECT
    from hilum.report.external import source_lines
    from hilum.train.config_file import read_config
    from hilum.train.run_folder import check_run
    from hilum.train.tracking import check_log

    check_log(log)
    overrides = {"backbone": backbone, "weights": weights, "folds": folds, "by_source": by_source, "seed": seed}
    chosen = read_config(config, overrides, settings or (), film_px=lambda: typical_side(read_dataset(data)))
    check_run(data, out, chosen, overwrite=overwrite)
    load_training()
    from hilum.train.fit import Extensions
    from hilum.workflows.train import train_model

    console = TerminalConsole()
    extensions = Extensions(log=log)
    run = train_model(data, out, chosen, overwrite=overwrite, console=console, extensions=extensions)
    show_figures(run.metrics, run.folder, console)
    for line in source_lines(run.metrics):
        typer.echo(printable(line))
    for fault in run.faults:
        if fault.kind == SUSPECT:
            typer.echo(printable(f"{fault.message} Details: {run.folder / 'audit.json'}"))
    if run.num_unread:
        console.say(f"Left out, because they cannot be read: {count_of(run.num_unread, 'film')}; see audit.json.")
        raise typer.Exit(1)
