"""The commands `hilum model ...`: what a file holds, a graph for other programs, and an earlier file for today."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, MapOption, with_columns
from hilum.console import TerminalConsole, count_of
from hilum.text import printable

__all__ = ["model_app"]

model_app = typer.Typer(help="Show, export or upgrade a model file.", no_args_is_help=True, rich_markup_mode=None)
ModelArgument = Annotated[
    Path,
    typer.Argument(metavar="M", help="A model.onnx, the folder of a run, or `chest`, the model that comes with hilum."),
]


@model_app.command("show")
def model_show(model: ModelArgument) -> None:
    """Show what a model file holds.

    It prints the findings, the films that the model learned from, its figures and its thresholds.

    Example: hilum model show chest
    """
    from hilum.report.model_text import model_lines
    from hilum.run.modelfile import read_model_file

    read = read_model_file(model)
    for line in model_lines(read.metadata, read.sha256):
        typer.echo(printable(line))


@model_app.command("export")
def model_export(
    model: ModelArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The new graph; its name ends with .onnx.")],
) -> None:
    """Write a model as one ONNX graph for programs without hilum.

    The graph takes the pixels of a film and returns its probabilities and features.

    Example: hilum model export chest --to pixels.onnx
    """
    from hilum.workflows.export import export_model

    console = TerminalConsole()
    made = export_model(model, to)
    typer.echo(
        f"The graph's probabilities differ from those of the model file by at most {made.largest_difference:.1g} on "
        f"{count_of(made.n, 'drawn film')}."
    )
    typer.echo("It judges every picture: it refuses no film, and it gives no sets of findings.")
    console.say(f"Graph: {to}")
    console.say(f"To check other programs: {made.golden} holds films and the answers of hilum.")


@model_app.command("upgrade")
def model_upgrade(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A model.onnx of an earlier hilum. It is not changed.")],
    out: Annotated[Path, typer.Option("--out", metavar="NEW", help="The new model file.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Films with findings. Temperature, thresholds and sets are set again on these films.",
        ),
    ] = None,
    mapping: MapOption = None,
    column: ColumnOption = None,
) -> None:
    """Rewrite a model file of an earlier hilum for this version.

    If its answers stay the same, it needs no films. Otherwise give films with findings: --data.

    Example: hilum model upgrade old.onnx --out new.onnx --data films/
    """
    data = with_columns([data], column)[0] if data else None
    from hilum.workflows.upgrade import upgrade_model

    console = TerminalConsole()
    for note in upgrade_model(old, out, data=data, mapping=mapping or (), console=console).notes:
        typer.echo(printable(note))
    console.say(f"Model: {out}")
