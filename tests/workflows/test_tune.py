"""A search from data folder to run.toml; the networks are stood in for."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest

from hilum.data.phantom import write_phantoms
from hilum.errors import InputError
from hilum.train.config import default_config, read_config
from hilum.train.tune.search_space import Search, TuneSettings
from hilum.workflows.tune import Tuned, tune_settings

BASE = default_config("plain-cnn")
BEST = dataclasses.replace(BASE, fit=dataclasses.replace(BASE.fit, dropout=0.5))  # for the stood-in networks


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
    assert f"Trial {best['trial']} is better than the defaults" in page
    assert f"Trial {best['trial']} is better than the defaults" in found.verdict


@pytest.mark.slow
def test_where_nothing_beats_the_defaults_they_are_kept(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    found = tuned(phantoms, tmp_path, num_trials=5, base=BEST)
    assert found.is_default
    assert found.config == BEST == read_config(tmp_path / "run.toml")
    assert "the defaults are kept" in found.verdict


@pytest.mark.slow
def test_a_best_trial_that_luck_made_is_not_taken(
    phantoms: Path, tmp_path: Path, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are the same whatever the settings, but for their noise: some trial is the best, none is better."""
    real = networks.answer

    def answer(network: Any, films: Any) -> Any:
        config = networks._config
        networks._config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, dropout=0.3))
        networks._seed += round(config.fit.dropout * 1e6)
        return real(network, films)

    monkeypatch.setattr("hilum.train.trial.compute_logits", answer)
    found = tuned(phantoms, tmp_path, num_trials=10)
    assert found.is_default
    assert "the difference is within noise" in found.verdict
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
    with pytest.raises(InputError, match=r"default settings could not be tested.*ended the process"):
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
