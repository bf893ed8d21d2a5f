"""Users' own films of everything else, in a folder `Other`, are learned, judged and answered like any finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.data.phantom import write_phantoms
from hilum.run.modelfile import read_model_file

FINDINGS = ("Normal", "Covid-19", "Other abnormality")
WORDS = "abnormal, but none of the findings this model knows"
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with the class folders Normal, Covid-19 and Other."""
    folder = tmp_path_factory.mktemp("films") / "set"
    drawn = ("Normal", "Covid-19", "Bacterial Pneumonia")
    write_phantoms(folder, num_per_finding=12, num_test_per_finding=5, findings=drawn, size_px=96)
    for part in ("train", "test"):
        (folder / part / "Bacterial Pneumonia").rename(folder / part / "Other")
    return folder


def check_metrics(folder: Path, schema_errors: Callable[..., list[str]]) -> None:
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert schema_errors("metrics", metrics) == []
    assert tuple(metrics["test"]["per_finding"]) == FINDINGS
    assert metrics["test"]["per_finding"]["Other abnormality"]["n"] == 5
    assert metrics["test"]["hierarchy"]["normal"]["sensitivity"]["value"] is not None
    assert "Normal or not; if not, which finding" in (folder / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_such_a_folder_is_learned_as_a_finding(
    films: Path, tiny_toml: Path, tmp_path: Path, command: Command, schema_errors: Callable[..., list[str]]
) -> None:
    run = tmp_path / "run"
    assert command("train", films, "--out", run, "--config", tiny_toml).code in {0, 1}
    metadata = read_model_file(run / "model.onnx").metadata
    assert metadata.findings == FINDINGS
    assert metadata.snomed_ct["Other abnormality"] == "408574004"
    check_metrics(run, schema_errors)
    assert f"Other abnormality means: {WORDS}." in (run / "model-card.md").read_text("utf-8")


def test_such_a_folder_is_judged_and_answered(
    films: Path,
    write_model: Callable[..., Path],
    tmp_path: Path,
    command: Command,
    schema_errors: Callable[..., list[str]],
) -> None:
    limits = {name: {"threshold": 0.67, "n": 50} for name in FINDINGS}  # one finding always reaches it
    model = write_model(tmp_path / "model.onnx", findings=FINDINGS, operating_thresholds={}, conformal=limits)
    assert command("evaluate", "--model", model, films, "--out", tmp_path / "out").code == 0
    check_metrics(tmp_path / "out", schema_errors)
    lines = command("predict", "--model", model, films / "test", "--format", "jsonl").out.splitlines()
    named = [json.loads(line)["finding"] for line in lines]
    assert "Other abnormality" in named
    table = " ".join(command("predict", "--model", model, films / "test").out.split())
    assert table.count(WORDS) == named.count("Other abnormality")
