"""`hilum study backbones`, from films to page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import ConfigError
from hilum.report.study_backbones import backbone_text
from hilum.train.study.settings import StudySettings
from hilum.workflows.study_backbones import study_backbones


def test_networks_are_judged_with_their_cost_and_missing_weights_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema_errors: Callable[..., list[str]]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    films = write_phantoms(
        tmp_path / "own", num_per_finding=10, num_test_per_finding=2, findings=("Normal", "Covid-19"), size_px=96
    )
    settings = StudySettings(folds=2, epochs=1, backbones=("plain-cnn", "MobileNetV2"), sizes_px=(32,))
    only = StudySettings(**{**vars(settings), "only": ("frozen", "from scratch"), "backbones": ("plain-cnn",)})
    figures = study_backbones(films, tmp_path / "out", only)
    assert schema_errors("study", json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8"))) == []
    (row,) = figures["networks"]
    assert row["name"] == "plain-cnn-32-from-scratch"
    assert row["reason"] == ""
    assert row["best"]
    assert row["megabytes"] == pytest.approx(4 * row["num_weights"] / 1e6, rel=0.3)
    assert 0 < row["milliseconds"] < 1000
    assert (tmp_path / "out" / "report.html").exists()
    assert figures["verdict"]["network"] in (None, row["name"])  # one epoch on few films may teach nothing
    assert bool(row["kept_random"]) == any("random weights" in fault for fault in figures["faults"])
    assert "plain-cnn 32 px from scratch" in backbone_text(figures, width=200)
    frozen = StudySettings(**{**vars(settings), "only": ("frozen",), "backbones": ("MobileNetV2",)})
    with pytest.raises(ConfigError, match="ImageNet weights of MobileNetV2 are not on this computer"):
        study_backbones(films, tmp_path / "lost", frozen)
