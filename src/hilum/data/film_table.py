"""The lists of films that hilum writes: their columns, and paths that lead to the films from where the list lies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hilum.data.labels import FilmRecord
from hilum.data.walk import is_inside

__all__ = ["FILM_COLUMNS", "can_be_listed", "film_cells", "path_writer"]

FILM_COLUMNS = ("path", "finding", "split", "patient", "source", "group", "age", "sex")


def path_writer(root: Path, folder: Path) -> Callable[[str], str]:
    """Return a function from a film's path in its data set to its path in a list.

    Args:
        root: The folder that the data set's paths are relative to.
        folder: The folder of the list. If it lies above the films, paths are relative to it, else absolute.
    """
    top, here = os.path.abspath(root), os.path.abspath(folder)  # noqa: PTH100
    is_above = is_inside(top, here)

    def place(path: str) -> str:
        whole = os.path.join(top, path)  # noqa: PTH118
        return Path(os.path.relpath(whole, here)).as_posix() if is_above else whole

    return place


def film_cells(record: FilmRecord, place: Callable[[str], str]) -> tuple[str, ...]:
    """Return a film's cells for `FILM_COLUMNS`; ``place`` is from `path_writer`."""
    age = "" if record.age_years is None else f"{record.age_years:g}"
    named = (record.finding, record.split or "", record.patient or "", record.source or "", record.group or "")
    return (place(record.path), *named, age, record.sex or "")


def can_be_listed(path: str) -> bool:
    """Return whether a path comes back from a CSV: one that is no text, or has spaces at its ends, does not."""
    return path == path.strip() and path.encode("utf-8", "replace") == path.encode("utf-8", "surrogateescape")
