"""The command `hilum train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.options import ColumnOption, DataArgument, SetOption, with_columns
from hilum.commands.shared import check_training, load_training, show_figures
from hilum.console import TerminalConsole, count_of
from hilum.text import printable

__all__ = ["train"]


def train(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run's folder; a run that was killed goes on.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings (run.toml); see RUN/config.toml for all.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="efficientnet-lite0 (default), plain-cnn, hilum-chest (from the chest model that ships), or one of "
            "keras.applications such as MobileNetV2."
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="imagenet (default), chest (of hilum-chest), or none for random ones.")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Also cross-validate the training films by groups.")] = None,
    by_source: Annotated[
        bool | None,
        typer.Option("--by-source", help="Also judge each source of a manifest by a model trained without it."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides split, first weights, order and augmentation.")] = None,
    settings: SetOption = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in RUN.")] = False,
) -> None:
    """Train a classifier on a folder of films and judge it.

    Leaves in RUN: model.onnx (the whole model), model.keras, config.toml, splits.csv, history.csv, predictions.csv,
    metrics.json, audit.json, report.html, model-card.md and claim.md.

    Example: hilum train films/ --out run --folds 5
    """
    (data,) = with_columns([data], column)
    check_training()
    from hilum.report.external import source_lines
    from hilum.train.config import read_config
    from hilum.train.run_folder import check_run

    overrides = {"backbone": backbone, "weights": weights, "folds": folds, "by_source": by_source, "seed": seed}
    chosen = read_config(config, overrides, settings or ())
    check_run(data, out, chosen, overwrite=overwrite)
    load_training()
    from hilum.workflows.train import train_model

    console = TerminalConsole()
    run = train_model(data, out, chosen, overwrite=overwrite, console=console)
    show_figures(run.metrics, run.folder, console)
    for line in source_lines(run.metrics):
        typer.echo(printable(line))
    if run.num_unread:
        console.say(f"Left out, as unreadable: {count_of(run.num_unread, 'film')}; see audit.json.")
        raise typer.Exit(1)
