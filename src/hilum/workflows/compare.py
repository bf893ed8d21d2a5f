"""Comparing two runs: their answers are read, measured, put into words and, if asked, written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hilum.data.judged import read_judged
from hilum.errors import InputError
from hilum.figures import json_file_text
from hilum.files import replace_files
from hilum.judge.compare.runs import Comparison, compare_judged
from hilum.judge.parts import PARTS
from hilum.report.comparison import comparison_page, verdict_words
from hilum.results import ResultFolder

__all__ = ["compare_runs", "write_comparison"]

_FOLDER = ResultFolder(
    of="comparison",
    finished="an earlier comparison",
    files=("compare.json", "compare.html"),
    marks={"compare.json": frozenset({"first", "second", "parts"})},
)


def compare_runs(first: Path, second: Path, *, seed: int = 0) -> Comparison:
    """Return what the films that two runs have both judged say of their difference.

    Args:
        first: A folder left by `hilum train` or `hilum evaluate`.
        second: Another; differences are second minus first.
        seed: Decides the draws of the bootstrap.

    Raises:
        InputError: A folder holds no answers, no film is common, or one has different labels in the two.
    """
    judged = read_judged(first), read_judged(second)
    names = judged[0].name, judged[1].name
    if names[0] == names[1]:
        names = str(first), str(second)
    found = compare_judged(judged, names, seed=seed)
    parts = {part: replace(one, verdict=verdict_words(one, names)) for part, one in found.parts.items()}
    headline = next(iter(parts))
    return replace(found, parts=parts, verdict=f"{PARTS[headline][0]}: {parts[headline].verdict}")


def write_comparison(result: Comparison, out: Path, *, overwrite: bool = False) -> None:
    """Leave compare.json and compare.html in a folder.

    Raises:
        InputError: An earlier comparison is there and not to be replaced, or the folder cannot be written to.
    """
    _FOLDER.check(out, overwrite=overwrite)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder `{out}`: {error.strerror}.", fix="Choose another folder.") from error
    replace_files({out / "compare.html": comparison_page(result), out / "compare.json": json_file_text(result)})
