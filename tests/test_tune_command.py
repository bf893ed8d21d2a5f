"""The command `hilum tune`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.data.phantom import write_phantoms
from hilum.train.config_file import read_config


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command") / "films"
    return write_phantoms(
        folder, num_per_finding=12, num_test_per_finding=1, seed=2, findings=("Normal", "Covid-19"), size_px=64
    )


@pytest.mark.slow
def test_a_search_leaves_settings_trials_and_a_page(
    phantoms: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    start = tmp_path / "start.toml"
    start.write_text('backbone = "plain-cnn"\n[preprocessing]\nsize_px = 32\n[fit]\nepochs = 0\n', encoding="utf-8")
    options = ["--config", start, "--folds", 2, "--seed", 3]
    done = command("tune", phantoms, "--out", tmp_path / "search", "--trials", 1, *options)
    assert done.code == 0, done.err
    assert done.out.startswith("No trial scored better than the starting settings, so they are kept.")
    assert "Trial 0," in done.err
    assert "Research software, not a medical device." in done.err
    config = read_config(tmp_path / "search" / "run.toml")
    assert (config.backbone, config.seed, config.fit.epochs) == ("plain-cnn", 3, 0)
    assert {"run.toml", "trials.csv", "report.html", "search.db"} <= {
        path.name for path in (tmp_path / "search").iterdir()
    }
    again = command("tune", phantoms, "--out", tmp_path / "search", "--trials", 1, *options)
    assert "Continuing the search" in again.err
    other = command("tune", phantoms, "--out", tmp_path / "search", "--trials", 1, *options[:-1], 4)
    assert other.code == 2
    assert "holds a search with other settings" in other.err


def test_what_cannot_be_is_refused_with_exit_code_2(
    phantoms: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    for options, words in (
        (["--trials", 0], "number of trials"),
        (["--backbone", "plain-cn"], "No backbone is called"),
        (["--workers", 2], "--cluster"),
    ):
        done = command("tune", phantoms, "--out", tmp_path / "search", *options)
        assert done.code == 2, options
        assert words in done.err
