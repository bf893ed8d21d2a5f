"""`hilum adapt`: films that are left out, what is written, and a model that every command takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.fingerprint import fingerprint, training_hashes
from hilum.data.run_tables import read_predictions
from hilum.errors import InconsistentDataset, InputError
from hilum.film.decode import decode
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import read_model_file
from hilum.run.out_of_distribution import fit_detector
from hilum.workflows.adapt import adapt_model
from hilum.workflows.local_films import AdaptOptions


@pytest.fixture
def listed(tiny_data: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV of films of the small data set, by (finding, films); further columns by name from the finding."""

    def write(name: str, counts: dict[str, int], **columns: dict[str, str]) -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(["path", "finding", *columns])
            for finding, count in counts.items():
                for film in sorted((tiny_data / "train" / finding).iterdir())[:count]:
                    writer.writerow([film, finding, *(values[finding] for values in columns.values())])
        return path

    return write


def test_an_adapted_model_is_a_model_like_any_other(
    tiny_data: Path, write_model: Callable[..., Path], tmp_path: Path, schema_errors: Callable[..., list[str]]
) -> None:
    rng = np.random.default_rng(0)
    bank = fit_detector(rng.random((120, 4)), rng.random((30, 4)), rng.normal(size=(30, 3)))
    assert bank is not None
    model = write_model(tmp_path / "model.onnx", gate=bank.to_dict())
    made = adapt_model(model, tiny_data, tmp_path / "run")
    found = made.metrics.adaptation
    assert (found.n, found.left_out.test, found.num_films) == (36, 15, dict.fromkeys(found.num_films, 12))
    assert found.before.figures.n == found.after.figures.n == 36
    assert found.after.loss <= found.before.loss
    parent, metadata = read_model_file(model), read_model_file(tmp_path / "run").metadata
    assert (metadata.name, found.parent.sha256) == ("tiny-adapted", parent.sha256)
    assert metadata.temperature == found.temperature[1]
    assert {limit["method"] for limit in metadata.conformal.values()} == {"cross"}
    assert metadata.gate["n"] == 36
    assert metadata.gate["bank"] == parent.metadata.gate["bank"]
    assert metadata.adaptation["parent"]["name"] == "tiny"
    assert "## Adaptation" in metadata.model_card
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["cross_validation"] == metrics["adaptation"]["after"]["figures"]
    assert schema_errors("metrics", metrics) == []
    assert schema_errors("model", json.loads(metadata.to_json())) == []
    saved = read_predictions(tmp_path / "run")
    assert {part: len(films) for part, films in saved.parts.items()} == {"cross_validation": 36, "as_shipped": 36}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "tiny adapted to phantoms" in page
    film = next((tiny_data / "test" / "Normal").iterdir())
    shipped, adapted = Classifier(model).predict(film), Classifier(tmp_path / "run").predict(film)
    constants = np.array(list(found.constants.values()))
    if found.level != "linear":
        expected = softmax(shipped.logits + constants, found.temperature[1])
        assert list(adapted.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert Classifier(model).identity["sha256"] == parent.sha256  # it was not changed


def test_films_that_the_model_was_trained_on_are_left_out(
    tiny_data: Path, write_model: Callable[..., Path], tmp_path: Path, listed: Callable[..., Path]
) -> None:
    films = sorted((tiny_data / "train" / "Normal").iterdir())
    read = [(film.read_bytes(), film) for film in films]
    hashes = training_hashes([fingerprint(data, decode(data, name=film.name)) for data, film in read])
    model = write_model(tmp_path / "model.onnx", training_data={"dhash256": hashes})
    data = listed("films.csv", {"Normal": 12, "Covid-19": 12, "Viral Pneumonia": 12})
    made = adapt_model(model, data, tmp_path / "run")
    assert (made.metrics.adaptation.n, made.metrics.adaptation.left_out.trained_on) == (24, 12)
    assert any("the model was trained on them" in note for note in made.notes)
    assert made.metrics.adaptation.lacking == ("Normal",)
    with pytest.raises(InconsistentDataset, match=r"0 films of .* can be used; expected at least 20"):
        adapt_model(tmp_path / "run", data, tmp_path / "twice")  # it has learned from the others too


def test_findings_of_different_sources_are_refused_unless_asked_for(
    tiny_model: Path, tmp_path: Path, listed: Callable[..., Path]
) -> None:
    counts = {"Normal": 12, "Covid-19": 12}
    data = listed("films.csv", counts, source={"Normal": "here", "Covid-19": "there"})
    with pytest.raises(InconsistentDataset, match="come from different sources"):
        adapt_model(tiny_model, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    made = adapt_model(tiny_model, data, tmp_path / "run", options=AdaptOptions(ignore=["class-by-source"]))
    assert any("may learn where films come from" in note for note in made.notes)
    with pytest.raises(InputError, match="is no kind of fault"):
        adapt_model(tiny_model, data, tmp_path / "other", options=AdaptOptions(ignore=["class-by-sources"]))


def test_films_of_one_finding_set_its_constant_alone(
    write_model: Callable[..., Path], write_film: Callable[..., Path], tmp_path: Path
) -> None:
    for seed in range(24):
        write_film(tmp_path / "films" / "Normal" / f"{seed}.png", seed=seed)
    model = write_model(tmp_path / "model.onnx")
    made = adapt_model(model, tmp_path / "films", tmp_path / "run")
    found = made.metrics.adaptation
    assert found.temperature[0] == found.temperature[1]
    assert set(np.flatnonzero(list(found.constants.values()))) <= {0}
    assert found.after.figures.accuracy.value >= found.before.figures.accuracy.value
    assert "stays unknown" in made.notes[-1]
    assert "How many films of other findings are found is unknown" in (tmp_path / "run" / "report.html").read_text()
    shipped, metadata = read_model_file(model).metadata, read_model_file(tmp_path / "run").metadata
    assert metadata.conformal["Covid-19"] == shipped.conformal["Covid-19"]
    assert metadata.operating_thresholds["Covid-19"] >= shipped.operating_thresholds["Covid-19"]


def test_sets_promise_ninety_per_cent_or_what_is_asked_for(
    write_model: Callable[..., Path], tmp_path: Path, listed: Callable[..., Path]
) -> None:
    model = write_model(tmp_path / "model.onnx", coverage=0.95)
    data = listed("films.csv", {"Normal": 12, "Covid-19": 12})
    sizes = []
    for share, options in ((0.9, AdaptOptions()), (0.6, AdaptOptions(coverage=0.6))):
        made = adapt_model(model, data, tmp_path / str(share), options=options)
        assert read_model_file(made.folder).metadata.coverage == share
        sizes.append(made.metrics.adaptation.after.mean_set_size)
        assert made.metrics.adaptation.coverage == (0.95, share)
        assert f"coverage = {share}" in (made.folder / "config.toml").read_text()
    assert sizes[0] > sizes[1]
    with pytest.raises(InputError, match=r"0\.99 needs at least 99 films; received 24"):
        adapt_model(model, data, tmp_path / "more", options=AdaptOptions(coverage=0.99))
    with pytest.raises(InputError, match=r"between 0\.5 and 0\.99; received 95"):
        AdaptOptions(coverage=95)


@pytest.mark.slow
def test_results_of_others_are_not_replaced(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    adapt_model(tiny_model, tiny_data, out)
    with pytest.raises(InputError, match="holds an adapted model"):
        adapt_model(tiny_model, tiny_data, out)
    adapt_model(tiny_model, tiny_data, out, options=AdaptOptions(overwrite=True))
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        adapt_model(tiny_model, tiny_data, other, options=AdaptOptions(overwrite=True))


def test_the_command_says_before_and_after(
    command: Callable[..., Any], tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    done = command("adapt", "--model", tiny_model, tiny_data, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert "as shipped" in done.out
    assert "15 films. `hilum evaluate` can judge the model on them." in done.err
