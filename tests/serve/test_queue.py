"""The queue: same answers in any company, a bound that holds, and a thread that survives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier
from hilum.serve.httperror import HttpError
from hilum.serve.limits import Limits
from hilum.serve.metrics import Metrics
from hilum.serve.queue import FilmQueue, Pictures, Upload
from hilum.serve.served_model import serve_models

from .conftest import HeldClassifier


@pytest.fixture
def films(write_film: Callable[..., Path], tmp_path: Path) -> list[Path]:
    findings = ("Normal", "Covid-19", "Viral Pneumonia")
    return [write_film(tmp_path / f"{seed}.png", seed=seed, finding=findings[seed % 3]) for seed in range(12)]


@pytest.fixture
def make_queue(tiny_classifier: Classifier) -> Iterator[Callable[..., FilmQueue]]:
    made: list[FilmQueue] = []

    def make(classifier: Any = None, **limits: Any) -> FilmQueue:
        models = serve_models([classifier or tiny_classifier], Limits(**limits))
        made.append(FilmQueue(models, Limits(**limits), Metrics({"name": "tiny"})))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def test_company_does_not_change_an_answer(
    make_queue: Callable[..., FilmQueue], tiny_classifier: Classifier, films: list[Path]
) -> None:
    held = HeldClassifier(tiny_classifier)
    queue = make_queue(held, decoders=8)
    futures = queue.submit([Upload(str(path), path.read_bytes()) for path in films], Pictures())
    held.go.set()
    for path, future in zip(films, futures, strict=True):
        answer, alone = future.result().answer, tiny_classifier.predict(path)
        assert isinstance(answer, Answer)
        assert answer.to_dict() == alone.to_dict()
        assert np.array_equal(answer.logits, alone.logits)


def test_what_does_not_fit_is_told_when_to_come_back(
    make_queue: Callable[..., FilmQueue], tiny_classifier: Classifier, films: list[Path]
) -> None:
    held = HeldClassifier(tiny_classifier)
    queue = make_queue(held, queue_films=4, decoders=2)
    film = Upload("film.png", films[0].read_bytes())
    futures = queue.submit([film] * 3, Pictures())
    queue.check_room()
    with pytest.raises(HttpError) as refused:
        queue.submit([film] * 2, Pictures())
    assert refused.value.status == 503
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    futures += queue.submit([film], Pictures())
    with pytest.raises(HttpError):
        queue.check_room()
    held.go.set()
    assert all(isinstance(future.result(30).answer, Answer) for future in futures)
    queue.close()
    assert queue.num_films == 0


def test_a_film_that_is_cancelled_before_its_turn_leaves_the_queue(
    make_queue: Callable[..., FilmQueue], tiny_classifier: Classifier, films: list[Path]
) -> None:
    held = HeldClassifier(tiny_classifier)
    queue = make_queue(held, decoders=1)
    futures = queue.submit([Upload("film.png", films[0].read_bytes())] * 5, Pictures())
    assert [future.cancel() for future in futures[1:]].count(True) == 4
    assert queue.num_films == 1
    held.go.set()
    futures[0].result(30)


def test_a_failure_is_one_film_s_own_and_its_name_stays_out_of_the_log(
    make_queue: Callable[..., FilmQueue],
    tiny_classifier: Classifier,
    films: list[Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(HeldClassifier):
        def decode(self, data: bytes, name: str) -> Any:
            if name.startswith("Doe"):
                raise RuntimeError(f"cannot do {name}")
            return self._classifier.decode(data, name)

    queue = make_queue(Broken(tiny_classifier))
    data = films[0].read_bytes()
    with caplog.at_level(logging.DEBUG):
        futures = queue.submit(
            [Upload("Doe^Jane.png", data), Upload("notes.txt", b"no film"), Upload("good.png", data)], Pictures()
        )
        failed, unread, good = (future.result(30) for future in futures)
    assert isinstance(failed.answer, UnreadFilm)
    assert failed.to_dict()["error"]["type"] == "InternalError"
    assert unread.to_dict()["error"]["type"] == "UndecodableFilm"
    assert good.to_dict()["accepted"] in (True, False)
    assert "RuntimeError" in caplog.text
    assert "Doe" not in caplog.text


def test_the_engine_thread_survives_a_film_it_cannot_run(
    make_queue: Callable[..., FilmQueue], tiny_classifier: Classifier, films: list[Path]
) -> None:
    class Wrong(HeldClassifier):
        def preprocess(self, radiograph: Any) -> np.ndarray:
            film = self._classifier.preprocess(radiograph)
            return film[:, :5] if self.wrong else film

        wrong = True

    classifier = Wrong(tiny_classifier)
    classifier.go.set()
    queue = make_queue(classifier)
    film = Upload("film.png", films[0].read_bytes())
    assert isinstance(queue.submit([film], Pictures())[0].result(30).answer, UnreadFilm)
    classifier.wrong = False
    assert isinstance(queue.submit([film], Pictures())[0].result(30).answer, Answer)
