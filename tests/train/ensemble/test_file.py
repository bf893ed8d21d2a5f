"""Sealing: a merged graph that says something else than its members is not sealed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ModelFileError
from hilum.train.ensemble import file as ensemble_file
from hilum.train.ensemble.build import ensemble_runs

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
