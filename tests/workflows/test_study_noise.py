"""`hilum study noise`, from films to page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.console import Console
from hilum.data.phantom import write_phantoms
from hilum.errors import ConfigError
from hilum.report.study_noise_table import noise_text
from hilum.train.study.settings import StudySettings
from hilum.workflows import study_noise as noise_study
from hilum.workflows.study_noise import study_noise

SETTINGS = StudySettings(folds=2, only=("median",), backbones=("plain-cnn",), sizes_px=(32,))
FINDINGS = ("Normal", "Covid-19")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("noise")
    own = write_phantoms(folder / "own", num_per_finding=12, num_test_per_finding=2, findings=FINDINGS, size_px=96)
    return own, write_phantoms(
        folder / "other", num_per_finding=6, num_test_per_finding=0, seed=8, findings=FINDINGS, size_px=96
    )


@pytest.fixture(scope="module")
def figures(films: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A study that was killed half way and gone on with."""
    out = tmp_path_factory.mktemp("out") / "study"
    real = noise_study.fit_heads

    def stop(*_: Any, **__: Any) -> Any:
        raise Killed

    noise_study.fit_heads = stop  # type: ignore[assignment]
    try:
        with pytest.raises(Killed):
            study_noise(films[0], out, SETTINGS, external=films[1])
    finally:
        noise_study.fit_heads = real
    kept = {path: path.stat().st_mtime_ns for path in (out / ".work" / "features").rglob("*.npy")}
    assert len(kept) == 14  # two ways, five conditions here and two elsewhere
    said: list[str] = []
    console = Console()
    console.say = said.append  # type: ignore[method-assign]
    noise_study.features_of, features_of = _never, noise_study.features_of  # type: ignore[assignment]
    try:
        told = study_noise(films[0], out, SETTINGS, external=films[1], console=console)
    finally:
        noise_study.features_of = features_of
    assert any("Going on" in line for line in said)
    assert not (out / ".work").exists()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Median" in page
    assert json.loads((out / "study.json").read_text(encoding="utf-8")) == json.loads(json.dumps(told))
    return told


def _never(*_: Any) -> Any:
    raise AssertionError("features were computed a second time")


def test_test_films_have_no_part_and_other_films_are_judged(figures: dict[str, Any]) -> None:
    assert figures["data"]["n"] == 24
    assert figures["external"]["n"] == 12
    none, median = figures["methods"]
    assert none["changes"]["in_house"]["clean"]["figures"]["n"] == 24
    assert median["changes"]["external"]["medium"]["option"]["n"] == 12


def test_noise_is_found_as_it_was_put_in(figures: dict[str, Any]) -> None:
    noise = figures["noise"]
    assert noise["clean"]["put_in"] == 0.0
    assert noise["high"]["put_in"] < noise["medium"]["put_in"] < noise["low"]["put_in"]
    assert min(figures["share_noisy"].values()) > 0.8  # phantoms are drawn with noise


def test_the_option_leaves_clean_films_alone() -> None:
    study = object.__new__(noise_study._NoiseStudy)
    study._noises = lambda *_: np.array([0.0, noise_study.LEAST_NOISE])  # type: ignore[method-assign]
    study._features = lambda name, *_: np.full((2, 1), 0.0 if name == "none" else 1.0)  # type: ignore[method-assign]
    assert study._option("median", "in_house", "clean").tolist() == [[0.0], [1.0]]
    assert study._option("clahe", "in_house", "clean").tolist() == [[1.0], [1.0]]  # a change of contrast suits all


def test_films_come_nearer_to_those_without_noise(figures: dict[str, Any]) -> None:
    none, median = figures["methods"]
    assert median["fidelity"]["low"]["psnr"] > none["fidelity"]["low"]["psnr"]
    assert none["clean"] == {"psnr": 99.0, "edges_kept": pytest.approx(1.0)}
    assert none["residual_likeness"] == 0.0
    assert median["milliseconds"] < 1000


def test_study_json_keeps_its_keys(figures: dict[str, Any], schema_errors: Callable[..., list[str]]) -> None:
    assert schema_errors("study", json.loads(json.dumps(figures))) == []


def test_the_verdict_is_told_in_the_table(figures: dict[str, Any]) -> None:
    assert figures["verdict"]["words"] in noise_text(figures, width=200)
    assert set(figures["methods"][1]["verdict"]["criteria"]) >= {"clean", "helps", "served"}


def test_noise_is_the_same_for_every_method_and_try(films: tuple[Path, Path], tmp_path: Path) -> None:
    from hilum.film.preprocess import Preprocessing
    from hilum.train.prepared import prepare_films
    from hilum.train.study.common import Study
    from hilum.workflows.study_noise import _NoiseStudy

    drawn = []
    for name in ("one", "two"):
        study = _NoiseStudy(Study("noise", films[0], tmp_path / name, SETTINGS), ("none",))
        study.prepared = prepare_films(films[0], Preprocessing(size_px=32, equalize=False))
        study._films_of = {"in_house": study.prepared.films}
        drawn.append(study._film("in_house", 3, "low"))
    assert np.array_equal(*drawn)


def test_one_network_and_one_size_only(films: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one --backbone"):
        study_noise(films[0], tmp_path / "out", StudySettings(sizes_px=(32, 64)))
    with pytest.raises(ConfigError, match="median"):
        study_noise(films[0], tmp_path / "out", StudySettings(only=("medain",)))
