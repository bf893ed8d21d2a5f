"""The command `hilum node`: a DICOM node that judges films."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.shared import LogFormat, LogOption, ModelOption, needs
from hilum.console import TerminalConsole
from hilum.errors import ConfigError
from hilum.run.models import DEFAULT_MODEL

__all__ = ["node"]


def node(  # noqa: PLR0917 - typer hands them over by name
    ae_title: Annotated[
        str | None, typer.Option("--ae-title", metavar="TITLE", help="The AE title of this node. Goes with --port.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Port to listen on. 0 takes any free port.")
    ] = None,
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
    dicomweb: Annotated[
        str | None,
        typer.Option(
            "--dicomweb",
            metavar="URL",
            help="Fetch new films from this archive over DICOMweb, and store the results there. Replaces --ae-title, "
            "--port, --send-to and --accept-from.",
        ),
    ] = None,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=1, help="Pause between two searches (--dicomweb).")
    ] = 30,
    days: Annotated[
        int,
        typer.Option(
            "--days", metavar="N", min=0, help="Judge films of studies of the last N days; 0 for all (--dicomweb)."
        ),
    ] = 7,
    dicomweb_login: Annotated[
        Path | None,
        typer.Option(
            "--dicomweb-login",
            metavar="FILE",
            help="File with USER:PASSWORD, or Bearer TOKEN. Or set HILUM_DICOMWEB_USER and HILUM_DICOMWEB_PASSWORD, or "
            "HILUM_DICOMWEB_TOKEN.",
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
    report_refused: Annotated[
        bool,
        typer.Option(
            "--report-refused",
            help="Also send a structured report of a film that cannot be judged (another body part, damaged), with the "
            "reason.",
        ),
    ] = False,
) -> None:
    """Start a DICOM node that classifies films for an archive.

    It receives films and sends structured reports and heat maps to the archive. It runs until SIGTERM or Ctrl-C. Films
    that still wait stay in the spool for the next start.

    Example: hilum node --ae-title HILUM --port 11112 --send-to ORTHANC@localhost:4242

    Example: hilum node --dicomweb http://localhost:8042/dicom-web
    """
    with needs("dicom", "The DICOM node"):
        import dicomweb_client  # noqa: F401
        import highdicom  # noqa: F401
        import pynetdicom  # noqa: F401
    if dicomweb is not None:
        if ae_title is not None or port is not None or send_to or accept_from:
            raise ConfigError("--dicomweb does not go with --ae-title, --port, --send-to or --accept-from.")
        from hilum.serve.dicomweb import run_web_node
        from hilum.serve.web_archive import WebSettings, checked_url, read_login

        web = WebSettings(
            checked_url(dicomweb),
            read_login(dicomweb_login, os.environ),
            every,
            days,
            host,
            health_port,
            log_as_json=log is LogFormat.json,
            report_refused=report_refused,
        )
        run_web_node(model, web, spool=spool, console=TerminalConsole())
        return
    if ae_title is None or port is None:
        raise ConfigError(
            "A DICOM node needs --ae-title and --port.", fix="Give both, or the URL of an archive: --dicomweb URL"
        )
    from hilum.serve.dicom_node import NodeSettings, run_node
    from hilum.serve.peers import parse_archive, parse_peer

    settings = NodeSettings(
        ae_title,
        port,
        host,
        archive=parse_archive(send_to) if send_to else None,
        accept_from=tuple(parse_peer(one) for one in accept_from or ()),
        log_as_json=log is LogFormat.json,
        report_refused=report_refused,
        health_port=health_port,
    )
    run_node(model, settings, spool=spool, console=TerminalConsole())
