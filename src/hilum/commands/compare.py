"""The command `hilum compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, with_columns
from hilum.console import TerminalConsole

__all__ = ["compare"]


def compare(  # noqa: PLR0917 - typer hands them over by name
    first: Annotated[
        Path,
        typer.Argument(
            metavar="A",
            help="The first model: a folder made by `hilum train` or `hilum evaluate`. With DATA, a run "
            "or a model file.",
        ),
    ],
    second: Annotated[Path, typer.Argument(metavar="B", help="The second model, given in the same way.")],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA", help="Films that both models judge now. Without it, their saved answers are used."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for compare.json and compare.html.")
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier comparison in DIR.")] = False,
) -> None:
    """Compare two models on the same films.

    hilum says which one is better, or that the films are too few to say.

    Example: hilum compare run-a run-b films/
    """
    from hilum.report.comparison import comparison_text
    from hilum.workflows.compare import check_comparison, compare_models, compare_runs, write_comparison

    if out is not None:
        check_comparison(out, overwrite=overwrite)
    if data is None:
        result = compare_runs(first, second)
    else:
        (data,) = with_columns([data], column)
        result = compare_models(first, second, data, console=TerminalConsole())
    if out is not None:
        write_comparison(result, out, overwrite=overwrite)
    typer.echo(comparison_text(result, width=None if sys.stdout.isatty() else 160), nl=False)
