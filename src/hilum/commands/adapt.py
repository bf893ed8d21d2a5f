"""The command `hilum adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, IgnoreOption, MapOption, ModelOption, with_columns
from hilum.console import TerminalConsole, count_of
from hilum.errors import InputError
from hilum.text import printable
from hilum.version import NOTICE

__all__ = ["adapt"]


def adapt(  # noqa: PLR0917 - typer hands them over by name
    local: Annotated[
        Path,
        typer.Argument(
            metavar="LOCAL",
            help="20 to 500 films of your own with findings, as `hilum train` takes them: class folders or a CSV file.",
        ),
    ],
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the new model.onnx and its report.")],
    mapping: MapOption = None,
    ignore: IgnoreOption = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled",
            help="LOCAL holds films without findings. hilum only estimates how often each finding occurs, and uses "
            "this if its checks say that it helps.",
        ),
    ] = False,
    column: ColumnOption = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of your films whose set of possible findings should hold the true one (default: 0.9). A higher "
            "share makes larger sets.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier adapted model in RUN.")] = False,
) -> None:
    """Adapt a model to one hospital with 20 to 500 of its films.

    The result is a new model.onnx, which every command takes. hilum corrects the answers only as far as your films can
    show a gain: a constant for each finding and a temperature, then a small linear correction. The report shows the
    figures before and after, on films that the correction had not seen. It takes seconds and needs no extra.

    With --unlabelled, hilum may find that the mix of findings would not help. It then writes no model, says why, and
    ends with exit code 0.

    Example: hilum adapt --model chest our-films/ --out ours
    """
    (local,) = with_columns([local], column)
    if unlabelled:
        if mapping or ignore or coverage is not None:
            raise InputError(
                "--map, --ignore and --coverage need findings; --unlabelled films have none.", fix="Leave them out."
            )
        _adapt_unlabelled(model, local, out, overwrite=overwrite)
        return
    from hilum.report.adaptation import adaptation_lines
    from hilum.workflows.adapt import adapt_model
    from hilum.workflows.local_films import AdaptOptions

    console = TerminalConsole()
    options = AdaptOptions(mapping or (), ignore or (), overwrite=overwrite, coverage=coverage)
    made = adapt_model(model, local, out, options=options, console=console)
    for line in adaptation_lines(made.metrics.adaptation):
        typer.echo(printable(line))
    console.say(f"Model: {out / 'model.onnx'}    Report: {out / 'report.html'}    {NOTICE}")
    if unread := made.metrics.adaptation.left_out.unread:
        console.say(f"Left out, as unreadable: {count_of(unread, 'film')}.")
        raise typer.Exit(1)


def _adapt_unlabelled(model: Path, local: Path, out: Path, *, overwrite: bool) -> None:
    from hilum.report.adaptation import mix_lines
    from hilum.workflows.adapt_unlabelled import adapt_unlabelled

    console = TerminalConsole()
    made = adapt_unlabelled(model, local, out, overwrite=overwrite, console=console)
    for line in mix_lines(made.adaptation):
        typer.echo(printable(line))
    if made.is_written:
        console.say(f"Model: {out / 'model.onnx'}    Report: {out / 'report.html'}    {NOTICE}")
    if made.num_unread:
        console.say(f"Left out, as unreadable: {count_of(made.num_unread, 'film')}.")
        raise typer.Exit(1)
