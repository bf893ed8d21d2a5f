"""Several models of one server: their names, and which one answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hilum
from hilum.run.classifier import Classifier
from hilum.serve.httperror import HttpError
from hilum.serve.limits import Limits
from hilum.serve.served_model import model_named, serve_models

WriteModel = Callable[..., Path]


@pytest.fixture
def other_model(write_model: WriteModel, tmp_path: Path) -> Path:
    return write_model(tmp_path / "other.onnx", name="other", temperature=3.0)


def test_names_are_of_one_model_each(tiny_classifier: Classifier) -> None:
    models = serve_models([tiny_classifier] * 3, Limits())
    name = tiny_classifier.metadata.name
    assert [model.name for model in models] == [name, f"{name}-2", f"{name}-3"]
    assert model_named(models, None) is models[0]
    assert model_named(models, f"{name}-3") is models[2]
    with pytest.raises(HttpError, match="no model `nmae`") as error:
        model_named(models, "nmae")
    assert f"{name}-2" in error.value.fix


def test_a_request_chooses_its_model(
    start_server: Callable[..., Any], tiny_classifier: Classifier, other_model: Path, write_film: Any, tmp_path: Path
) -> None:
    server = start_server("--model", str(other_model), "--root-path", "/hilum", "--counts", str(tmp_path / "counts"))
    film, other = write_film(tmp_path / "film.png"), Classifier(other_model)
    expected = {None: tiny_classifier.predict(film), "other": other.predict(film)}
    for name, answer in expected.items():
        said = hilum.Client(f"{server.url}/hilum", model=name).predict(film)
        assert said.probabilities == pytest.approx(answer.probabilities, abs=1e-6)
        assert said.model == answer.model
    assert expected[None].probabilities != pytest.approx(expected["other"].probabilities, abs=1e-3)
    with pytest.raises(HttpError, match="no model `another`"):
        hilum.Client(server.url, model="another").predict(film)
    assert server.stop() == 0
    assert len(list((tmp_path / "counts").glob("*.json"))) == 2
    assert f"hilum serves {tiny_classifier.metadata.name}, other on" in server.log


def test_the_card_names_all_models(open_client: Callable[..., Any], tiny_classifier: Classifier) -> None:
    client = open_client()
    assert client.get("/v1/model").json()["models"] == [tiny_classifier.metadata.name]
    assert client.get("/v1/model?model=none").status_code == 422
