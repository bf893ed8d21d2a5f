"""What the Python API does with a model file: a graph for other programs, and whether films are as before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.api.places import AnyPath
from hilum.api.results import Model, model_path

if TYPE_CHECKING:
    from hilum.judge.drift import Drift
    from hilum.workflows.export import Exported

__all__ = ["drift", "export"]


def drift(
    model: Model,
    predictions: AnyPath | Sequence[AnyPath],
    *,
    reference: AnyPath | Sequence[AnyPath] = (),
    days: int | None = None,
) -> Drift:
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
    from hilum.workflows.drift import find_drift

    return find_drift(model_path(model), _paths(predictions), reference=_paths(reference), days=days)


def export(model: Model, to: AnyPath) -> Exported:
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

    return export_model(model_path(model), Path(to))


def _paths(some: AnyPath | Sequence[AnyPath]) -> list[Path]:
    return [Path(some)] if isinstance(some, str | os.PathLike) else [Path(one) for one in some]
