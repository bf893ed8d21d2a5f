"""The command `hilum compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A folder left by `train` or `evaluate`.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another such folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for compare.json and compare.html.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier comparison in DIR.")] = False,
) -> None:
    """Compare two models on the films that both have judged: which is better, or whether these films are too few.

    Example: hilum compare run-a run-b
    """
    from hilum.report.comparison import comparison_text
    from hilum.workflows.compare import compare_runs, write_comparison

    result = compare_runs(first, second)
    if out is not None:
        write_comparison(result, out, overwrite=overwrite)
    typer.echo(comparison_text(result, width=None if sys.stdout.isatty() else 160), nl=False)
