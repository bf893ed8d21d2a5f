"""The command `hilum tune`: its options, and what it says when the search is done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import (
    ClusterOption,
    ColumnOption,
    ConfigOption,
    SetOption,
    WeightsOption,
    WorkersOption,
    named_cluster,
    with_columns,
)
from hilum.console import TerminalConsole, count_of
from hilum.text import printable
from hilum.version import NOTICE
from hilum.workflows.training_extra import check_training, load_training

__all__ = ["tune"]


def tune(  # noqa: PLR0917 - typer hands them over by name
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Data set, as for `hilum train`. Its test films are not used."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Folder for the search. If a search there was interrupted, it continues."
        ),
    ],
    trials: Annotated[
        int, typer.Option(help="Number of trials, including those that an earlier run made in DIR.")
    ] = 30,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="End the trials after this many minutes. Then the best trial is tested again, which takes more time."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Number of cross-validation folds for each trial.")] = 5,
    config: ConfigOption = None,
    backbone: Annotated[str | None, typer.Option(help="The network, as for `hilum train`.")] = None,
    weights: WeightsOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the trials, the folds and the first weights.")] = None,
    settings: SetOption = None,
    cluster: ClusterOption = None,
    workers: WorkersOption = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another search in DIR.")] = False,
) -> None:
    """Search for better settings on your training films.

    Each set of settings is judged by cross-validation. Test films are not used.

    Trial 0 has the settings that `hilum train` would use with the same options. Files in DIR: run.toml (for
    `hilum train --config`), trials.csv and report.html. If the best trial is not clearly better than trial 0, run.toml
    holds the settings of trial 0.

    Example: hilum tune films/ --out search --backbone plain-cnn --minutes 60
    """
    (data,) = with_columns([data], column)
    place = named_cluster(cluster, workers)
    check_training()
    from hilum.data.folder import read_dataset
    from hilum.data.scan import typical_side
    from hilum.train.config_file import read_config
    from hilum.train.tune.search_space import Search, TuneSettings, check_search

    overrides = {"backbone": backbone, "weights": weights, "seed": seed}
    base = read_config(config, overrides, settings or (), film_px=lambda: typical_side(read_dataset(data)))
    search = Search(data, out, base, TuneSettings(trials, minutes, folds))
    check_search(search)
    load_training()
    from hilum.workflows.tune import tune_settings

    console = TerminalConsole()
    tuned = tune_settings(search, cluster=place, overwrite=overwrite, console=console)
    typer.echo(printable(tuned.verdict))
    console.say(f"Settings: {out / 'run.toml'}    Report: {out / 'report.html'}    {NOTICE}")
    if tuned.num_unread:
        console.say(f"Left out, because they cannot be read: {count_of(tuned.num_unread, 'film')}.")
        raise typer.Exit(1)
