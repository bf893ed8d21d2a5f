"""The command `hilum study`: ways of doing something, compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.commands.options import ColumnOption, with_columns
from hilum.commands.shared import NOTICE, check_training, load_training
from hilum.console import TerminalConsole
from hilum.errors import MissingExtra
from hilum.extras import has_extra
from hilum.text import printable

__all__ = ["study"]


class StudyKind(StrEnum):
    """What `study` compares."""

    noise = "noise"
    augmentation = "augmentation"
    backbones = "backbones"


def study(  # noqa: PLR0917 - typer hands them over by name
    kind: Annotated[StudyKind, typer.Argument(metavar="noise|augmentation|backbones", help="What to compare.")],
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="As `hilum train` takes it; its test part takes no part."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where it goes; a study that was killed goes on.")],
    external: Annotated[
        Path | None,
        typer.Option("--external", metavar="OTHER", help="Films of other sources, to judge on the findings in common."),
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of the networks that learn: fewer take less time and show less.")
    ] = None,
    backbone: Annotated[
        list[str] | None, typer.Option("--backbone", metavar="NAME", help="Train this network alone; repeatable.")
    ] = None,
    size_px: Annotated[
        list[int] | None, typer.Option("--size-px", metavar="S", help="Side of the networks' input; repeatable.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Compare this one alone; repeatable.")
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier study in DIR.")] = False,
) -> None:
    """Choose by evidence: compare ways of doing something by cross-validation of the training films, never on the test.

    noise: ways of taking noise out of films. augmentation: random changes of training films. backbones: networks, with
    what they cost. Leaves report.html and study.json in DIR.

    Example: hilum study noise films/ --out noise --external other-hospital/
    """
    (data,) = with_columns([data], column)
    check_training()
    if kind is StudyKind.noise and not has_extra("study"):
        raise MissingExtra("`hilum study noise`", "study")
    from hilum.train.study.settings import StudySettings, check_study

    settings = StudySettings(
        folds=folds,
        epochs=epochs,
        only=tuple(only or ()),
        backbones=tuple(backbone or ()),
        sizes_px=tuple(size_px or ()),
    )
    check_study(kind.value, data, out, settings, external=external, overwrite=overwrite)
    load_training()
    console = TerminalConsole()
    run, text = _study_of(kind)
    figures = run(data, out, settings, external=external, overwrite=overwrite, console=console)
    shown = text(figures, width=None if sys.stdout.isatty() else 200)
    typer.echo(printable(shown, lines=True), nl=False)
    console.say(f"Report: {out / 'report.html'}    {NOTICE}")


def _study_of(kind: StudyKind) -> tuple[Callable[..., dict[str, Any]], Callable[..., str]]:
    """Return what runs a study, and what writes its table."""
    if kind is StudyKind.noise:
        from hilum.report.study_noise_table import noise_text
        from hilum.workflows.study_noise import study_noise

        return study_noise, noise_text
    if kind is StudyKind.augmentation:
        from hilum.report.study_augmentation import augmentation_text
        from hilum.workflows.study_augmentation import study_augmentation

        return study_augmentation, augmentation_text
    from hilum.report.study_backbones import backbone_text
    from hilum.workflows.study_backbones import study_backbones

    return study_backbones, backbone_text
