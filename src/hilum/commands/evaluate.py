"""The command `hilum evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.options import ColumnOption, DataArgument, ModelOption, with_columns
from hilum.commands.shared import show_figures
from hilum.console import TerminalConsole, count_of
from hilum.text import printable

__all__ = ["evaluate"]


def evaluate(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where metrics.json and report.html go.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="THEIRS=OURS", help="Their name of a finding, and the model's; repeatable."),
    ] = None,
    shortcuts: Annotated[
        bool,
        typer.Option(
            "--shortcuts",
            help="Also measure what the score rests on: lungs hidden, border only, thumbnails, heat maps, damaged "
            "films, subgroups. From half a minute on.",
        ),
    ] = False,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in DIR.")] = False,
) -> None:
    """Judge a model on films with known findings: the test part where DATA has one, else all of it.

    With --shortcuts the report and shortcuts.json also say what the model's score rests on.

    Example: hilum evaluate --model run/model.onnx other-hospital/ --out other --shortcuts
    """
    (data,) = with_columns([data], column)
    from hilum.report.external import external_lines
    from hilum.workflows.evaluate import evaluate_model

    console = TerminalConsole()
    metrics, num_unread = evaluate_model(
        model, data, out, mapping=mapping or (), overwrite=overwrite, shortcuts=shortcuts, console=console
    )
    show_figures(metrics, out, console)
    for line in external_lines(metrics):
        typer.echo(printable(line))
    if num_unread:
        console.say(f"Left out, as unreadable: {count_of(num_unread, 'film')}.")
        raise typer.Exit(1)
