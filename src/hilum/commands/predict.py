"""The command `hilum predict`: its options."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ClusterOption, ColumnOption, ModelOption, WorkersOption, named_cluster, with_columns
from hilum.console import TerminalConsole
from hilum.run.models import DEFAULT_MODEL

__all__ = ["predict"]


class Format(StrEnum):
    """How `predict` writes its answers."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


def predict(  # noqa: PLR0917 - typer hands them over by name
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Films; folders, which are read recursively; CSV files with a column of paths; .txt files with one "
            "path per line; or - for a list of paths on standard input.",
        ),
    ],
    model: ModelOption = Path(DEFAULT_MODEL),
    format_: Annotated[Format, typer.Option("--format", help="How the answers are written.")] = Format.table,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write to this file instead of standard output.")
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            "--heatmaps",
            metavar="DIR",
            help="Folder for a heat map of each film. It shows where the evidence lies, not why.",
        ),
    ] = None,
    lungs: Annotated[
        Path | None,
        typer.Option("--lungs", metavar="DIR", help="Folder for a mask of the lungs of each film, white on black."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue FILE if the same command was interrupted earlier.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace what an earlier predict wrote to FILE and DIR. Other files are never replaced."
        ),
    ] = False,
    column: ColumnOption = None,
    cluster: ClusterOption = None,
    workers: WorkersOption = None,
    timings: Annotated[
        bool,
        typer.Option("--timings", help="Say at the end where the time went: disk, decoding, network and so on."),
    ] = False,
) -> None:
    """Classify films: PNG, JPEG or DICOM.

    hilum looks at the content of a file, not at its name. If it does not judge a film, it lists the reasons. If a film
    cannot be read, it lists the error, and the exit code is 1. With --cluster, FILE is a folder of Parquet files; those
    that are missing are computed.

    Example: hilum predict films/ --format csv --out answers.csv
    """
    from hilum.run.memory import keep_memory_flat
    from hilum.workflows.predict import PredictOptions, predict_films

    place = named_cluster(cluster, workers)
    keep_memory_flat()
    try:
        to = (out, heatmaps, lungs)
        options = PredictOptions(
            model, format_.value, *to, resume=resume, overwrite=overwrite, cluster=place, timings=timings
        )
        listed = with_columns(paths, column)
        num_unread = predict_films(listed, options, standard_input=sys.stdin.buffer, console=TerminalConsole())
    except BrokenPipeError:  # whoever read the answers has left; typer would call that a failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if num_unread:
        raise typer.Exit(1)
