"""A search from data folder to run.toml; the networks are stood in for."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import ConfigError, InputError, MissingExtra
from hilum.film.preprocess import Preprocessing
from hilum.run.ray_cluster import Cluster
from hilum.train.config import FitSettings, RunConfig, default_config
from hilum.train.config_file import read_config, to_toml
from hilum.train.tune.search_space import Search, TuneSettings
from hilum.workflows.tune import Tuned, _raise_its_error, tune_settings, work_on_cluster


def with_dropout(config: RunConfig, dropout: float) -> RunConfig:
    """Return the settings with another dropout; the stood-in networks answer the better the nearer it is to 0.5."""
    return dataclasses.replace(config, fit=dataclasses.replace(config.fit, dropout=dropout))


BASE = default_config("plain-cnn")
BEST = with_dropout(BASE, 0.5)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(
        tmp_path_factory.mktemp("tune") / "films",
        num_per_finding=20,
        num_test_per_finding=2,
        seed=6,
        findings=("Normal", "Covid-19"),
        size_px=64,
    )


def tuned(phantoms: Path, out: Path, num_trials: int = 8, **options: Any) -> Tuned:
    search = Search(phantoms, out, options.pop("base", BASE), TuneSettings(num_trials, num_folds=4))
    return tune_settings(search, **options)


@pytest.mark.slow
def test_better_settings_are_written_down_with_the_trials_and_a_page(
    phantoms: Path, tmp_path: Path, networks: Any
) -> None:
    found = tuned(phantoms, tmp_path, num_trials=14)
    assert not found.is_default
    assert read_config(tmp_path / "run.toml") == found.config
    assert abs(found.config.fit.dropout - 0.5) < 0.2
    assert found.config.seed == BASE.seed
    lines = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text(encoding="utf-8"))))
    assert len(lines) == len(found.rows) == 14
    finished = [line for line in lines if line["loss"]]
    best = min(finished, key=lambda line: float(line["loss"]))
    assert float(best["dropout"]) == found.config.fit.dropout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"Trial {best['trial']} is better than the starting settings" in page
    assert f"Trial {best['trial']} is better than the starting settings" in found.verdict


@pytest.mark.slow
def test_a_learning_rate_that_is_far_off_is_found_out(
    phantoms: Path, tmp_path: Path, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are the better the nearer the rate is to the backbone's default; the search starts far below it."""
    real = networks.answer

    def answer(network: Any, films: Any) -> Any:
        config = networks._config
        decades = abs(math.log10(config.fit.learning_rate / BASE.fit.learning_rate))
        networks._config = with_dropout(config, max(0.5 - 0.15 * decades, 0.0))
        logits = real(network, films)
        networks._config = config
        return logits

    monkeypatch.setattr("hilum.train.trial.compute_logits", answer)
    wrong = dataclasses.replace(BASE, fit=dataclasses.replace(BASE.fit, learning_rate=1e-6))
    found = tuned(phantoms, tmp_path, num_trials=4, base=wrong)
    assert "is better than the starting settings" in found.verdict
    assert read_config(tmp_path / "run.toml") == found.config
    assert found.config.fit.learning_rate > 100 * wrong.fit.learning_rate


@pytest.mark.slow
def test_where_nothing_beats_the_defaults_they_are_kept(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    found = tuned(phantoms, tmp_path, num_trials=5, base=BEST)
    assert found.is_default
    assert found.config == BEST == read_config(tmp_path / "run.toml")
    assert "so they are kept" in found.verdict


@pytest.mark.slow
def test_a_best_trial_that_luck_made_is_not_taken(
    phantoms: Path, tmp_path: Path, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are the same whatever the settings, but for their noise: some trial is the best, none is better."""
    real = networks.answer

    def answer(network: Any, films: Any) -> Any:
        config = networks._config
        networks._config = with_dropout(config, 0.3)
        networks._seed += round(config.fit.dropout * 1e6)
        return real(network, films)

    monkeypatch.setattr("hilum.train.trial.compute_logits", answer)
    found = tuned(phantoms, tmp_path, num_trials=10)
    assert found.is_default
    assert " scored best, but " in found.verdict
    assert read_config(tmp_path / "run.toml") == BASE


@pytest.mark.slow
def test_more_trials_go_on_with_the_search(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    first = tuned(phantoms, tmp_path, num_trials=2)
    num_fits = len(networks.fitted)
    second = tuned(phantoms, tmp_path, num_trials=3)
    assert [row.loss for row in second.rows[:2]] == [row.loss for row in first.rows]
    assert len(second.rows) == 3
    assert len(networks.fitted) > num_fits


@pytest.mark.slow
def test_a_search_whose_defaults_end_their_process_says_so(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    networks.before = die
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            tuned(phantoms, tmp_path, num_trials=1)
    with pytest.raises(InputError, match=r"starting settings could not be tested.*ended the process"):
        tuned(phantoms, tmp_path, num_trials=1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("file", "it is a file"), ("foreign", "Nothing in it was changed"), ("inside", "data folder")],
)
def test_a_folder_that_is_no_search_is_left_alone(phantoms: Path, tmp_path: Path, kind: str, message: str) -> None:
    out = phantoms / "search" if kind == "inside" else tmp_path / "out"
    if kind == "file":
        out.write_text("mine", encoding="utf-8")
    elif kind == "foreign":
        out.mkdir()
        (out / "mine.txt").write_text("mine", encoding="utf-8")
    before = sorted([*phantoms.rglob("*"), *tmp_path.rglob("*")])
    with pytest.raises(InputError, match=message):
        tuned(phantoms, out, overwrite=True)
    assert sorted([*phantoms.rglob("*"), *tmp_path.rglob("*")]) == before


@pytest.mark.slow
def test_other_films_are_another_search(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    tuned(phantoms, tmp_path, num_trials=1)
    with pytest.raises(InputError, match="holds a search with other"):
        tuned(phantoms / "train", tmp_path, num_trials=1)
    assert not tuned(phantoms, tmp_path, num_trials=2, overwrite=True).num_unread


QUICK = dataclasses.replace(
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
    (tmp_path / "start.toml").write_text(to_toml(QUICK), encoding="utf-8")
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
