"""hilum.drift and hilum.export do what their commands do."""

from __future__ import annotations

import inspect
from datetime import date
from pathlib import Path

import pytest

import hilum
from hilum.errors import InputError
from hilum.judge.drift import count_answers
from hilum.run.modelfile import read_model_file
from hilum.run.saved_counts import DayCounts, add_to_day


def test_drift_compares_counts_with_earlier_ones(tiny_model: Path, tmp_path: Path) -> None:
    read = read_model_file(tiny_model)
    for name, share in (("before", 0.9), ("now", 0.4)):
        made = count_answers([[share, 0.95 - share, 0.05]] * 60, [1] * 60, [True] * 60, read.metadata.findings)
        model = {"name": "tiny", "sha256": read.sha256}
        add_to_day(tmp_path / name, DayCounts(date.today(), model, read.metadata.findings, made.n, made.counts))
    found = hilum.drift(tiny_model, str(tmp_path / "now"), reference=[tmp_path / "before"], days=1)
    assert (found.n, found.reference_n, found.is_different) == (60, 60, True)
    found.save(tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"drift.json", "drift.txt"}
    assert hilum.drift(tiny_model, tmp_path / "now", reference=tmp_path / "now").is_different is False
    with pytest.raises(InputError, match="does not say how it answered"):
        hilum.drift(hilum.load(tiny_model), tmp_path / "now")
    assert set(inspect.signature(hilum.drift).parameters) == {"model", "predictions", "reference", "days"}


def test_export_writes_a_graph_and_answers_to_check_it_by(tiny_model: Path, tmp_path: Path) -> None:
    made = hilum.export(tiny_model, str(tmp_path / "pixels.onnx"))
    assert (tmp_path / "pixels.onnx").is_file()
    assert made.golden.is_file()
    assert made.largest_difference < 1e-3
    with pytest.raises(InputError):
        hilum.export(tiny_model, tmp_path / "pixels.onnx")


def test_compare_needs_the_models_or_their_answers(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        hilum.compare(tiny_model, tmp_path / "missing")
