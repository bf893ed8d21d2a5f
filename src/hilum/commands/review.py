"""The command `hilum review`."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, needs, with_columns
from hilum.console import TerminalConsole

__all__ = ["review"]


def review(  # noqa: PLR0917 - typer hands them over by name
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|AUDIT", help="The folder of `hilum train` or of `hilum audit --out`.")
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DATA", help="The films that were audited. Needed the first time only."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="MODEL", help="Draw the heat maps with this model. By default the model of the RUN."
        ),
    ] = None,
    who: Annotated[
        str | None,
        typer.Option("--who", metavar="NAME", help="Your name beside your decisions. By default your user name."),
    ] = None,
    port: Annotated[int, typer.Option("--port", metavar="P", help="Port. 0 takes any free port and shows it.")] = 8001,
    column: ColumnOption = None,
) -> None:
    """Settle doubtful films one by one, on a page in your browser.

    The page shows twins, suspect labels and odd films. Every decision is saved at once in the folder: review.csv lists
    your films with it, and all commands take it as DATA. The same command continues where you stopped. No film leaves
    this computer.

    Example: hilum review audit --data films/
    """
    with needs("serve", "The review"):
        from hilum.serve.review import run_review
        from hilum.workflows.review import open_review

    if data is not None:
        (data,) = with_columns([data], column)
    opened = open_review(folder, data=data, who=who or _user(), model=model)
    run_review(opened, port=port, console=TerminalConsole())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return ""
