"""The queue of films of the server: a limited number of films, a pool of threads, and micro-batches for the engine.

One thread decodes and preprocesses a film and makes its answer. In between, the engine computes all films that are
ready in one micro-batch. Each film has a core of its own, so the other films do not change its answer.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.errors import HilumError
from hilum.film.pool import DecodersStopped
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier
from hilum.run.engine import Outputs
from hilum.serve.httperror import HttpError, internal_error, shutting_down
from hilum.serve.limits import Limits
from hilum.serve.log import where_it_failed
from hilum.serve.metrics import Metrics
from hilum.serve.pictures import display_pictures, heatmap_picture
from hilum.serve.served_model import ServedModel

__all__ = ["FilmQueue", "JudgedFilm", "Pictures", "Upload"]

_LOG = logging.getLogger("hilum.serve")
_LONGEST_WAIT_SECONDS = 60


@dataclass(frozen=True)
class Upload:
    """A film as it was sent.

    Attributes:
        name: The file's name.
        data: Its bytes.
    """

    name: str
    data: bytes


@dataclass(frozen=True)
class Pictures:
    """Which pictures the answers carry.

    Attributes:
        heatmap: The film with its heat map.
        display: The film, and a heat map for each finding.
    """

    heatmap: bool = False
    display: bool = False


@dataclass(frozen=True, eq=False)
class JudgedFilm:
    """One film with its answer.

    Attributes:
        answer: The answer, or why the film could not be read.
        pictures: Additional keys of the film's JSON object.
    """

    answer: Answer | UnreadFilm
    pictures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of this film."""
        return self.answer.to_dict() | self.pictures


class FilmQueue:
    """Judges films of many requests with one model or several.

    Args:
        models: The models.
        limits: The limits of the server.
        metrics: Counts films and batches.
    """

    def __init__(self, models: Sequence[ServedModel], limits: Limits, metrics: Metrics) -> None:
        self._models = models
        self._limits = limits
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(limits.decoders, thread_name_prefix="hilum-film")
        self._batches = {model.name: _MicroBatches(model.classifier, limits.batch_films, metrics) for model in models}
        self._lock = threading.Lock()
        self._num_films = 0
        self._film_seconds = 0.1  # time to judge a film; a running mean

    @property
    def num_films(self) -> int:
        """How many films wait or are being judged."""
        return self._num_films

    def busy(self) -> HttpError:
        """Return the error for a request that does not fit into the queue, with the time to wait."""
        wait = math.ceil(self._num_films * self._film_seconds / self._limits.decoders)
        wait = min(max(wait, 1), _LONGEST_WAIT_SECONDS)
        return HttpError(
            503,
            "Busy",
            f"The server has {self._num_films} films to judge and cannot accept more now.",
            fix=f"Send the request again in {wait} s.",
            headers={"Retry-After": str(wait)},
        )

    def check_room(self) -> None:
        """Raise HttpError 503 if the queue is full; call it before the body is read."""
        if self._num_films >= self._limits.queue_films:
            raise self.busy()

    def submit(
        self, films: Sequence[Upload], pictures: Pictures, model: ServedModel | None = None
    ) -> list[Future[JudgedFilm]]:
        """Add all films of a request to the queue, or none; the first model judges them unless another is given.

        Returns:
            A future for each film, in order. It can be cancelled until the film is started.

        Raises:
            HttpError: 503, the films do not fit into the queue.
        """
        with self._lock:
            if self._num_films + len(films) > self._limits.queue_films:
                raise self.busy()
            self._num_films += len(films)
        futures = []
        for film in films:
            future = self._pool.submit(self._judge, film, pictures, model or self._models[0])
            future.add_done_callback(self._leave)
            futures.append(future)
        return futures

    def close(self) -> None:
        """Judge the films in the queue, then stop the threads."""
        self._pool.shutdown(wait=True)
        for batches in self._batches.values():
            batches.close()

    def _leave(self, _: Future[JudgedFilm]) -> None:
        with self._lock:
            self._num_films -= 1

    def _judge(self, film: Upload, pictures: Pictures, model: ServedModel) -> JudgedFilm:
        started, classifier = time.perf_counter(), model.classifier
        more: dict[str, Any] = {}
        answer: Answer | UnreadFilm
        try:
            radiograph = classifier.decode(film.data, film.name)
            outputs, position = self._batches[model.name].run(classifier.preprocess(radiograph))
            answer = classifier.answer(film.name, radiograph, outputs, position)
            findings = classifier.findings
            if pictures.heatmap:
                more["heatmap"] = heatmap_picture(film.data, radiograph, answer, findings)
            if pictures.display:
                more["display"] = display_pictures(film.data, radiograph, answer, findings)
        except HilumError as error:
            answer, more = UnreadFilm(film.name, error), {}
        except DecodersStopped:
            answer, more = UnreadFilm(film.name, shutting_down()), {}
        except Exception as error:  # noqa: BLE001 - one film must not fail the others of its request
            _LOG.error("A film failed: %s", where_it_failed(error))
            answer, more = UnreadFilm(film.name, internal_error()), {}
        seconds = time.perf_counter() - started
        self._film_seconds += 0.1 * (seconds - self._film_seconds)
        self._metrics.film(answer, seconds=seconds)
        if isinstance(answer, Answer):
            model.counter.add(answer)
        return JudgedFilm(answer, more)


class _MicroBatches:
    """A thread that passes all films that are ready to the engine, several at a time."""

    def __init__(self, classifier: Classifier, max_films: int, metrics: Metrics) -> None:
        self._engine = classifier.engine
        self._max_films = max_films
        self._metrics = metrics
        self._ready: queue.SimpleQueue[tuple[np.ndarray, Future[tuple[Outputs, int]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="hilum-engine", daemon=True)
        self._thread.start()

    def run(self, film: np.ndarray) -> tuple[Outputs, int]:
        """Return the outputs of the batch with a film (1, S, S), and the film's position in it."""
        future: Future[tuple[Outputs, int]] = Future()
        self._ready.put((film, future))
        return future.result()

    def close(self) -> None:
        self._ready.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._ready.get()) is not None:
            batch, last = [first], False
            while len(batch) < self._max_films:
                try:
                    more = self._ready.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._run(batch)
            if last:
                return

    def _run(self, batch: list[tuple[np.ndarray, Future[tuple[Outputs, int]]]]) -> None:
        try:
            outputs = self._engine.run(np.stack([film for film, _ in batch]))  # (N, 1, S, S)
        except Exception as error:  # noqa: BLE001 - the waiting threads raise it; this thread must live
            for _, future in batch:
                future.set_exception(error)
            return
        self._metrics.batch(len(batch))
        for position, (_, future) in enumerate(batch):
            future.set_result((outputs, position))
