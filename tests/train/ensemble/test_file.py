"""Sealing: a merged graph that says something else than its members is not sealed."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ModelFileError
from hilum.run.modelfile import read_model_file
from hilum.train.ensemble import file as ensemble_file
from hilum.workflows.ensemble import ensemble_runs

WriteRun = Callable[..., Path]


def test_a_graph_that_disagrees_with_its_members_is_not_sealed(
    tmp_path: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [write_run(tmp_path / f"run-{seed}", seed=seed) for seed in range(2)]
    merge = ensemble_file.merge_graphs

    def wrong(parts: list[Any], *arguments: Any, **options: Any) -> Any:
        return merge([dataclasses.replace(parts[0], temperature=1.001), *parts[1:]], *arguments, **options)

    monkeypatch.setattr(ensemble_file, "merge_graphs", wrong)
    with pytest.raises(ModelFileError, match="Not sealed: the merged graph and its members differ"):
        ensemble_runs(runs, tmp_path / "ensemble")
    assert not (tmp_path / "ensemble").exists()
    monkeypatch.undo()
    assert (ensemble_runs(runs, tmp_path / "ensemble").folder / "model.onnx").exists()


def test_it_promises_the_highest_coverage_of_its_members(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / str(seed), seed=seed, coverage=share) for seed, share in enumerate((0.9, 0.95))]
    made = ensemble_runs(runs, tmp_path / "ensemble")
    assert read_model_file(made.folder / "model.onnx").metadata.coverage == 0.95


def test_it_knows_the_films_of_all_its_members(tmp_path: Path, write_run: WriteRun) -> None:
    films = [base64.b64encode(bytes([number] * 32)).decode() for number in range(3)]
    told = {"name": "phantoms", "num_films": {}, "fingerprint": "as one"}
    both = base64.b64encode(base64.b64decode(films[0]) + base64.b64decode(films[1])).decode()
    runs = [
        write_run(tmp_path / str(seed), seed=seed, training_data={**told, "dhash256": imprint})
        for seed, imprint in enumerate((both, films[2]))
    ]
    made = ensemble_runs(runs, tmp_path / "ensemble")
    learned = read_model_file(made.folder / "model.onnx").metadata.training_data["dhash256"]
    assert base64.b64decode(learned) == b"".join(base64.b64decode(one) for one in films)
