"""The commands `hilum data ...`: public sets of films, and the index by which their films are recognised."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.text import printable

__all__ = ["data_app"]

data_app = typer.Typer(help="Public sets of chest radiographs.", no_args_is_help=True, rich_markup_mode=None)


@data_app.command("list")
def data_list() -> None:
    """List the public sets that hilum knows."""
    from hilum.data.fetch import PUBLIC_SETS

    for known in PUBLIC_SETS.values():
        typer.echo(f"{known.name:32} {known.num_films:>7,} films  {known.title}  ({known.licence})")


@data_app.command("get")
def data_get(name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `hilum data list`.")]) -> None:
    """Download a public set with its own client and print its folder."""
    from hilum.data.fetch import fetch

    typer.echo(str(fetch(name)))


@data_app.command("index")
def data_index(
    table: Annotated[
        Path, typer.Argument(metavar="CSV", help="Table of fingerprints, findings and files of the public films.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File for the index, .npz.")],
    patients: Annotated[
        Path | None, typer.Option("--patients", metavar="CSV", help="Table of patients: set, file, patient.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier index in FILE.")] = False,
) -> None:
    """Write the index by which films of public sets are recognised."""
    from hilum.data.public_sets import write_index

    typer.echo(f"{write_index(table, out, patients=patients, overwrite=overwrite)} films in {printable(str(out))}")
