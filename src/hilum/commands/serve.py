"""The command `hilum serve`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import LogFormat, LogOption, needs
from hilum.console import TerminalConsole
from hilum.run.models import DEFAULT_MODEL

__all__ = ["serve"]


def serve(  # noqa: PLR0917 - typer hands them over by name
    model: Annotated[
        list[Path],
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A model.onnx made by `hilum train`, the folder of its run, or `chest`, the model that comes with "
            "hilum. You can repeat it: users and programs then choose a model, and the first is the default.",
        ),
    ] = [Path(DEFAULT_MODEL)],  # noqa: B006
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
    root_path: Annotated[
        str,
        typer.Option(
            "--root-path", metavar="PATH", help="Path under which a proxy shows the server, for example /hilum."
        ),
    ] = "",
    counts: Annotated[
        Path | None,
        typer.Option(
            "--counts",
            metavar="DIR",
            help="Folder for counts of the answers of each day, for `hilum drift`. They name no film.",
        ),
    ] = None,
    log: LogOption = LogFormat.plain,
) -> None:
    """Start a page and a REST service that classify films.

    The page for people is at /, the service for programs at /v1/predictions. Stop the server with Ctrl-C.

    Example: hilum serve
    """
    with needs("serve", "Serving"):
        from hilum.serve.log import json_log
        from hilum.serve.server import ServerSettings, run_server

    console = TerminalConsole()
    with json_log(console) if log is LogFormat.json else nullcontext(console) as shown:
        run_server(model, ServerSettings(host, port, token or None, root_path.rstrip("/"), counts), shown)
