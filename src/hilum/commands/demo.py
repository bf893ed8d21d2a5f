"""The command `hilum demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import check_training, load_training
from hilum.console import TerminalConsole

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the demo goes; replaced.")] = Path(
        "hilum-demo"
    ),
) -> None:
    """Show the whole path on drawn films: draw, audit, train, judge, classify. Half a minute, 4 on a busy machine."""
    check_training()
    from hilum.workflows.demo import make_folder, run_demo

    make_folder(out)
    load_training()
    run_demo(out, TerminalConsole())
