"""`hilum drift`: today's predictions against the model file's evaluation, or against earlier ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.figures import to_json
from hilum.judge.drift import count_answers
from hilum.run.modelfile import read_model_file
from hilum.run.saved_counts import DayCounts, add_to_day
from hilum.workflows.drift import find_drift
from hilum.workflows.ensemble import ensemble_runs


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
    assert said["others"].out.startswith("The films of today are answered differently.")
    assert "Probability of Normal: different (p below 0.001)" in said["others"].out
    assert said["few"].out.startswith("There are too few films to say: 20 films of today")
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


def test_counts_of_a_server_are_read(model: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    read, today = read_model_file(model), date.today()
    identity = {"name": read.metadata.name, "sha256": read.sha256}
    for age, seed in ((0, 1), (1, 2), (40, 3)):
        shares, sizes = answers(seed, 60, likely=0.5 if age == 40 else 3.0)
        made = count_answers(shares, sizes, [True] * 60, read.metadata.findings)
        day = DayCounts(today - timedelta(days=age), identity, read.metadata.findings, made.n, made.counts)
        add_to_day(tmp_path / "counts", day)
    everything = command("drift", "--model", model, tmp_path / "counts")
    assert everything.out.startswith("The films counted so far are answered differently.")
    assert "180 films counted so far, 120 to compare with" in everything.out
    recent = command("drift", "--model", model, tmp_path / "counts", "--days", "2")
    assert recent.out.startswith("No difference found")
    assert "120 films of the last 2 days" in recent.out
    same = write_predictions(tmp_path / "same.jsonl", model, 4, 20)
    both = command("drift", "--model", model, same, *(tmp_path / "counts").glob(f"{today}-*.json"))
    assert "80 films counted so far" in both.out


def test_answers_of_a_real_ensemble_are_compared(
    write_run: Callable[..., Path], tiny_data: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    runs = [write_run(tmp_path / f"run-{seed}", seed=seed) for seed in range(2)]
    ensemble_runs(runs, tmp_path / "together", data=tiny_data)
    today = tmp_path / "today.jsonl"
    films = sorted(tiny_data.glob("*/*/*.png"))
    assert command("predict", "--model", tmp_path / "together", *films, "--format", "jsonl", "--out", today).code == 0
    found = find_drift(tmp_path / "together", [today] * 4, reference=[today] * 4)
    assert "exposure" in {one.quantity for one in found.quantities}
    assert (found.is_different, found.not_in_reference, found.not_in_today) == (False, (), ())
    few = command("drift", "--model", tmp_path / "together", today)  # 15 test films are kept in the file
    said = f"There are too few films to say: {len(films)} films of today, 15 to"
    assert (few.code, few.out.startswith(said)) == (0, True)


def test_counts_of_another_model_are_refused(
    model: Path, tiny_model: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    read = read_model_file(tiny_model)
    made = count_answers([[0.6, 0.3, 0.1]], [1], [True], read.metadata.findings)
    identity = {"name": "tiny", "sha256": read.sha256}
    add_to_day(tmp_path, DayCounts(date.today(), identity, read.metadata.findings, made.n, made.counts))
    other = command("drift", "--model", model, tmp_path)
    assert (other.code, "holds no counts of answers of the model" in other.err) == (2, True)


def test_training_keeps_the_answers_of_its_evaluation(trained_run: Any) -> None:
    kept = read_model_file(trained_run.folder / "model.onnx").metadata.evaluation
    assert kept["part"] == "test"
    assert kept["n"] == trained_run.metrics.test.n
    assert {sum(one) for one in kept["counts"].values()} == {kept["n"]}
