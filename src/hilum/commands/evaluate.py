"""The command `hilum evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, DataArgument, MapOption, ModelOption, show_figures, with_columns
from hilum.console import TerminalConsole, count_of
from hilum.text import printable

__all__ = ["evaluate"]


def evaluate(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for metrics.json and report.html.")],
    mapping: MapOption = None,
    shortcuts: Annotated[
        bool,
        typer.Option(
            "--shortcuts",
            help="Also test for shortcuts: lungs hidden, border only, thumbnails, heat maps, damaged "
            "films, subgroups. Takes at least half a minute.",
        ),
    ] = False,
    prevalence: Annotated[
        float | None,
        typer.Option(
            "--prevalence",
            metavar="P",
            help="Also say what the answers are worth where this share of the films have the finding, for example "
            "0.05: positive and negative predictive values, and how many local films show it.",
        ),
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in DIR.")] = False,
) -> None:
    """Evaluate a model on films with known findings. If DATA has a test part, only that is used.

    With --shortcuts, the report and shortcuts.json also show what the model uses besides the lungs.

    Example: hilum evaluate --model run/model.onnx other-hospital/ --out other --shortcuts
    """
    (data,) = with_columns([data], column)
    from hilum.report.external import external_lines, prevalence_lines
    from hilum.workflows.evaluate import EvaluateOptions, evaluate_model

    console = TerminalConsole()
    metrics, num_unread = evaluate_model(
        model,
        data,
        out,
        options=EvaluateOptions(mapping=mapping or (), overwrite=overwrite, shortcuts=shortcuts, prevalence=prevalence),
        console=console,
    )
    show_figures(metrics, out, console)
    for line in external_lines(metrics):
        typer.echo(printable(line))
    if metrics.at_prevalence:
        for line in prevalence_lines(metrics.at_prevalence):
            typer.echo(printable(line))
    if num_unread:
        console.say(f"Left out, because they cannot be read: {count_of(num_unread, 'film')}.")
        raise typer.Exit(1)
