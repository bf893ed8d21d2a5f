"""`hilum study augmentation`, from films to page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import ConfigError
from hilum.report.study_augmentation import augmentation_text
from hilum.train.config import default_config
from hilum.train.study.policy_variants import POLICY_VARIANTS
from hilum.train.study.settings import StudySettings
from hilum.workflows.study_augmentation import study_augmentation

FINDINGS = ("Normal", "Covid-19")


def test_policies_are_compared_with_none_and_with_the_default(
    tmp_path: Path, schema_errors: Callable[..., list[str]]
) -> None:
    own = write_phantoms(tmp_path / "own", num_per_finding=10, num_test_per_finding=2, findings=FINDINGS, size_px=96)
    other = write_phantoms(
        tmp_path / "other", num_per_finding=4, num_test_per_finding=0, seed=7, findings=FINDINGS, size_px=96
    )
    settings = StudySettings(folds=2, epochs=1, only=("no-flip", "full"), backbones=("plain-cnn",), sizes_px=(32,))
    figures = study_augmentation(own, tmp_path / "out", settings, external=other)
    assert schema_errors("study", json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8"))) == []
    rows = {row["name"]: row for row in figures["backbones"]["plain-cnn"]["policies"]}
    assert list(rows) == ["none", "simple", "full", "no-flip"]
    assert rows["none"]["against_none"] == {"in_house": None, "external": None}
    assert rows["simple"]["against_default"]["in_house"] is None
    assert rows["no-flip"]["against_default"]["external"]["n"] == 8
    assert "Mirroring films" in figures["verdict"]["words"]
    assert figures["verdict"]["words"] in augmentation_text(figures, width=200)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 20
    with pytest.raises(ConfigError, match="one --size-px"):
        study_augmentation(own, tmp_path / "two", StudySettings(sizes_px=(32, 64)))
    with pytest.raises(ConfigError, match="Did you mean `mixup`"):
        study_augmentation(own, tmp_path / "two", StudySettings(only=("mixap",)))


def test_the_default_of_every_backbone_is_among_them() -> None:
    for backbone in ("plain-cnn", "efficientnet-lite0"):
        assert default_config(backbone).augmentation in [one.augmentation for one in POLICY_VARIANTS]
