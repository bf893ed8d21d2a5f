"""The command `hilum tune`: its options, and what it says when the search is done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import NOTICE, ColumnOption, SetOption, check_training, load_training, with_columns
from hilum.console import TerminalConsole, count_of
from hilum.errors import ConfigError
from hilum.text import printable

__all__ = ["tune"]


def tune(  # noqa: PLR0917 - typer hands them over by name
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="As `hilum train` takes it; its test part takes no part."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The search's folder; one that was killed goes on.")
    ],
    trials: Annotated[int, typer.Option(help="Trials in all, those of earlier runs in DIR included.")] = 30,
    minutes: Annotated[
        float | None, typer.Option(help="No trial goes on after so many minutes; judging the best again comes on top.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of the grouped cross-validation that judges a trial.")] = 5,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings to start from; trial 0.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="As `hilum train` takes it; its defaults are trial 0.")] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet, chest (hilum-chest), or none for random ones.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides the trials, their folds and first weights.")] = None,
    settings: SetOption = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="ADDRESS", help="Spread the trials over Ray: an address, or `local`."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of the cluster, one thread each; as many as cores if not given.")
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another search in DIR.")] = False,
) -> None:
    """Search for better settings by cross-validation of the training films; the test part takes no part.

    Leaves run.toml for `hilum train --config`, trials.csv and report.html in DIR. Where the best trial beats the
    defaults by no more than noise, run.toml holds the defaults.

    Example: hilum tune films/ --out search --backbone plain-cnn --minutes 60
    """
    (data,) = with_columns([data], column)
    if workers is not None and cluster is None:
        raise ConfigError("--workers counts the processes of a cluster.", fix="Add --cluster local, or leave it out.")
    check_training()
    from hilum.run.cluster import Cluster
    from hilum.train.config import read_config
    from hilum.train.tune.search_space import Search, TuneSettings, check_search

    base = read_config(config, {"backbone": backbone, "weights": weights, "seed": seed}, settings or ())
    search = Search(data, out, base, TuneSettings(trials, minutes, folds))
    check_search(search)
    load_training()
    from hilum.workflows.tune import tune_settings

    console = TerminalConsole()
    place = None if cluster is None else Cluster(cluster, workers)
    tuned = tune_settings(search, cluster=place, overwrite=overwrite, console=console)
    typer.echo(printable(tuned.verdict))
    console.say(f"Settings: {out / 'run.toml'}    Report: {out / 'report.html'}    {NOTICE}")
    if tuned.num_unread:
        console.say(f"Left out, as unreadable: {count_of(tuned.num_unread, 'film')}.")
        raise typer.Exit(1)
