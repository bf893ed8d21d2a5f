"""An ensemble from end to end: one file that every command takes, figures of the sealed file, and clear refusals."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.run_tables import read_splits
from hilum.errors import ConfigError, InconsistentDataset, InputError
from hilum.figures import to_json
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.workflows.compare import compare_runs
from hilum.workflows.ensemble import Ensemble, ensemble_runs

from .shared import rows

WriteRun = Callable[..., Path]
Command = Callable[..., Any]
FILES = {
    *("model.onnx", "config.toml", "splits.csv", "predictions.csv", "metrics.json", "audit.json"),
    *("report.html", "model-card.md"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, write_run: WriteRun) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / f"run-{seed}", seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, runs: list[Path], tiny_data: Path) -> Ensemble:
    """An ensemble of three, judged on its films. Leave its folder as it is."""
    return ensemble_runs(runs, tmp_path_factory.mktemp("made") / "ensemble", data=tiny_data)


def test_an_ensemble_leaves_what_a_run_leaves(made: Ensemble, runs: list[Path]) -> None:
    assert {path.name for path in made.folder.iterdir()} == FILES
    metrics = json.loads((made.folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == to_json(made.metrics)
    assert [metrics[part]["n"] for part in ("test", "cross_validation")] == [15, 36]
    settings = tomllib.loads((made.folder / "config.toml").read_text(encoding="utf-8"))
    assert (settings["method"], settings["mirror"]) == ("average", False)
    hashes = [Classifier(run / "model.onnx").identity["sha256"] for run in runs]
    assert [member["sha256"] for member in settings["members"]] == hashes
    assert len(read_splits(made.folder / "splits.csv")) == 51
    metadata = Classifier(made.folder / "model.onnx").metadata
    assert metadata.ensemble["calibration"]["method"] == "out-of-fold"
    assert metadata.agreement["largest_difference"] < 1e-5
    assert metadata.figures == metrics
    assert (metadata.evaluation["part"], metadata.evaluation["n"]) == ("test", 15)
    assert sum(metadata.evaluation["counts"]["exposure"]) == 15


def test_its_answers_are_the_mean_of_its_members_answers(made: Ensemble, runs: list[Path], tiny_data: Path) -> None:
    ensemble, members = Classifier(made.folder / "model.onnx"), [Classifier(run / "model.onnx") for run in runs]
    for path in sorted(tiny_data.glob("test/*/*"))[:6]:
        alone = np.array([list(member.predict(path).probabilities.values()) for member in members])
        answer = ensemble.predict(path)
        np.testing.assert_allclose(softmax(answer.logits), alone.mean(axis=0), atol=1e-5)
        calibrated = softmax(np.log(alone.mean(axis=0)), ensemble.metadata.temperature)
        np.testing.assert_allclose(list(answer.probabilities.values()), calibrated, atol=1e-5)
        assert answer.disagreement == pytest.approx((alone.max(axis=0) - alone.min(axis=0)).max(), abs=1e-5)


def test_figures_without_the_films_are_those_with_them(made: Ensemble, runs: list[Path], tmp_path: Path) -> None:
    without = ensemble_runs(runs, tmp_path / "ensemble")
    kept, with_films = (Classifier(one.folder / "model.onnx").metadata.evaluation for one in (without, made))
    assert kept["counts"] == {name: with_films["counts"][name] for name in kept["counts"]}
    assert set(with_films["counts"]) - set(kept["counts"]) == {"exposure"}  # the runs keep no film
    for part in ("test", "cross_validation"):
        assert getattr(without.metrics, part).confusion == getattr(made.metrics, part).confusion
    found, wanted = (
        {(row["path"], row["part"]): row for row in rows(folder / "predictions.csv")}
        for folder in (without.folder, made.folder)
    )
    assert found.keys() == wanted.keys()
    for key, row in found.items():
        for column in (name for name in row if name.startswith("probability_")):
            assert float(row[column]) == pytest.approx(float(wanted[key][column]), abs=2e-5)
    header = (runs[0] / "predictions.csv").read_text(encoding="utf-8").splitlines()[0]
    assert (without.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()[0] == header
    assert "computed from the members" in (without.folder / "report.html").read_text(encoding="utf-8")


def test_the_gain_is_told_whichever_way_it_falls(made: Ensemble) -> None:
    gains = made.metrics.ensemble
    scores = {member.name: member.macro_f1.value for member in gains.members}
    best = gains.best_member
    assert best.name == max(scores, key=scores.__getitem__)
    assert best.n == 36
    ensemble = made.metrics.cross_validation
    assert best.right[1] == int(np.trace(ensemble.confusion.counts))
    assert best.macro_f1.value == pytest.approx(ensemble.macro_f1.value - scores[best.name])
    assert "against its best member" in (made.folder / "report.html").read_text(encoding="utf-8")


def test_other_commands_take_it(
    made: Ensemble, runs: list[Path], tiny_data: Path, tmp_path: Path, command: Command
) -> None:
    compared = compare_runs(runs[0], made.folder)
    assert compared.parts["test"].n == 15
    assert compared.parts["cross_validation"].n == 36
    model = made.folder / "model.onnx"
    assert command("evaluate", "--model", model, tiny_data, "--out", tmp_path / "judged").code == 0
    judged = json.loads((tmp_path / "judged" / "metrics.json").read_text(encoding="utf-8"))
    assert judged["test"]["confusion"] == to_json(made.metrics.test)["confusion"]
    film = sorted(tiny_data.glob("test/*/*"))[0]
    answers = {
        name: command("predict", "--model", model, film, "--format", name).out for name in ("jsonl", "csv", "table")
    }
    apart = json.loads(answers["jsonl"])["disagreement"]
    assert 0 < apart <= 1
    assert float(next(csv.DictReader(answers["csv"].splitlines()))["disagreement"]) == apart
    assert "apart" in answers["table"]
    assert f"{100 * apart:.1f} %" in answers["table"]


def test_a_stack(runs: list[Path], tiny_data: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "ensemble"
    done = command("ensemble", *runs, "--out", out, "--method", "stack", "--data", tiny_data)
    assert done.code == 0
    assert "Against its best member" in done.out
    metadata = Classifier(out / "model.onnx").metadata
    assert metadata.ensemble["method"] == "stack"
    assert "stack" in metadata.ensemble


def test_the_folds_of_a_run(runs: list[Path], tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="answers of a run's folds on test films are in no file"):
        ensemble_runs(runs[:1], tmp_path / "folds")
    folds = ensemble_runs(runs[:1], tmp_path / "folds", data=tiny_data)
    assert folds.metrics.ensemble.best_member is None
    assert "stand-in" in (tmp_path / "folds" / "report.html").read_text(encoding="utf-8")


def test_a_member_of_another_size_is_measured_as_it_works_inside(
    runs: list[Path], tiny_graph: Callable[[], Any], tiny_data: Path, tmp_path: Path, write_run: WriteRun
) -> None:
    graph = tiny_graph()
    for port in (*graph.graph.input, *graph.graph.output):
        for axis in port.type.tensor_type.shape.dim[2:]:
            axis.dim_value //= 2
    preprocessing = {"size_px": 16, "window_percentiles": [0.5, 99.5], "equalize": True}
    small = write_run(tmp_path / "small", seed=5, graph=graph, preprocessing=preprocessing)
    with pytest.raises(InputError, match="another size_px"):
        ensemble_runs([runs[0], small], tmp_path / "ensemble")
    made = ensemble_runs([runs[0], small], tmp_path / "ensemble", data=tiny_data)
    classifier = Classifier(made.folder / "model.onnx")
    film = classifier.preprocess(classifier.read(next(iter(sorted(tiny_data.glob("test/*/*"))))))
    assert np.asarray(classifier.engine.run(film[np.newaxis]).members).shape == (1, 2, 3)
    assert classifier.metadata.preprocessing.size_px == 32
    assert made.metrics.cross_validation.n == 36
    assert "reduced from 32 px" in (made.folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_earlier_results_are_not_lost(made: Ensemble, runs: list[Path], tmp_path: Path, command: Command) -> None:
    before = (made.folder / "model.onnx").read_bytes()
    refused = command("ensemble", *runs, "--out", made.folder)
    assert refused.code == 2
    assert "holds a finished ensemble" in refused.err
    with pytest.raises(InputError, match="holds no ensemble"):
        ensemble_runs(runs[1:], runs[0])
    assert (made.folder / "model.onnx").read_bytes() == before
    assert (runs[0] / "model.onnx").exists()
    again = ensemble_runs(runs[:2], tmp_path / "again")
    assert ensemble_runs(runs, again.folder, overwrite=True).folder == again.folder


def test_other_films_and_methods_are_refused(runs: list[Path], tmp_path: Path, write_film: Callable[..., Path]) -> None:
    for finding in ("Normal", "Covid"):
        write_film(tmp_path / "films" / finding / "1.png")
    with pytest.raises(InconsistentDataset, match="is not the data set of these runs"):
        ensemble_runs(runs, tmp_path / "ensemble", data=tmp_path / "films")
    with pytest.raises(ConfigError, match="`stacked`") as caught:
        ensemble_runs(runs, tmp_path / "ensemble", method="stacked")
    assert "Did you mean `stack`?" in caught.value.fix
    assert not (tmp_path / "ensemble").exists()
