"""The command `hilum serve`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import LogFormat, LogOption, ModelOption
from hilum.console import TerminalConsole
from hilum.errors import MissingExtra
from hilum.run.models import DEFAULT_MODEL

__all__ = ["serve"]


def serve(
    model: ModelOption = Path(DEFAULT_MODEL),
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="HOST", help="Address to listen on. Any address but this computer's own needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="P", help="Port. 0 takes any free port and shows it.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="T",
            envvar="HILUM_TOKEN",
            show_envvar=False,
            help="Password for callers. Setting HILUM_TOKEN is safer: other users of this computer can see options.",
        ),
    ] = None,
    log: LogOption = LogFormat.plain,
) -> None:
    """Start a web server: a page for people at /, a REST service for programs at /v1/predictions.

    Example: hilum serve
    """
    try:
        from hilum.serve.json_log import json_log
        from hilum.serve.server import run_server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("hilum"):
            raise
        raise MissingExtra("Serving", "serve") from error

    console = TerminalConsole()
    with json_log(console) if log is LogFormat.json else nullcontext(console) as shown:
        run_server(model, host=host, port=port, token=token or None, console=shown)
