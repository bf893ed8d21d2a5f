"""`hilum drift`: today's predictions against the model file's evaluation, or against earlier ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.figures import to_json
from hilum.judge.drift import count_answers
from hilum.run.modelfile import read_model_file


@pytest.fixture
def model(write_model: Callable[..., Path], tmp_path: Path) -> Path:
    """A model file that keeps the answers of its evaluation."""
    shares, sizes = answers(0, 120)
    findings = ("Normal", "Covid-19", "Viral Pneumonia")
    kept = to_json(count_answers(shares, sizes, [True] * 120, findings))
    return write_model(tmp_path / "model.onnx", evaluation={"part": "test", **kept})


def answers(seed: int, n: int, likely: float = 3.0) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet((likely, 1.0, 1.0), n), rng.integers(1, 3, n).tolist()


def write_predictions(path: Path, model: Path, seed: int, n: int, likely: float = 3.0) -> Path:
    sha256, findings = read_model_file(model).sha256, read_model_file(model).metadata.findings
    lines = []
    for row, size in zip(*answers(seed, n, likely), strict=True):
        shares = dict(zip(findings, row.tolist(), strict=True))
        answer = {"file": "f", "finding": "Normal", "probabilities": shares, "set": list(findings[:size])}
        lines.append(json.dumps(answer | {"accepted": True, "model": {"name": "tiny", "sha256": sha256}}))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_same_films_and_others(model: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    same = write_predictions(tmp_path / "same.jsonl", model, 1, 100)
    others = write_predictions(tmp_path / "others.jsonl", model, 2, 100, likely=0.5)
    few = write_predictions(tmp_path / "few.jsonl", model, 3, 20)
    said = {path.stem: command("drift", "--model", model, path) for path in (same, others, few)}
    assert {one.code for one in said.values()} == {0}
    assert said["same"].out.startswith("No difference found")
    assert "100 films of today, 120 to compare with" in said["same"].out
    assert "8 times out of 10" in said["same"].out
    assert said["others"].out.startswith("Today's films are answered differently.")
    assert "Probability of Normal: different (p below 0.001)" in said["others"].out
    assert said["few"].out.startswith("Too few films to say: 20 films of today")
    both = command("drift", "--model", model, few, same)
    assert "120 films of today" in both.out


def test_models_that_say_nothing_are_compared_with_earlier_predictions(
    tiny_model: Path, model: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    today = write_predictions(tmp_path / "today.jsonl", tiny_model, 1, 60)
    silent = command("drift", "--model", tiny_model, today)
    assert silent.code == 2
    assert "does not say how it answered in its evaluation" in silent.err
    before = write_predictions(tmp_path / "before.jsonl", tiny_model, 2, 60)
    done = command("drift", "--model", tiny_model, today, "--reference", before)
    assert (done.code, done.out.startswith("No difference found")) == (0, True)
    other = command("drift", "--model", model, today)
    assert other.code == 2
    assert "predictions of another model" in other.err


def test_training_keeps_the_answers_of_its_evaluation(trained_run: Any) -> None:
    kept = read_model_file(trained_run.folder / "model.onnx").metadata.evaluation
    assert kept["part"] == "test"
    assert kept["n"] == trained_run.metrics.test.n
    assert {sum(one) for one in kept["counts"].values()} == {kept["n"]}
