"""`hilum study`, from films to page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.console import Console
from hilum.data.phantom import write_phantoms
from hilum.errors import ConfigError, InputError
from hilum.judge.study_result import AugmentationResult, BackbonesResult, NoiseResult
from hilum.report.study_tables import study_text
from hilum.results import ResultFolder
from hilum.train.study_variants import StudyRequest
from hilum.workflows import study_noise
from hilum.workflows.study import run_study

FINDINGS = ("Normal", "Covid-19")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("films")
    own = write_phantoms(folder / "own", num_per_finding=12, num_test_per_finding=2, findings=FINDINGS, size_px=96)
    return own, write_phantoms(
        folder / "other", num_per_finding=6, num_test_per_finding=0, seed=8, findings=FINDINGS, size_px=96
    )


def request(films: tuple[Path, Path], out: Path, kind: str, **more: Any) -> StudyRequest:
    usual = {"folds": 2, "epochs": 1, "backbones": ("plain-cnn",), "sizes_px": (32,)}
    return StudyRequest(kind, films[0], out, **{**usual, **more})


def read(out: Path) -> Any:
    return json.loads((out / "study.json").read_text(encoding="utf-8"))


# --- noise ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noise(films: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[NoiseResult, Path]:
    """A study that was killed half way and continued."""
    out = tmp_path_factory.mktemp("out") / "study"
    asked = request(films, out, "noise", only=("median",), external=films[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_noise, "grouped_mean", _killed)
        with pytest.raises(Killed):
            run_study(asked)
    kept = sorted((out / ".work" / "features").rglob("*.npy"))
    assert kept
    with pytest.raises(InputError, match="unfinished study of other films or settings"):
        run_study(request(films, out, "noise", only=("median",), external=films[1], folds=3))
    said: list[str] = []
    console = Console()
    console.say = said.append  # type: ignore[method-assign]
    times = {path: path.stat().st_mtime_ns for path in kept}
    real = ResultFolder.finish
    with pytest.MonkeyPatch.context() as patch:

        def look_first(folder: ResultFolder, out: Path) -> None:
            assert {path: path.stat().st_mtime_ns for path in kept} == times, "features were computed a second time"
            real(folder, out)

        patch.setattr(ResultFolder, "finish", look_first)
        result = run_study(asked, console=console)
    assert any("Continuing" in line for line in said)
    assert not (out / ".work").exists()
    assert isinstance(result, NoiseResult)
    return result, out


def _killed(*_: Any, **__: Any) -> Any:
    raise Killed


def test_test_films_have_no_part_and_other_films_are_judged(noise: tuple[NoiseResult, Path]) -> None:
    result, _ = noise
    assert result.data.n == 24
    assert result.external is not None
    assert result.external.n == 12
    none, median = result.methods
    assert none.changes.in_house["clean"].figures.n == 24
    assert median.changes.external is not None
    assert median.changes.external["medium"].option is not None
    assert median.changes.external["medium"].option.n == 12


def test_noise_is_found_as_it_was_put_in(noise: tuple[NoiseResult, Path]) -> None:
    found = noise[0].noise
    assert found["clean"]["put_in"] == 0.0
    assert found["high"]["put_in"] < found["medium"]["put_in"] < found["low"]["put_in"]


def test_films_come_nearer_to_those_without_noise(noise: tuple[NoiseResult, Path]) -> None:
    none, median = noise[0].methods
    assert median.fidelity["low"]["psnr"] > none.fidelity["low"]["psnr"]
    assert none.clean == {"psnr": 99.0, "edges_kept": pytest.approx(1.0)}
    assert none.residual_likeness == 0.0
    assert median.milliseconds < 1000


def test_study_json_keeps_its_keys(noise: tuple[NoiseResult, Path], schema_errors: Callable[..., list[str]]) -> None:
    found = read(noise[1])
    assert schema_errors("study", found) == []
    assert set(found["methods"][1]["verdict"]["criteria"]) >= {"clean", "helps", "served"}
    assert "verdict" not in found["methods"][0]
    assert found["verdict"]["words"] in study_text(noise[0], width=200)
    assert "Median" in (noise[1] / "report.html").read_text(encoding="utf-8")


# --- augmentation ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_policies_are_compared_with_none_and_with_the_default(
    films: tuple[Path, Path], tmp_path: Path, schema_errors: Callable[..., list[str]]
) -> None:
    out = tmp_path / "out"
    result = run_study(request(films, out, "augmentation", only=("no-flip", "full"), external=films[1]))
    assert isinstance(result, AugmentationResult)
    assert schema_errors("study", read(out)) == []
    rows = {row["name"]: row for row in read(out)["backbones"]["plain-cnn"]["policies"]}
    assert list(rows) == ["none", "simple", "full", "no-flip"]
    assert rows["none"]["against_none"] == {"in_house": None, "external": None}
    assert rows["simple"]["against_default"]["in_house"] is None
    assert rows["no-flip"]["against_default"]["external"]["n"] == 12
    words = str(result.verdict["words"])
    assert words.startswith("plain-cnn: ")
    assert "Mirroring films" in words
    assert words in study_text(result, width=200)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 20


# --- backbones ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_networks_are_judged_with_their_cost_and_missing_weights_are_told(
    films: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema_errors: Callable[..., list[str]]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    out = tmp_path / "out"
    only = ("frozen", "from scratch")
    result = run_study(request(films, out, "backbones", only=only))
    assert isinstance(result, BackbonesResult)
    assert schema_errors("study", read(out)) == []
    (row,) = result.networks
    assert row.name == "plain-cnn-32-from-scratch"
    assert row.reason == ""
    assert row.best
    assert row.num_weights is not None
    assert row.megabytes == pytest.approx(4 * row.num_weights / 1e6, rel=0.3)
    assert (out / "report.html").exists()
    assert result.verdict["network"] in (None, row.name)  # one epoch on few films may teach nothing
    assert bool(row.kept_random) == any("random weights" in fault for fault in result.faults)
    assert "plain-cnn at 32 px, from scratch" in study_text(result, width=200)
    lost = request(films, tmp_path / "lost", "backbones", only=("frozen",), backbones=("MobileNetV2",))
    with pytest.raises(ConfigError, match="ImageNet weights of MobileNetV2 are not on this computer"):
        run_study(lost)
