"""Where the results of the Python API lie: a temporary folder until they are saved, and how they become a table."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.console import Console, TerminalConsole
from hilum.data.columns import listing, parse_columns
from hilum.data.manifest import is_manifest
from hilum.errors import InputError, MissingExtra
from hilum.extras import is_installed

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["AnyPath", "console_of", "data_path", "new_folder", "out_folder", "read_frame", "to_frame"]

AnyPath = str | os.PathLike[str]


def data_path(data: AnyPath, column: Mapping[str, str] | None = None) -> Path:
    """Return the path of a data set; that of a CSV file remembers which column holds what.

    Raises:
        InputError: It is no path or an empty one, or columns are named of what is no CSV file, or of an unknown role.
    """
    if not isinstance(data, str | os.PathLike):
        raise InputError(
            f"Expected the path of a data set; received a `{type(data).__name__}`.",
            fix="Give a folder of class folders or a CSV file.",
        )
    if not os.fspath(data):  # Path("") would be the working folder
        raise InputError("The path of the data set is empty.", fix="Give a folder of class folders or a CSV file.")
    path = Path(data)
    told = parse_columns(f"{role}={name}" for role, name in (column or {}).items())
    if not told:
        return path
    if not is_manifest(path):
        raise InputError(f"`column` names the columns of a CSV file; `{path}` is not a CSV file.", fix="Leave it out.")
    return listing(path, told)


def out_folder(out: AnyPath | None, word: str) -> Path:
    """Return the folder for results: the one that is given, or one named by a word that is removed when Python ends."""
    if out is not None:
        return Path(out)
    folder = Path(tempfile.mkdtemp(prefix="hilum-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / word


def console_of(*, verbose: bool) -> Console:
    """Return where messages and progress go: standard error, or nowhere."""
    return TerminalConsole() if verbose else Console()


@contextmanager
def new_folder(folder: AnyPath) -> Iterator[Path]:
    """Yield a folder to write into. Nothing is written over: it must not exist, or be empty.

    Raises:
        InputError: The folder holds something, or it cannot be written to.
    """
    path = Path(folder)
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"`{path}` exists already. Nothing in it was changed.", fix="Name a new folder.")
        path.mkdir(parents=True, exist_ok=True)
        yield path
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot write to `{path}`: {error.strerror}.", fix="Name another folder.") from error


def to_frame(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> DataFrame:
    """Return rows as a data frame; without any, it has these columns.

    Raises:
        MissingExtra: pandas is not installed.
    """
    if not is_installed("pandas"):
        raise MissingExtra("A data frame", "pandas")
    import pandas as pd

    return pd.DataFrame(list(rows), columns=None if rows else list(columns))


def read_frame(text: str) -> DataFrame:
    """Return the text of a CSV file as a data frame; a finding may be called None or NA.

    Raises:
        MissingExtra: pandas is not installed.
    """
    if not is_installed("pandas"):
        raise MissingExtra("A data frame", "pandas")
    import pandas as pd

    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
