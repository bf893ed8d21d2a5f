"""The demo: the whole path on drawn films, here with few of them, in a folder of its own that it may replace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hilum.train.config
import hilum.workflows.demo
from hilum.train.config import RunConfig
from hilum.train.config_file import read_config


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tiny_toml: Path) -> None:
    """Fewer films and epochs, that the test is short."""
    config: RunConfig = read_config(tiny_toml)
    monkeypatch.setattr(hilum.workflows.demo, "_TRAIN_FILMS", 6)
    monkeypatch.setattr(hilum.workflows.demo, "_TEST_FILMS", 2)
    monkeypatch.setattr(hilum.train.config, "default_config", lambda _backbone: config)


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_the_demo_shows_the_whole_path(command: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = command("demo", "--out", out)
    assert result.code == 0, result.err
    for name in ("metrics.json", "report.html", "model.onnx", "audit.json"):
        assert (out / "run" / name).exists()
    assert str(out / "run" / "report.html") in result.out
    (heatmap,) = (out / "heatmaps").iterdir()
    assert str(heatmap) in result.out
    assert "of 8 test phantoms" in result.out
    assert "not a medical device" in result.out
    assert len(list((out / "phantoms").rglob("phantom-*"))) == 4 * (6 + 2)

    (out / "run" / "stale.txt").touch()  # what an earlier demo left may be replaced
    assert command("demo", "--out", out).code == 0
    assert not (out / "run" / "stale.txt").exists()


def test_a_place_that_cannot_be_written_to_is_told(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "demo", tmp_path / ("x" * 300)):
        result = command("demo", "--out", out)
        assert result.code == 2
        assert result.err.startswith("hilum: ")
    assert (tmp_path / "file").is_file()
