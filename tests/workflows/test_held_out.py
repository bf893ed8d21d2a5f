"""Sources held out: each judged by a model that saw none of it, resumed where a run was stopped, told in the report."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.console import Console
from hilum.data.split import read_splits
from hilum.errors import InconsistentDataset
from hilum.figures import to_json
from hilum.run.classifier import Classifier
from hilum.train.config import RunConfig, read_config
from hilum.workflows import held_out
from hilum.workflows.compare import compare_runs
from hilum.workflows.train import train_model

FIGURES = ["n", "accuracy", "balanced_accuracy", "macro_f1", "auroc_macro", "ece", "per_finding", "confusion"]


class Listening(Console):
    """A console that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def config(tiny_toml: Path) -> RunConfig:
    return read_config(tiny_toml)


@pytest.fixture
def manifest(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    """Three sources: two with Normal and Covid-19, one with Normal and Tuberculosis."""
    lines = ["path,finding,source"]
    for source, findings in (("a", ("Normal", "Covid-19")), ("b", ("Normal", "Covid-19")), ("c", ("Normal", "TB"))):
        for finding in findings:
            for number in range(10):
                path = tmp_path / "set" / source / finding / f"{number}.png"
                write_film(path, seed=len(lines), finding=finding.replace("TB", "Viral Pneumonia"))
                lines.append(f"{source}/{finding}/{number}.png,{finding},{source}")
    (tmp_path / "set" / "all.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "set" / "all.csv"


@pytest.mark.slow
def test_sources_are_held_out_and_a_stopped_run_goes_on_with_the_next(
    manifest: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, console = tmp_path / "run", Listening()
    config = dataclasses.replace(config, by_source=True, fit=dataclasses.replace(config.fit, epochs=1))

    def stop(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(held_out, "source_facts", stop)
        with pytest.raises(KeyboardInterrupt):
            train_model(manifest, out, config)
    assert {path.name for path in (out / "folds").iterdir()} == {"source-1.onnx"}
    metrics = train_model(manifest, out, config, console=console).metrics
    begun = [line for line in console.lines if line.strip().startswith("epoch 0")]
    assert len(begun) == 2, console.lines  # of the second and the third source

    splits = {row.path: row.split for row in read_splits(out / "splits.csv")}
    answers = [row for row in rows(out / "predictions.csv") if row["part"] == "leave_one_source_out"]
    assert list(metrics["leave_one_source_out"]) == ["a", "b", "c"]
    for number, source in enumerate("abc", start=1):
        metadata = Classifier(out / "folds" / f"source-{number}.onnx").metadata
        figures = metrics["leave_one_source_out"][source]
        judged = [row for row in answers if row["path"].startswith(f"{source}/")]
        assert sorted(figures) == sorted(FIGURES)
        assert figures["n"] == len(judged)
        assert all(splits[row["path"]] != "test" for row in judged)
        right = sum(row["predicted"] == row["finding"] for row in judged)
        assert figures["accuracy"]["value"] == pytest.approx(right / len(judged))
        learnt = sum(metadata.training_data["num_films"].values())
        untaught = "c/TB/" if source == "c" else "-"
        open_films = [path for path in splits if splits[path] != "test" and not path.startswith(untaught)]
        assert learnt == sum(not path.startswith(f"{source}/") for path in open_films)
    assert Classifier(out / "folds" / "source-3.onnx").findings == ("Normal", "Covid-19")
    assert metrics["left_out_sources"]["c"]["unknown_findings"]["Tuberculosis"]["n"] == sum(
        path.startswith("c/TB/") and split != "test" for path, split in splits.items()
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Sources held out" in page
    assert "Held out: c" in page
    assert Classifier(out / "model.onnx").metadata.figures == to_json(metrics)
    compared = compare_runs(out, out)  # the new part does not disturb
    assert "leave_one_source_out" not in compared["parts"]


def test_sets_without_sources_are_told_before_anything_is_trained(
    tiny_data: Path, config: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(InconsistentDataset, match="have no source"):
        train_model(tiny_data, tmp_path / "run", dataclasses.replace(config, by_source=True))
    assert not (tmp_path / "run").exists()
