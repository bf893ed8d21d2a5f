"""Comparing two models: their answers are read, measured, put into words and, if asked, written."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hilum.console import Console
from hilum.data.run_tables import read_predictions
from hilum.figures import json_file_text
from hilum.files import make_folder, replace_files
from hilum.judge.comparison import Comparison, compare_judged
from hilum.judge.parts import PARTS
from hilum.report.comparison import comparison_page, verdict_words
from hilum.results import ResultFolder
from hilum.workflows.evaluate import evaluate_model

__all__ = ["check_comparison", "compare_models", "compare_runs", "write_comparison"]

_FOLDER = ResultFolder(
    of="comparison",
    finished="an earlier comparison",
    files=("compare.json", "compare.html"),
    marks={"compare.json": frozenset({"first", "second", "parts"})},
)


def compare_models(first: Path, second: Path, data: Path, *, console: Console | None = None) -> Comparison:
    """Return what the films of a data set say of the difference between two models; both judge the films now.

    Args:
        first: A model file, or the folder of a run.
        second: Another; differences are second minus first.
        data: A data set; its test part is judged if it has one, else all of it.
        console: Where messages and progress go; nowhere by default.

    Raises:
        InputError: A folder holds no model, or the data set cannot be used.
        ModelFileError: A model file cannot be used.
    """
    names = _name_of(first), _name_of(second)
    if names[0] == names[1]:
        names = str(first), str(second)
    with tempfile.TemporaryDirectory(prefix="hilum-compare-") as folder:
        judged = Path(folder) / "first", Path(folder) / "second"
        for model, out in zip((first, second), judged, strict=True):
            evaluate_model(model, data, out, console=console)
        return compare_runs(*judged, names=names)


def _name_of(model: Path) -> str:
    """Return what a model is called: its run's folder, or its file without the ending."""
    if model.is_dir():
        return model.resolve().name
    return model.resolve().parent.name if model.name == "model.onnx" else model.stem


def compare_runs(first: Path, second: Path, *, names: tuple[str, str] | None = None, seed: int = 0) -> Comparison:
    """Return what the films that two runs have both judged say of their difference.

    Args:
        first: A folder left by `hilum train` or `hilum evaluate`.
        second: Another; differences are second minus first.
        names: What the two are called; their folders' names by default.
        seed: Decides the draws of the bootstrap.

    Raises:
        InputError: A folder holds no answers, no film is common, or one has different labels in the two.
    """
    judged = read_predictions(first), read_predictions(second)
    if names is None:
        names = judged[0].name, judged[1].name
        if names[0] == names[1]:
            names = str(first), str(second)
    found = compare_judged(judged, names, seed=seed)
    parts = {part: replace(one, verdict=verdict_words(one, names)) for part, one in found.parts.items()}
    headline = next(iter(parts))
    return replace(found, parts=parts, verdict=f"{PARTS[headline][0]}: {parts[headline].verdict}")


def check_comparison(out: Path, *, overwrite: bool) -> None:
    """Raise InputError if a comparison cannot be written into a folder."""
    _FOLDER.check(out, overwrite=overwrite)


def write_comparison(result: Comparison, out: Path, *, overwrite: bool = False) -> None:
    """Leave compare.json and compare.html in a folder.

    Raises:
        InputError: An earlier comparison is there and not to be replaced, or the folder cannot be written to.
    """
    _FOLDER.check(out, overwrite=overwrite)
    make_folder(out)
    replace_files({out / "compare.html": comparison_page(result), out / "compare.json": json_file_text(result)})
