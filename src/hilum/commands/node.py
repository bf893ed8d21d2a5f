"""The command `hilum node`: a DICOM node that judges films."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.options import ModelOption
from hilum.console import TerminalConsole
from hilum.errors import MissingExtra
from hilum.run.models import DEFAULT_MODEL

__all__ = ["LogFormat", "node"]


class LogFormat(StrEnum):
    """How the node writes its log."""

    plain = "plain"
    json = "json"


def node(  # noqa: PLR0917 - typer hands them over by name
    ae_title: Annotated[str, typer.Option("--ae-title", metavar="TITLE", help="This node's own AE title.")],
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Where it listens; 0 for any free port.")],
    model: ModelOption = Path(DEFAULT_MODEL),
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address it listens on; 0.0.0.0 for all.")
    ] = "127.0.0.1",
    send_to: Annotated[
        str | None, typer.Option("--send-to", metavar="AE@HOST:PORT", help="The archive that gets the results.")
    ] = None,
    spool: Annotated[
        Path, typer.Option("--spool", metavar="DIR", help="Where films and results wait; one node's alone.")
    ] = Path("hilum-spool"),
    accept_from: Annotated[
        list[str] | None,
        typer.Option("--accept-from", metavar="AE[@HOST]", help="Who may send films, and from where; may be repeated."),
    ] = None,
    log: Annotated[LogFormat, typer.Option("--log", help="Lines of the log as text or as JSON.")] = LogFormat.plain,
) -> None:
    """Take films over the network as a DICOM node, judge them, send structured reports and heat maps to an archive.

    Runs until SIGTERM or Ctrl-C. What waits stays in the spool, and the next run goes on with it.

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
    )
    run_node(model, settings, spool=spool, console=TerminalConsole())
