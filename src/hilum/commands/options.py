"""Arguments and options that several commands have, and how --column is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hilum.data.columns import ROLES, listing, parse_columns
from hilum.data.manifest import is_manifest
from hilum.errors import InputError

__all__ = ["ColumnOption", "DataArgument", "ModelOption", "SetOption", "spread_columns", "with_columns"]

DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with one sub-folder for each finding, a folder with train/ and test/ of such folders, or a CSV "
        "file with the columns path and finding, and optionally split, patient, source, group, age (see --column).",
    ),
]
ModelOption = Annotated[
    Path,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="A model.onnx made by `hilum train`, the folder of its run, or `chest`, the model that comes with hilum.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="One setting, for example fit.epochs=5. It overrides --config. You can repeat it. "
        "docs/reference/settings.md lists all settings.",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="ROLE=NAME...",
        help="Names of the columns of a CSV file, if hilum does not know them: --column path=file finding=dx. "
        f"ROLE: {', '.join(ROLES)}.",
    ),
]
_TOLD = re.compile(rf"(?:{'|'.join(ROLES)})\s*=.+", re.IGNORECASE | re.DOTALL)


def with_columns(paths: Iterable[Path], columns: Sequence[str] | None) -> list[Path]:
    """Return paths that remember which columns of a list hold what.

    Raises:
        InputError: --column cannot be understood, or no path is a list.
    """
    told, found = parse_columns(columns or ()), list(paths)
    if not told:
        return found
    if not any(map(is_manifest, found)):
        raise InputError(
            f"--column names the columns of a CSV file, but `{found[0]}` is not a CSV file.",
            fix="Leave it out, or name a CSV.",
        )
    return [listing(path, told) if is_manifest(path) else path for path in found]


def spread_columns(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command line with --column before each of the ROLE=NAME that follow one.

    Example:
        >>> spread_columns(["audit", "a.csv", "--column", "path=file", "finding=dx"])
        ['audit', 'a.csv', '--column', 'path=file', '--column', 'finding=dx']
    """
    spread: list[str] = []
    after_column = False
    for argument in arguments:
        is_told = after_column and bool(_TOLD.fullmatch(argument))
        if is_told and spread[-1] != "--column":
            spread.append("--column")
        spread.append(argument)
        after_column = argument == "--column" or argument.startswith("--column=") or is_told
    return spread
