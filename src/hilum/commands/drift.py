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
        typer.Argument(
            metavar="PREDICTIONS...",
            help="Files of `hilum predict` (.jsonl, .csv, .parquet), or a folder of counts: that of `hilum serve "
            "--counts`, or `counts` in the spool of `hilum node`.",
        ),
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
    days: Annotated[
        int | None,
        typer.Option(
            "--days",
            metavar="N",
            min=1,
            help="If you give a folder of counts: use only the last N days, today included.",
        ),
    ] = None,
) -> None:
    """Check whether today's answers differ from the evaluation's.

    You need no findings of today's films. If the answers differ, test the model on films of today.

    Example: hilum drift --model run today.jsonl

    Example: hilum drift --model run /var/lib/hilum-node/counts --days 7
    """
    from hilum.report.drift import drift_lines
    from hilum.run.saved_counts import is_counts
    from hilum.workflows.drift import find_drift

    found = find_drift(model, predictions, reference=reference or (), days=days)
    when = "counted so far" if any(map(is_counts, predictions)) else "of today"
    for line in drift_lines(found, when if days is None else f"of the last {days} days"):
        typer.echo(printable(line))
