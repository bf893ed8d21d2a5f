"""What several commands do: ask for the extra that training needs, load it, and show the figures of a model."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hilum.console import TerminalConsole, hushed
from hilum.errors import MissingExtra
from hilum.extras import has_extra
from hilum.run.memory import hold_memory
from hilum.text import percent_text

if TYPE_CHECKING:
    from hilum.judge.parts import Metrics

__all__ = ["NOTICE", "check_training", "load_training", "show_figures"]

NOTICE = "Research software, not a medical device."


def check_training() -> None:
    """Say at once that the extra for training is missing; what else can be seen at once is to be said next.

    Raises:
        MissingExtra: The extra `train` is not installed.
    """
    if not has_extra("train"):
        raise MissingExtra("Training", "train")


def load_training() -> None:
    """Import TensorFlow without its start-up lines, its memory held from step to step. It takes seconds.

    Raises:
        MissingExtra: The extra `train` is not whole.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of many networks in one process: folds, sources
    hold_memory()
    try:
        with hushed():
            import hilum.workflows.train  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("Training", "train") from error


def show_figures(metrics: Metrics, folder: Path, console: TerminalConsole) -> None:
    """Print the figures of every part of the films, most trustworthy first, and where the report is."""
    from hilum.judge.chance import headline_chance
    from hilum.judge.parts import judged_parts

    names = {
        "test_clean": "Test, films without a twin or patient in train",
        "test": "Test, all films",
        "cross_validation": "Cross-validation",
        "validation": "Validation",
    }
    for key, part in judged_parts(metrics).items():
        accuracy = part.accuracy
        typer.echo(
            f"{names[key]}: {part.confusion.num_right} of {part.n} right, {percent_text(accuracy.value)} "
            f"(95 % interval {100 * (accuracy.low or 0):.1f}-{100 * (accuracy.high or 0):.1f}), "
            f"macro-F1 {part.macro_f1.value or 0:.3f}"
        )
    if chance := headline_chance(metrics):
        typer.echo(chance)
    console.say(f"Report: {folder / 'report.html'}    {NOTICE}")
