"""The command `hilum ensemble`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, show_figures, with_columns
from hilum.console import TerminalConsole
from hilum.text import printable
from hilum.workflows.training_extra import check_training

__all__ = ["ensemble"]


class Method(StrEnum):
    """How `ensemble` combines its members."""

    average = "average"
    stack = "stack"


def ensemble(  # noqa: PLR0917 - typer hands them over by name
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of finished runs. RUN/folds, or one RUN alone, means the folds of that run."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the ensemble.")],
    method: Annotated[
        Method,
        typer.Option(
            help="average: the mean of the probabilities. stack: a logistic regression on the out-of-fold answers."
        ),
    ] = Method.average,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DATA", help="The data set of the runs. The ensemble is evaluated on its test films."
        ),
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier ensemble in RUN.")] = False,
) -> None:
    """Combine several trained models in one model file.

    hilum then compares the new model with the best of them.

    Example: hilum ensemble run-0 run-1 run-2 --out together --data films/
    """
    data = with_columns([data], column)[0] if data else None
    check_training()
    from hilum.report.ensemble import gain_text
    from hilum.workflows.ensemble import ensemble_runs

    console = TerminalConsole()
    made = ensemble_runs(runs, out, method=method.value, data=data, overwrite=overwrite, console=console)
    show_figures(made.metrics, made.folder, console)
    if best := made.metrics.ensemble.best_member:
        typer.echo(printable(gain_text(best, f"Against its best member, {best.name}")))
