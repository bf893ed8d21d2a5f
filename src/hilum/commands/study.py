"""The command `hilum study`: compares variants of one step."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import ColumnOption, with_columns
from hilum.console import TerminalConsole
from hilum.errors import MissingExtra
from hilum.extras import has_extra
from hilum.text import printable
from hilum.version import NOTICE
from hilum.workflows.training_extra import check_training, load_training

__all__ = ["study"]


class StudyKind(StrEnum):
    """What `study` compares."""

    noise = "noise"
    augmentation = "augmentation"
    backbones = "backbones"


def study(  # noqa: PLR0917 - typer hands them over by name
    kind: Annotated[StudyKind, typer.Argument(metavar="KIND", help="What to compare.")],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Data set, as for `hilum train`. Its test films are not used.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Folder for the results. If a study there was interrupted, it continues."
        ),
    ],
    external: Annotated[
        Path | None,
        typer.Option(
            "--external",
            metavar="OTHER",
            help="Films of other sources. They are judged too, on the findings that both data sets have.",
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Number of cross-validation folds.")] = 5,
    epochs: Annotated[
        int | None,
        typer.Option(help="Number of epochs of each network. Fewer take less time, but show differences less clearly."),
    ] = None,
    backbone: Annotated[
        list[str] | None, typer.Option("--backbone", metavar="NAME", help="Use only this network. You can repeat it.")
    ] = None,
    size_px: Annotated[
        list[int] | None,
        typer.Option("--size-px", metavar="S", help="Input size of the networks, in pixels. You can repeat it."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Compare only this variant. You can repeat it.")
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier study in DIR.")] = False,
) -> None:
    """Compare methods on your training films, and recommend one.

    noise: methods that remove noise from films. augmentation: random changes of training films. backbones: networks,
    with their time and memory. The methods are compared by cross-validation, and fixed rules give the verdict. Files
    in DIR: report.html and study.json.

    Example: hilum study noise films/ --out noise --external other-hospital/
    """
    (data,) = with_columns([data], column)
    check_training()
    if kind is StudyKind.noise and not has_extra("study"):
        raise MissingExtra("`hilum study noise`", "study")
    from hilum.report.study_tables import study_text
    from hilum.train.study_variants import StudyRequest, check_study

    request = StudyRequest(
        kind=kind.value,
        data=data,
        out=out,
        external=external,
        folds=folds,
        epochs=epochs,
        only=tuple(only or ()),
        backbones=tuple(backbone or ()),
        sizes_px=tuple(size_px or ()),
        overwrite=overwrite,
    )
    check_study(request)
    load_training()
    from hilum.workflows.study import run_study

    console = TerminalConsole()
    result = run_study(request, console=console)
    shown = study_text(result, width=None if sys.stdout.isatty() else 200)
    typer.echo(printable(shown, lines=True), nl=False)
    console.say(f"Report: {out / 'report.html'}    {NOTICE}")
