"""A search spread over processes by Ray."""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import ConfigError, InputError, MissingExtra
from hilum.film.preprocess import Preprocessing
from hilum.run.cluster import Cluster
from hilum.train.config import FitSettings, default_config, to_toml
from hilum.train.tune.cluster import _raise_its_error, work_on_cluster

BASE = dataclasses.replace(
    default_config("plain-cnn"), preprocessing=Preprocessing(size_px=32), fit=FitSettings(epochs=0)
)


def spread(address: str = "local", num_workers: int | None = 2) -> list[str]:
    said: list[str] = []
    work_on_cluster(lambda: None, Cluster(address, num_workers), said.append)
    return said


@pytest.mark.slow
def test_workers_share_the_trials(tmp_path: Path, fresh_process: Callable[..., Any]) -> None:
    """A real Ray of two workers, in a process of its own: Ray forgets processes, which then warn."""
    pytest.importorskip("ray")
    data = write_phantoms(
        tmp_path / "films", num_per_finding=12, num_test_per_finding=1, seed=1, findings=("Normal", "Covid-19")
    )
    (tmp_path / "start.toml").write_text(to_toml(BASE), encoding="utf-8")
    words = ["--config", tmp_path / "start.toml", "--folds", 2, "--cluster", "local"]
    done = fresh_process("tune", data, "--out", tmp_path / "out", "--trials", 3, *words, "--workers", 2, timeout=900)
    assert done.code == 0, done.err
    assert done.out.startswith(("No trial scored better", "Trial "))
    text = (tmp_path / "out" / "trials.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    assert [line["trial"] for line in lines] == ["0", "1", "2"]
    assert {line["state"] for line in lines} <= {"finished", "ended early"}
    assert "usage" not in done.err.lower()


def test_what_a_worker_cannot_read_is_the_commands_error() -> None:
    class Task:
        class RayTaskError(Exception):
            cause = InputError("Cannot read the data folder.")

        class exceptions:
            pass

        @staticmethod
        def get(_: Any) -> None:
            raise Task.RayTaskError

    Task.exceptions.RayTaskError = Task.RayTaskError  # type: ignore[attr-defined]
    Task.exceptions.RayError = Task.RayTaskError  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="Cannot read the data folder"):
        _raise_its_error("task", Task)


def test_a_cluster_that_is_not_there_is_an_input_error() -> None:
    pytest.importorskip("ray")
    with pytest.raises(InputError, match="Cannot reach a Ray cluster at `auto`"):
        spread("auto", None)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match="`cluster`"):
        spread()


def test_no_workers_are_refused() -> None:
    with pytest.raises(ConfigError, match="number of workers"):
        spread(num_workers=0)
