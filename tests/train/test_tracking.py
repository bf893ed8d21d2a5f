"""Tracking: what is told of a run is read back from a real MLflow store and from event files, and none of it leaves."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hilum.train.tracking
from hilum.errors import ConfigError, InputError, MissingExtra
from hilum.figures import from_json
from hilum.judge.audit.check import Fault
from hilum.judge.external import RunMetrics
from hilum.judge.history import EpochRow
from hilum.train.config import RunConfig
from hilum.train.tracking import check_log, tracked

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text(encoding="utf-8"))
METRICS = from_json(RunMetrics, GOLDEN)
FAULTS = [Fault("leak", "error", "9 test films are also in train.")]
CONFIG = RunConfig(seed=7)


def epoch(number: int) -> EpochRow:
    return {
        "stage": "backbone" if number else "head",
        "epoch": number,
        "loss": 0.5 / number if number else math.nan,
        "validation_loss": 1.0 - 0.25 * number,
        "validation_accuracy": 0.5 + 0.125 * number,
        "learning_rate": 1e-3 if number else math.nan,
        "kept": False,
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / ".work").mkdir(parents=True)
    for name in ("model.onnx", "report.html", "audit.json"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture(autouse=True)
def no_store_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)


def tell(log: str, out: Path, epochs: Iterator[int] | range, *, stops: bool = False) -> None:
    """Tell of a run whose networks have these epochs; it is stopped after them, or ends."""
    with tracked(log, out, CONFIG) as tracker:
        for number in epochs:
            tracker.epoch("model", epoch(number))
            tracker.epoch("fold-1", epoch(number))
        if stops:
            raise KeyboardInterrupt
        tracker.end(METRICS, FAULTS)


def stopped_then_finished(log: str, out: Path) -> None:
    """Tell of a run that was stopped after epoch 1, and continued: all epochs are told again."""
    with pytest.raises(KeyboardInterrupt):
        tell(log, out, range(2), stops=True)
    tell(log, out, range(4))


def check_figures(told: dict[str, float]) -> None:
    accuracy = GOLDEN["test"]["accuracy"]
    assert [told[f"test/accuracy/{name}"] for name in ("value", "low", "high")] == pytest.approx(
        [accuracy[name] for name in ("value", "low", "high")], abs=1e-6
    )
    assert told["test/n"] == GOLDEN["test"]["n"]
    assert told["faults/error"] == 1


@pytest.mark.slow
def test_an_mlflow_run_that_continues_is_one_run_with_every_epoch_once(out: Path) -> None:
    from mlflow import MlflowClient

    stopped_then_finished("mlflow", out)
    client = MlflowClient(f"sqlite:///{out}/mlflow.db")
    (experiment,) = (one for one in client.search_experiments() if one.name == "hilum")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert (run.data.params["seed"], run.data.params["preprocessing.size_px"]) == ("7", "224")
    for name in ("model", "fold-1"):
        curve = client.get_metric_history(run.info.run_id, f"{name}/loss")
        assert [(one.step, one.value) for one in curve] == [(n, 0.5 / n) for n in (1, 2, 3)]
        told = client.get_metric_history(run.info.run_id, f"{name}/validation_loss")
        assert [one.step for one in told] == [0, 1, 2, 3]
    check_figures(run.data.metrics)
    assert run.data.tags["mlflow.note.content"] == "- error: 9 test films are also in train."
    files = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert files == {"model.onnx", "report.html", "audit.json"}
    (kept,) = (out / "mlflow").rglob("model.onnx")
    assert kept.read_text() == "model.onnx"


def test_an_mlflow_store_that_the_user_has_set_is_used(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/ours.db"
    client = MlflowClient(uri)
    client.create_experiment("chests", artifact_location=(tmp_path / "files").as_uri())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "chests")
    with pytest.raises(KeyboardInterrupt):
        tell("mlflow", out, range(2), stops=True)
    found = client.get_experiment_by_name("chests")
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    assert (run.info.status, run.data.metrics["model/loss"]) == ("KILLED", 0.5)
    assert {path.name for path in out.iterdir()} == {".work", "model.onnx", "report.html", "audit.json"}


def test_a_store_that_cannot_be_used_is_one_sentence(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://store")
    with pytest.raises(InputError, match="MLflow store cannot be used"):
        tell("mlflow", out, range(1))


def told_to_tensorboard(out: Path) -> tuple[dict[tuple[str, int], float], dict[str, str]]:
    """Return the numbers (by tag and step) and the texts (by tag) of the only event file."""
    import tensorflow as tf

    numbers, texts = {}, {}
    (file,) = (out / "tensorboard").iterdir()
    assert ".tfevents." in file.name
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            if value.HasField("simple_value"):
                assert (value.tag, event.step) not in numbers
                numbers[value.tag, event.step] = value.simple_value
            else:
                assert value.metadata.plugin_data.plugin_name == "text"
                texts[value.tag] = tf.make_ndarray(value.tensor)[0].decode()
    return numbers, texts


def test_the_event_file_of_a_run_that_continues_has_every_epoch_once(out: Path) -> None:
    stopped_then_finished("tensorboard", out)
    numbers, texts = told_to_tensorboard(out)
    assert {key: value for key, value in numbers.items() if key[0] == "model/validation_accuracy"} == {
        ("model/validation_accuracy", n): 0.5 + 0.125 * n for n in range(4)
    }
    assert ("model/loss", 0) not in numbers and numbers["fold-1/loss", 1] == 0.5
    check_figures({name: value for (name, step), value in numbers.items() if step == 0})
    assert "| seed | 7 |" in texts["settings"].splitlines()
    assert texts["faults"] == "- error: 9 test films are also in train."
    assert f"- {out / 'model.onnx'}" in texts["files"].splitlines()


def test_without_a_tracker_nothing_is_written(out: Path) -> None:
    before = sorted(out.rglob("*"))
    with tracked(None, out, CONFIG) as tracker:
        tracker.epoch("model", epoch(1))
        tracker.end(METRICS, FAULTS)
    assert sorted(out.rglob("*")) == before


def test_a_tracker_that_is_unknown_or_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="`log` cannot be `wandb`"):
        check_log("wandb")
    monkeypatch.setattr(hilum.train.tracking, "has_extra", lambda _: False)
    check_log("tensorboard")
    with pytest.raises(MissingExtra, match="Logging to MLflow needs the extra `track`"):
        check_log("mlflow")


LISTENING = """
import os, sys
from pathlib import Path

def listen(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        os.write(2, f"NETWORK {event} {arguments}\\n".encode())

sys.addaudithook(listen)
from hilum.train.config import RunConfig
from hilum.train.tracking import tracked

with tracked("mlflow", Path(sys.argv[1]), RunConfig()) as tracker:
    tracker.epoch("model", {"epoch": 1, "loss": 0.5, "validation_loss": 0.5, "validation_accuracy": 0.5,
                            "learning_rate": 0.1})
print("told")
"""


@pytest.mark.slow
def test_logging_to_mlflow_calls_no_other_computer(out: Path) -> None:
    hides: Any = ("PYTEST", "CI", "MLFLOW")  # MLflow reports nothing where it sees a test
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hides)}
    done = subprocess.run(
        [sys.executable, "-c", LISTENING, str(out)], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
    assert "NETWORK" not in done.stderr
