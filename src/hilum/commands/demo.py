"""The command `hilum demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.console import TerminalConsole
from hilum.workflows.training_extra import check_training, load_training

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the demo. An earlier demo in it is replaced.")
    ] = Path("hilum-demo"),
) -> None:
    """Show every step on films drawn by code. Takes 1.5 to 4 minutes.

    The steps: draw films, audit them, train a model, evaluate it, and classify one film.
    """
    check_training()
    from hilum.workflows.demo import make_folder, run_demo

    make_folder(out)
    load_training()
    run_demo(out, TerminalConsole())
