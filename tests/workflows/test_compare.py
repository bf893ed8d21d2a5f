"""A comparison is written once, and an earlier one is not lost by accident."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.figures import to_json
from hilum.workflows.compare import compare_models, compare_runs, write_comparison


def test_earlier_comparisons_stay(write_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed, split_seed=0) for seed, name in enumerate(("first", "second"))]
    compared, out = compare_runs(*runs), tmp_path / "deep" / "out"
    write_comparison(compared, out)
    assert sorted(path.name for path in out.iterdir()) == ["compare.html", "compare.json"]
    assert json.loads((out / "compare.json").read_text(encoding="utf-8")) == to_json(compared)
    other = replace(compared, notes=("Another.",))
    with pytest.raises(InputError, match="earlier comparison"):
        write_comparison(other, out)
    assert "Another." not in (out / "compare.json").read_text(encoding="utf-8")
    write_comparison(other, out, overwrite=True)
    assert "Another." in (out / "compare.json").read_text(encoding="utf-8")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot make the folder"):
        write_comparison(compared, tmp_path / "file" / "out")


def test_runs_of_one_name_are_called_by_their_paths(write_run: Callable[..., Path], tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name / "run", seed=seed, split_seed=0)
    compared = compare_runs(tmp_path / "a" / "run", tmp_path / "b" / "run")
    assert (compared.first, compared.second) == (str(tmp_path / "a" / "run"), str(tmp_path / "b" / "run"))


def test_two_models_judge_the_same_films(
    write_model: Callable[..., Path], write_film: Callable[..., Path], tmp_path: Path
) -> None:
    for number in range(6):
        write_film(tmp_path / "films" / ("Normal", "Covid")[number % 2] / f"{number}.png", seed=number)
    (tmp_path / "run").mkdir()
    first, second = write_model(tmp_path / "run" / "model.onnx"), write_model(tmp_path / "other.onnx")
    compared = compare_models(first, second, tmp_path / "films")
    assert (compared.first, compared.second) == ("run", "other")
    assert compared.parts["test"].n == 6
    assert compared.parts["test"].accuracy.difference.value == 0
