"""The command `hilum audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.options import ColumnOption, DataArgument, with_columns
from hilum.commands.shared import NOTICE
from hilum.console import TerminalConsole, count_of
from hilum.errors import MissingExtra
from hilum.extras import is_installed

__all__ = ["audit"]


def audit(
    data: DataArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report.html and audit.json there; else only the table."),
    ] = None,
    repair: Annotated[
        Path | None,
        typer.Option("--repair", metavar="OUT.csv", help="Write a manifest of the films without what a rule can mend."),
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier audit in DIR, an earlier OUT.csv.")
    ] = False,
) -> None:
    """Say what is wrong with a data set before anything is trained. Nothing in DATA is changed.

    Exit code 1: a fault of severity error was found (do not train on the films as they are), or a file cannot be read.

    Example: hilum audit films/ --out audit --repair mended.csv
    """
    (data,) = with_columns([data], column)
    from hilum.judge.audit.all_faults import audit_data
    from hilum.report.audit_table import audit_table
    from hilum.workflows.audit import check_audit_folder, write_audit
    from hilum.workflows.repair import check_place, dropped_path, write_repair

    console = TerminalConsole()
    if not is_installed("sklearn"):
        raise MissingExtra("The audit", "train")
    if out is not None:
        check_audit_folder(out, data, overwrite=overwrite)
    if repair is not None:
        check_place(repair, data, overwrite=overwrite)
    found = audit_data(data, console=console)
    typer.echo(audit_table([fault.to_dict() for fault in found.faults]), nl=False)
    if out is not None:
        write_audit(found, out)
        console.say(f"Report: {out / 'report.html'}")
    if repair is not None:
        num_kept, num_dropped = write_repair(found, repair, data, overwrite=overwrite)
        lists = f"{repair} lists {count_of(num_kept, 'film')} to keep"
        console.say(f"Repaired: {lists}; {dropped_path(repair)} lists {count_of(num_dropped, 'film')} left out.")
    console.say(NOTICE)
    if found.num_errors or found.scan.num_unread:
        raise typer.Exit(1)
