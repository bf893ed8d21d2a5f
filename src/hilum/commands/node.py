"""The command `hilum node`: a DICOM node that judges films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import LogFormat, LogOption, ModelOption
from hilum.console import TerminalConsole
from hilum.errors import MissingExtra
from hilum.run.models import DEFAULT_MODEL

__all__ = ["node"]


def node(  # noqa: PLR0917 - typer hands them over by name
    ae_title: Annotated[str, typer.Option("--ae-title", metavar="TITLE", help="The AE title of this node.")],
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Port to listen on. 0 takes any free port.")],
    model: ModelOption = Path(DEFAULT_MODEL),
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on. 0.0.0.0 means all addresses.")
    ] = "127.0.0.1",
    send_to: Annotated[
        str | None, typer.Option("--send-to", metavar="AE@HOST:PORT", help="The archive that receives the results.")
    ] = None,
    spool: Annotated[
        Path,
        typer.Option("--spool", metavar="DIR", help="Folder in which films and results wait. Each node needs its own."),
    ] = Path("hilum-spool"),
    accept_from: Annotated[
        list[str] | None,
        typer.Option(
            "--accept-from", metavar="AE[@HOST]", help="Who may send films, and from which host. You can repeat it."
        ),
    ] = None,
    log: LogOption = LogFormat.plain,
    health_port: Annotated[
        int | None,
        typer.Option(
            "--health-port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Also answer /healthz, /readyz and /metrics over HTTP on this port.",
        ),
    ] = None,
) -> None:
    """Start a DICOM node: it receives films and sends structured reports and heat maps to an archive.

    It runs until SIGTERM or Ctrl-C. Films that still wait stay in the spool for the next start.

    Example: hilum node --ae-title HILUM --port 11112 --send-to ORTHANC@localhost:4242
    """
    try:
        import highdicom  # noqa: F401
        import pynetdicom  # noqa: F401
    except ImportError as error:
        raise MissingExtra("The DICOM node", "dicom") from error
    from hilum.serve.dicom_node import NodeSettings, run_node
    from hilum.serve.sending import parse_archive, parse_peer

    settings = NodeSettings(
        ae_title,
        port,
        host,
        archive=parse_archive(send_to) if send_to else None,
        accept_from=tuple(parse_peer(one) for one in accept_from or ()),
        log_as_json=log is LogFormat.json,
        health_port=health_port,
    )
    run_node(model, settings, spool=spool, console=TerminalConsole())
