"""What the Python API does with finished models: compare two, ask whether films are as before, export one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hilum.api.model_results import CompareResult, DriftResult, ExportResult
from hilum.api.places import AnyPath, console_of, data_path, out_folder
from hilum.api.results import AdaptResult, EvaluateResult, Model, TrainResult, model_path
from hilum.errors import InputError
from hilum.figures import json_file_text
from hilum.files import replace_files

__all__ = ["compare", "drift", "export"]


def compare(
    a: Model | EvaluateResult,
    b: Model | EvaluateResult,
    data: AnyPath | None = None,
    *,
    out: AnyPath | None = None,
    column: Mapping[str, str] | None = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> CompareResult:
    """Return which of two models is better on the same films, or that the films are too few to say.

    Args:
        a: With data, a model as for `evaluate`. Without, the folder or the result of `train` or `evaluate`.
        b: Another; differences are second minus first.
        data: Films that both judge now, as for `audit`. Without them, their saved answers are used.
        out: The folder for compare.json and compare.html.
        column: As for `audit`.
        overwrite: Whether an earlier comparison in the folder is replaced.
        verbose: Whether messages and progress go to standard error.

    Raises:
        InputError: A model, its answers or the data set cannot be used.
        ModelFileError: A model file cannot be used.

    Example:
        >>> hilum.compare("run-a", "run-b", "films/").comparison.verdict  # doctest: +SKIP
    """
    from hilum.workflows.compare import check_comparison, compare_models, compare_runs, write_comparison

    folder = out_folder(out, "compare")
    check_comparison(folder, overwrite=overwrite)
    if data is None:
        found = compare_runs(_answers_of(a), _answers_of(b))
    else:
        source = data_path(data, column)
        found = compare_models(_model_of(a), _model_of(b), source, console=console_of(verbose=verbose))
    write_comparison(found, folder, overwrite=overwrite)
    return CompareResult(folder, found)


def drift(
    model: Model,
    predictions: AnyPath | Sequence[AnyPath],
    *,
    reference: AnyPath | Sequence[AnyPath] = (),
    days: int | None = None,
) -> DriftResult:
    """Return how a model's answers to today's films compare with those of its evaluation. No findings are needed.

    Args:
        model: The model that answered.
        predictions: Files of `hilum predict` (.jsonl, .csv, .parquet), or folders of counts: that of `hilum serve
            --counts`, or `counts` in the spool of `hilum node`.
        reference: Earlier predictions of the same model, to compare with in place of its evaluation.
        days: Of counts, take the last so many days only, with today.

    Raises:
        InputError: A file cannot be read, is of another model, or the model file says nothing of its evaluation.
        ModelFileError: The model file cannot be used.

    Example:
        >>> hilum.drift("run", "today.jsonl").is_different  # doctest: +SKIP
        False
    """
    from hilum.report.drift import drift_lines
    from hilum.workflows.drift import find_drift

    found = find_drift(model_path(model), _paths(predictions), reference=_paths(reference), days=days)
    folder = out_folder(None, "drift")
    folder.mkdir()
    made = DriftResult(folder, found)
    told = "\n".join(drift_lines(found)) + "\n"
    replace_files({folder / "drift.json": json_file_text(made.to_dict()), folder / "drift.txt": told})
    return made


def export(model: Model, to: AnyPath) -> ExportResult:
    """Write a model as one ONNX graph from the pixels of a film to probabilities, for programs without hilum.

    Args:
        model: The model.
        to: The new graph; its name ends with .onnx. Answers to check other programs by lie beside it (.npz).

    Returns:
        Where these answers are (``golden``), their number (``n``), and by how much the graph's probabilities differ
        from those of the model file at most (``largest_difference``).

    Raises:
        InputError: A file exists, or has another ending.
        MissingExtra: The extra `train` is not installed.
        ModelFileError: The model cannot be written as such a graph.

    Example:
        >>> hilum.export("run", "pixels.onnx").largest_difference < 1e-3  # doctest: +SKIP
        True
    """
    from hilum.workflows.export import export_model

    made = export_model(model_path(model), Path(to))
    return ExportResult(Path(to).parent, Path(to), made.golden, made.n, made.largest_difference)


def _paths(some: AnyPath | Sequence[AnyPath]) -> list[Path]:
    return [Path(some)] if isinstance(some, str | os.PathLike) else [Path(one) for one in some]


def _answers_of(one: Model | EvaluateResult) -> Path:
    """Return the folder that holds the saved answers of a model."""
    return one.folder if isinstance(one, EvaluateResult | AdaptResult) else model_path(one)


def _model_of(one: Model | EvaluateResult) -> Path:
    """Return the path of a model.

    Raises:
        InputError: The result of an evaluation holds none.
    """
    if isinstance(one, EvaluateResult) and not isinstance(one, TrainResult):
        raise InputError("The result of `evaluate` holds no model.", fix="Give the model itself, or leave out `data`.")
    return model_path(one)
