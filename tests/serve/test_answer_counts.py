"""Counts of answers: in memory for Prometheus, by day in a folder, and compared with the evaluation."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.figures import to_json
from hilum.judge.drift import count_answers
from hilum.run.classifier import Classifier
from hilum.serve.answer_counts import AnswerCounter

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")


@pytest.fixture
def judging(write_model: Callable[..., Path], tmp_path: Path) -> Classifier:
    """A classifier that keeps the answers of its evaluation."""
    shares = np.random.default_rng(0).dirichlet((3.0, 1.0, 1.0), 60)
    kept = to_json(count_answers(shares, [1] * 60, [True] * 60, FINDINGS))
    return Classifier(write_model(tmp_path / "kept.onnx", evaluation={"part": "test", **kept}), num_threads=1)


def test_a_counter_goes_on_after_a_restart(
    judging: Classifier, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    answer = judging.predict(write_film(tmp_path / "film.png"))
    for _ in range(2):
        counter = AnswerCounter(judging, tmp_path / "counts")
        for _ in range(30):
            counter.add(answer)
        assert counter.total.n == 30
        counter.write()  # the server stops
    assert counter.recent().n == 60
    found = counter.drift()
    assert found is not None
    assert (found.n, found.reference_n, found.is_different) == (60, 60, True)
    assert counter.drift() is found  # nothing new came
    (file,) = (tmp_path / "counts").glob("*.json")
    assert "film" not in json.dumps(json.loads(file.read_text()))
    text = counter.metrics_text("tiny")
    (line,) = re.findall(rf'.*quantity="likeliest",bin="{answer.likeliest}".*', text)
    assert line.endswith(" 30")
    assert 'quantity="confidence",bin="0.995-0.999"' in text
    assert re.search(r'quantity="exposure",bin="0\.\d+-0\.\d+"} 30\n', text)


def test_a_model_without_an_evaluation_is_counted_too(
    tiny_classifier: Classifier, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    counter = AnswerCounter(tiny_classifier)
    counter.add(tiny_classifier.predict(write_film(tmp_path / "film.png")))
    assert (counter.drift(), counter.recent().n) == (None, 1)


def test_a_folder_that_fails_is_said_once_and_stops_nothing(
    tiny_classifier: Classifier, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "counts").write_text("a file")
    said: list[str] = []
    counter = AnswerCounter(tiny_classifier, tmp_path / "counts", said.append)
    for _ in range(2):
        counter.add(tiny_classifier.predict(write_film(tmp_path / "film.png")))
        counter.write()
    assert counter.total.n == 2
    assert len(said) == 1
    assert said[0].startswith("Answers are not counted by day: ")
    (tmp_path / "counts").unlink()
    assert counter.recent().n == 2  # what could not be written is not lost


def test_the_service_says_whether_recent_films_differ(
    open_client: Callable[..., Any], judging: Classifier, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    client = open_client(classifier=judging)
    film = write_film(tmp_path / "film.png").read_bytes()
    few = client.get("/v1/drift").json()
    assert (few["is_different"], few["n"]) == (None, 0)
    assert few["lines"][0].startswith("There are too few films to say: 0 films since the start, 60 to compare with.")
    assert client.post("/v1/predictions", files=[("files", ("f.png", film))] * 26).status_code == 200
    assert client.post("/v1/predictions", files=[("files", ("f.png", film))] * 26).status_code == 200
    much = client.get("/v1/drift").json()
    assert (much["is_different"], much["n"], much["reference_n"]) == (True, 52, 60)
    assert much["lines"][0].startswith("The films since the start are answered differently.")
    assert 'quantity="refused",bin="no"} ' in client.get("/metrics").text
    silent = open_client().get("/v1/drift").json()
    assert silent["is_different"] is None
    assert "does not say how the model answered" in silent["lines"][0]


def test_counts_are_written_after_some_seconds_and_at_the_end(
    tiny_classifier: Classifier, write_film: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, folder = tiny_classifier.predict(write_film(tmp_path / "film.png")), tmp_path / "counts"
    counter = AnswerCounter(tiny_classifier, folder)
    counter.add(answer)
    counter.add(answer)
    assert not folder.exists()  # not for every film
    counter.write()
    (file,) = folder.glob("*.json")
    assert json.loads(file.read_text())["n"] == 2
    monkeypatch.setattr("hilum.serve.answer_counts._WRITE_SECONDS", 0.01)
    counter.add(answer)
    until = time.monotonic() + 30
    while json.loads(file.read_text())["n"] < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert json.loads(file.read_text())["n"] == 3
