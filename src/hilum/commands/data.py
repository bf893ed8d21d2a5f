"""The commands `hilum data ...`: public sets of films, and de-identification."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.console import TerminalConsole, count_of
from hilum.text import printable

__all__ = ["data_app"]

data_app = typer.Typer(
    help="Public sets of chest radiographs, and copies of DICOM films without names.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@data_app.command("list")
def data_list() -> None:
    """List the public sets that hilum knows."""
    from hilum.data.fetch import PUBLIC_SETS

    for known in PUBLIC_SETS:
        typer.echo(f"{known.name:32} {known.num_films:>7,} films  {known.title}  ({known.licence})")


@data_app.command("get")
def data_get(name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `hilum data list`.")]) -> None:
    """Download a public set and print its folder."""
    from hilum.data.fetch import fetch

    typer.echo(str(fetch(name)))


@data_app.command("deidentify")
def data_deidentify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of DICOM films. Nothing in it is changed.")],
    out: Annotated[Path, typer.Option("--out", metavar="NEWFOLDER", help="New or empty folder for the copies.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="Write a CSV table of old and new files. It says whose film is whose: keep it with the patients' "
            "films.",
        ),
    ] = None,
) -> None:
    """Copy DICOM films without the patients' data.

    Names, IDs, dates and free text are removed.

    Text that is burnt into a picture STAYS: look at every film before you give it away.

    Exit code 1: some files were left out.

    Example: hilum data deidentify films/ --out films-without-names
    """
    from hilum.workflows.deidentify import deidentify_folder

    console = TerminalConsole()
    done = deidentify_folder(folder, out, key=key, console=console)
    typer.echo(printable(f"{count_of(len(done.files), 'film')} in {out}, by the basic profile of DICOM PS3.15."))
    if done.left_out:
        console.say(f"{count_of(len(done.left_out), 'file')} left out, with the reasons above.")
    if done.passed_over:
        console.say(done.passed_over)
    burnt_in = f" {count_of(done.num_burnt_in, 'film')} may hold some." if done.num_burnt_in else ""
    console.say(
        f"Text that is burnt into the pictures is NOT removed.{burnt_in} Look at every film before you give it away."
    )
    if done.left_out:
        raise typer.Exit(1)
