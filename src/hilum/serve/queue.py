"""One engine for all requests: a bounded queue of films, a few threads that decode, and micro-batches.

A film is decoded, prepared and answered for in one thread of a pool. Between, it waits with whatever other films are
ready for the engine, which takes them together. Each film of a micro-batch is computed on a core of its own, so the
company it is in does not change its answer.
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
from hilum.serve.httperror import HttpError
from hilum.serve.limits import Limits, where_it_failed
from hilum.serve.metrics import Metrics
from hilum.serve.pictures import display_pictures, heatmap_picture

__all__ = ["FilmQueue", "JudgedFilm", "Pictures", "Upload", "internal_error", "shutting_down", "where_it_failed"]

_LOG = logging.getLogger("hilum.serve")
_LONGEST_WAIT_SECONDS = 60


@dataclass(frozen=True)
class Upload:
    """A film as it was sent: the name the client gave it, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Pictures:
    """Which pictures the answers carry."""

    heatmap: bool = False
    display: bool = False


@dataclass(frozen=True, eq=False)
class JudgedFilm:
    """What became of one film.

    Attributes:
        answer: The answer, or why the film could not be read.
        pictures: Keys that the film's JSON object has beyond those of the answer.
    """

    answer: Answer | UnreadFilm
    pictures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of this film."""
        return self.answer.to_dict() | self.pictures


class FilmQueue:
    """Judges films of many requests with one classifier.

    Args:
        classifier: The model.
        limits: How many films it takes on.
        metrics: Where films and batches are counted.
    """

    def __init__(self, classifier: Classifier, limits: Limits, metrics: Metrics) -> None:
        self._classifier = classifier
        self._limits = limits
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(limits.decoders, thread_name_prefix="hilum-film")
        self._batches = _MicroBatches(classifier, limits.batch_films, metrics)
        self._lock = threading.Lock()
        self._num_films = 0
        self._film_seconds = 0.1  # between two answers while films wait; a running mean

    @property
    def num_films(self) -> int:
        """How many films wait or are being judged."""
        return self._num_films

    def busy(self) -> HttpError:
        """Return the answer to a request that finds no room, with the time after which to try again."""
        wait = math.ceil(self._num_films * self._film_seconds / self._limits.decoders)
        wait = min(max(wait, 1), _LONGEST_WAIT_SECONDS)
        return HttpError(
            503,
            "Busy",
            f"The server has {self._num_films} films to judge and takes no more at present.",
            fix=f"Send the request again in {wait} s.",
            headers={"Retry-After": str(wait)},
        )

    def check_room(self) -> None:
        """Turn a request away before its body is read, where not even one film would fit.

        Raises:
            HttpError: 503.
        """
        if self._num_films >= self._limits.queue_films:
            raise self.busy()

    def submit(self, films: Sequence[Upload], pictures: Pictures) -> list[Future[JudgedFilm]]:
        """Take all films of a request, or none.

        Returns:
            A future a film, in order. One that is cancelled before its film's turn costs nothing.

        Raises:
            HttpError: 503, there is no room for so many.
        """
        with self._lock:
            if self._num_films + len(films) > self._limits.queue_films:
                raise self.busy()
            self._num_films += len(films)
        futures = []
        for film in films:
            future = self._pool.submit(self._judge, film, pictures)
            future.add_done_callback(self._leave)
            futures.append(future)
        return futures

    def close(self) -> None:
        """Finish what was taken, then stop the threads."""
        self._pool.shutdown(wait=True)
        self._batches.close()

    def _leave(self, _: Future[JudgedFilm]) -> None:
        with self._lock:
            self._num_films -= 1

    def _judge(self, film: Upload, pictures: Pictures) -> JudgedFilm:
        started = time.perf_counter()
        more: dict[str, Any] = {}
        answer: Answer | UnreadFilm
        try:
            radiograph = self._classifier.decode(film.data, film.name)
            outputs, position = self._batches.run(self._classifier.preprocess(radiograph))
            answer = self._classifier.answer(film.name, radiograph, outputs, position)
            findings = self._classifier.findings
            if pictures.heatmap:
                more["heatmap"] = heatmap_picture(film.data, radiograph, answer, findings)
            if pictures.display:
                more["display"] = display_pictures(film.data, radiograph, answer, findings)
        except HilumError as error:
            answer, more = UnreadFilm(film.name, error), {}
        except DecodersStopped:
            answer, more = UnreadFilm(film.name, shutting_down()), {}
        except Exception as error:  # noqa: BLE001 - one film must not take the others of its request with it
            _LOG.error("A film failed: %s", where_it_failed(error))
            answer, more = UnreadFilm(film.name, internal_error()), {}
        seconds = time.perf_counter() - started
        self._film_seconds += 0.1 * (seconds - self._film_seconds)
        self._metrics.film(answer, seconds=seconds)
        return JudgedFilm(answer, more)


class _MicroBatches:
    """A thread that gives the engine all films that are ready, several at a time."""

    def __init__(self, classifier: Classifier, max_films: int, metrics: Metrics) -> None:
        self._engine = classifier.engine
        self._max_films = max_films
        self._metrics = metrics
        self._ready: queue.SimpleQueue[tuple[np.ndarray, Future[tuple[Outputs, int]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="hilum-engine", daemon=True)
        self._thread.start()

    def run(self, film: np.ndarray) -> tuple[Outputs, int]:
        """Return the outputs of the batch that a film (1, S, S) went into, and its place there."""
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
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, and the thread must live
            for _, future in batch:
                future.set_exception(error)
            return
        self._metrics.batch(len(batch))
        for position, (_, future) in enumerate(batch):
            future.set_result((outputs, position))


def shutting_down() -> HttpError:
    """Return the answer to what comes too late to be finished."""
    return HttpError(503, "ShuttingDown", "The server is shutting down.", headers={"Retry-After": "5"})


def internal_error() -> HttpError:
    """Return the answer to what should not have happened; it tells nothing of the inside."""
    return HttpError(500, "InternalError", "The server failed on this.", fix="Report it with the server's log.")
