"""The command `hilum drift`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ModelOption
from hilum.text import printable

__all__ = ["drift"]


def drift(
    predictions: Annotated[
        list[Path],
        typer.Argument(metavar="PREDICTIONS...", help="Files of `hilum predict`: .jsonl, .csv or .parquet."),
    ],
    model: ModelOption = Path("chest"),
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            help="Earlier predictions of the same model. They take the place of the evaluation kept in the model file.",
        ),
    ] = None,
) -> None:
    """Compare a model's answers to today's films with those of its evaluation. No findings are needed.

    Example: hilum drift --model run today.jsonl
    """
    from hilum.report.drift import drift_lines
    from hilum.workflows.drift import find_drift

    for line in drift_lines(find_drift(model, predictions, reference=reference or ())):
        typer.echo(printable(line))
