"""The command `hilum audit`: what is wrong with a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, DataArgument, IgnoreOption, with_columns
from hilum.console import TerminalConsole, count_of
from hilum.version import NOTICE

__all__ = ["audit"]


def audit(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder for report.html and audit.json. Without it, only the table is shown."
        ),
    ] = None,
    repair: Annotated[
        Path | None,
        typer.Option(
            "--repair",
            metavar="OUT.csv",
            help="Write a corrected list of the films. Problems that can be fixed automatically are fixed.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Also look for wrong labels: those that this model contradicts, on films that it was not trained on. "
            "A model.onnx, `chest`, or the folder of a run (with --folds, all its films are judged).",
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="suspect-label", help="Leave films with this fault out of OUT.csv."),
    ] = None,
    ignore: IgnoreOption = None,
    column: ColumnOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier audit in DIR and an earlier OUT.csv.")
    ] = False,
) -> None:
    """Find problems in a data set before you train on it. Nothing in DATA is changed.

    Exit code 1: a fault of severity error was found (do not train on the films as they are), or a file cannot be read.

    Example: hilum audit films/ --out audit --repair fixed.csv
    """
    (data,) = with_columns([data], column)
    from hilum.report.audit_table import audit_table
    from hilum.workflows.audit import AuditPlaces, audit_command
    from hilum.workflows.repair import dropped_path

    console = TerminalConsole()
    places = AuditPlaces(out, repair, overwrite=overwrite, drop=drop or ())
    found = audit_command(data, places, model=model, ignore=ignore or (), console=console)
    typer.echo(audit_table(found.audit.results), nl=False)
    if out is not None:
        console.say(f"Report: {out / 'report.html'}")
    if repair is not None:
        lists = f"{repair} lists {count_of(found.num_kept, 'film')} to keep"
        console.say(f"Repaired: {lists}; {dropped_path(repair)} lists {count_of(found.num_dropped, 'film')} left out.")
    console.say(NOTICE)
    if found.audit.num_errors or found.audit.data.scan.num_unread:
        raise typer.Exit(1)
