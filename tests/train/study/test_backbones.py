"""`hilum study backbones`, from films to page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import ConfigError
from hilum.judge.study.backbone_page import backbone_text
from hilum.train.study.backbones import study_backbones, weights_at_hand
from hilum.train.study.common import StudySettings


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
    assert figures["verdict"]["network"] in row["name"]
    assert "plain-cnn 32 px from scratch" in backbone_text(figures, width=200)
    frozen = StudySettings(**{**vars(settings), "only": ("frozen",), "backbones": ("MobileNetV2",)})
    with pytest.raises(ConfigError, match="ImageNet weights of MobileNetV2 are not on this computer"):
        study_backbones(films, tmp_path / "lost", frozen)


def test_weights_are_looked_for_where_keras_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights_at_hand("efficientnet-lite0")
    assert not weights_at_hand("plain-cnn")
    assert not weights_at_hand("DenseNet121")
    kept = tmp_path / ".keras" / "models"
    kept.mkdir(parents=True)
    (kept / "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5").write_bytes(b"")
    assert weights_at_hand("DenseNet121")
    assert not weights_at_hand("DenseNet169")
