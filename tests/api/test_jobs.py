"""The functions of the Python API do what their commands do: folder, model, figures, prediction in four lines."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import typer.main

import hilum
from hilum.cli import app
from hilum.errors import ConfigError, InputError
from hilum.train.config import RunConfig
from hilum.workflows.train import Run

FAST: dict[str, Any] = {
    "preprocessing": {"size_px": 32},
    "fit": {"epochs": 1, "batch_size": 12},
    "weights": "none",
}


def test_folder_model_figures_prediction_in_four_lines(
    tiny_data: Path, trained_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[RunConfig] = []

    def finished(source: Path, folder: Path, config: RunConfig, **_: Any) -> Run:
        assert source == tiny_data
        given.append(config)
        return dataclasses.replace(trained_run, folder=Path(shutil.copytree(trained_run.folder, folder)))

    monkeypatch.setattr("hilum.workflows.train.train_model", finished)
    run = hilum.train(tiny_data, backbone="plain-cnn", **FAST)
    accuracy = run.metrics.test.accuracy.value
    answer = run.model.predict(tiny_data / "test" / "Normal")[0]

    assert (given[0].backbone, given[0].preprocessing.size_px, given[0].fit.epochs) == ("plain-cnn", 32, 1)
    assert accuracy == run.to_dict()["test"]["accuracy"]["value"]
    assert answer.likeliest in answer.probabilities
    assert run.folder.parent.name.startswith("hilum-")
    assert run.folder.name == "train"  # what a comparison calls it


@pytest.mark.parametrize("name", ["audit", "train", "evaluate", "adapt", "compare"])
def test_the_words_are_those_of_the_command_line(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    options = {one[2:].replace("-", "_") for parameter in command.params for one in parameter.opts if one[:2] == "--"}
    words = set(inspect.signature(getattr(hilum, name)).parameters)
    settings = {one.name for one in dataclasses.fields(RunConfig)} | {"set"} if "settings" in words else set()
    assert len(options) > 2
    assert options <= words | settings


def test_an_audit_is_what_the_command_writes(tiny_data: Path, tmp_path: Path) -> None:
    found = hilum.audit(str(tiny_data), out=str(tmp_path / "audit"), ignore=["small-class"])
    assert found.to_dict() == json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert list(found.to_dataframe().get("kind", [])) == [fault.kind for fault in found.faults]
    assert found.figures.num_films == 51
    assert f"51 films, {found.num_errors} error" in repr(found)
    assert '<section class="verdict' in found._repr_html_()
    with pytest.raises(InputError, match="an earlier audit"):
        hilum.audit(tiny_data, out=tmp_path / "audit")


@pytest.mark.slow
def test_models_are_evaluated_and_compared(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, write_model: Callable[..., Path]
) -> None:
    model = hilum.load(tiny_model)
    found = hilum.evaluate(model, tiny_data, out=tmp_path / "found", map={"Normal": "Normal"}, prevalence=0.1)
    assert found.metrics.test.n == len(found.to_dataframe()) == 15
    assert found.to_dict()["test"]["n"] == 15
    assert found.metrics.at_prevalence
    other = write_model(tmp_path / "other.onnx", temperature=3.0)
    compared = hilum.compare(model, other, tiny_data)
    frame = compared.to_dataframe()
    assert {"accuracy", "macro_f1"} <= set(frame["figure"])
    assert frame[frame["figure"] == "accuracy"]["difference"].abs().max() == 0
    assert compared.comparison.verdict in repr(compared)
    assert '<section class="verdict' in compared._repr_html_()
    again = hilum.compare(found, hilum.evaluate(other, tiny_data))
    assert again.to_dict()["parts"]["test"]["n"] == 15
    with pytest.raises(InputError, match="holds no model"):
        hilum.compare(found, other, tiny_data)


def test_a_model_is_adapted(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    ours = hilum.adapt(tiny_model, tiny_data, out=tmp_path / "ours")
    assert ours.to_dict() == json.loads((tmp_path / "ours" / "metrics.json").read_text())
    assert ours.adaptation.n == 36
    assert ours.model.metadata.name == "tiny-adapted"
    assert len(ours.to_dataframe()) == 72
    with pytest.raises(InputError, match="need findings"):
        hilum.adapt(tiny_model, tiny_data, map={"a": "b"}, unlabelled=True)


@pytest.mark.slow
def test_an_own_network_augmentation_and_callback_make_a_model_as_any_other(tiny_data: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []
    ended: list[int] = []

    def darker(films: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seen.append(films.shape)
        return films * np.float32(rng.uniform(0.8, 1.0))

    def network(shape: tuple[int, int, int]) -> keras.Model:
        film = keras.Input(shape)
        return keras.Model(film, keras.layers.Conv2D(4, 5, strides=4, activation="relu")(film))

    class Count(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ended.append(epoch)

    words = {**FAST, "seed": 1}
    run = hilum.cross_validate(
        tiny_data, folds=2, backbone=network, augment=darker, callbacks=[Count()], out=tmp_path / "run", **words
    )
    assert ended == [0, 0, 0]
    assert {shape[1:] for shape in seen} == {(32, 32, 1)}
    assert run.metrics.cross_validation.n == 36
    assert 'backbone = "own"' in (run.folder / "config.toml").read_text()
    film = next((tiny_data / "test" / "Normal").iterdir())
    assert hilum.load(run.folder).predict(film).likeliest in run.model.findings
    given = hilum.train(tiny_data, backbone=network((32, 32, 1)), **words)
    assert given.model.metadata.preprocessing.size_px == 32


def test_what_is_wrong_is_said_before_any_film_is_read(tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean `folds`"):
        hilum.train(tiny_data, fold=5)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="Nothing in it was changed"):
        hilum.train(tiny_data, out=tmp_path, backbone="plain-cnn", **FAST)
    with pytest.raises(InputError, match="it does not exist"):
        hilum.train(tmp_path / "missing")
