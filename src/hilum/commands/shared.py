"""What several commands share: their arguments, how --column is read, and how the figures of a model are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.console import TerminalConsole
from hilum.data.columns import ROLES, listing, parse_columns
from hilum.data.manifest import is_manifest
from hilum.errors import ConfigError, InputError, MissingExtra
from hilum.text import interval_words, percent_text, range_text
from hilum.version import NOTICE

__all__ = [
    "ClusterOption",
    "ColumnOption",
    "ConfigOption",
    "DataArgument",
    "IgnoreOption",
    "LogFormat",
    "LogOption",
    "MapOption",
    "ModelOption",
    "SetOption",
    "WeightsOption",
    "WorkersOption",
    "named_cluster",
    "needs",
    "show_figures",
    "spread_columns",
    "with_columns",
]

if TYPE_CHECKING:
    from hilum.judge.parts import Metrics
    from hilum.run.ray_cluster import Cluster


def show_figures(metrics: Metrics, folder: Path, console: TerminalConsole) -> None:
    """Print the verdict, the figures of every part of the films, most trustworthy first, and where the report is."""
    from hilum.judge.parts import distinct_parts, judged_parts
    from hilum.report.external import patient_lines
    from hilum.report.verdict import verdict_words

    names = {
        "test_clean": "Test films without a twin or patient in train",
        "test": "All test films",
        "cross_validation": "Cross-validation",
        "validation": "Validation",
    }
    for line in verdict_words(metrics).lines:
        typer.echo(line)
    for key, part in distinct_parts(judged_parts(metrics)).items():
        typer.echo(
            f"{names[key]}: {part.confusion.num_right} of {part.n} right, {percent_text(part.accuracy.value)}"
            f"{interval_words(range_text(part.accuracy))}, macro-F1 {part.macro_f1.value or 0:.3f}"
        )
    for line in patient_lines(metrics.subgroups):
        typer.echo(line)
    console.say(f"Report: {folder / 'report.html'}    {NOTICE}")


# Arguments and options that several commands have, and how --column is read.

DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with one sub-folder for each finding, a folder with train/ and test/ of such folders, or a CSV "
        "file with the columns path and finding, and if known split, patient, source, group, age, sex (see --column).",
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="THEIRS=OURS",
        help="Name of a finding in the data set, and the model's name for it. You can repeat it.",
    ),
]


class LogFormat(StrEnum):
    """How a server writes its log."""

    plain = "plain"
    json = "json"


LogOption = Annotated[
    LogFormat, typer.Option("--log", help="Write the log as text, or as JSON with one object a line.")
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
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="KIND", help="Do not count faults of this kind, such as leak. You can repeat it."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="File with settings. RUN/config.toml lists all settings."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(help="Starting weights: imagenet (default), chest (only for hilum-chest), or none (random)."),
]
ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="Compute on this Ray cluster, or `local` for this computer."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, help="Number of workers of the cluster. Default: one per core."),
]
_TOLD = re.compile(rf"(?:{'|'.join(ROLES)})\s*=.+", re.IGNORECASE | re.DOTALL)


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Say which extra is missing where a block of imports lacks a package.

    Raises:
        MissingExtra: A package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("hilum"):
            raise
        raise MissingExtra(what, extra) from error


def named_cluster(address: str | None, workers: int | None) -> Cluster | None:
    """Return the cluster of --cluster and --workers, if one is named.

    Raises:
        ConfigError: Workers are given, but no cluster; or the address is empty.
    """
    if address is None and workers is not None:
        raise ConfigError("--workers needs a cluster, and none is named.", fix="Add --cluster local.")
    if address is None:
        return None
    if not address.strip():
        raise ConfigError(
            "--cluster needs an address; received an empty text.",
            fix="Write --cluster local, or the address of a Ray cluster.",
        )
    from hilum.run.ray_cluster import Cluster

    return Cluster(address, workers)


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

    Raises:
        InputError: An argument is empty, as a shell leaves "$UNSET"; as a path it would be the working folder.

    Example:
        >>> spread_columns(["audit", "a.csv", "--column", "path=file", "finding=dx"])
        ['audit', 'a.csv', '--column', 'path=file', '--column', 'finding=dx']
    """
    spread: list[str] = []
    after_column = False
    for argument in arguments:
        if not argument and not (spread and spread[-1].startswith("-")):
            raise InputError(
                "An argument of the command is empty; expected a path.", fix="Is a variable in it not set?"
            )
        is_told = after_column and bool(_TOLD.fullmatch(argument))
        if is_told and spread[-1] != "--column":
            spread.append("--column")
        spread.append(argument)
        after_column = argument == "--column" or argument.startswith("--column=") or is_told
    return spread
