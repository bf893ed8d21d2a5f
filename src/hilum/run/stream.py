"""Many films: decoded in threads while the engine computes, answered in the order they came, in flat memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hilum.errors import HilumError
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier
from hilum.run.engine import PendingOutputs

__all__ = ["Judged", "judge_films"]

_BATCH = 8
_BATCHES_IN_FLIGHT = 2


class Judged(NamedTuple):
    """An answer with the film it is about; the film is None where it could not be read."""

    answer: Answer | UnreadFilm
    radiograph: Radiograph | None


class _Read(NamedTuple):
    name: str
    radiograph: Radiograph | None
    pixels: np.ndarray | None  # (1, S, S)
    error: HilumError | None


def judge_films(classifier: Classifier, paths: Iterable[Path], *, num_threads: int | None = None) -> Iterator[Judged]:
    """Judge films in order.

    A film that cannot be read comes out as `UnreadFilm` at its place; the others are not touched by it. Paths are
    taken as they are needed, so a generator over a million files is fine.

    Args:
        classifier: The model.
        paths: Files.
        num_threads: Decoding threads; one a core when not given.

    Yields:
        One `Judged` a path.
    """
    num_threads = num_threads or os.cpu_count() or 1
    waiting: deque[tuple[list[_Read], PendingOutputs | None]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        for batch in _batches(_read_ahead(pool, classifier, paths, window=4 * _BATCH)):
            readable = [film.pixels for film in batch if film.pixels is not None]
            waiting.append((batch, classifier.engine.start(np.stack(readable)) if readable else None))
            if len(waiting) > _BATCHES_IN_FLIGHT:
                yield from _finished(classifier, *waiting.popleft())
        while waiting:
            yield from _finished(classifier, *waiting.popleft())


def _read_one(classifier: Classifier, path: Path) -> _Read:
    try:
        radiograph = classifier.read(path)
        return _Read(str(path), radiograph, classifier.preprocess(radiograph), None)
    except HilumError as error:
        return _Read(str(path), None, None, error)


def _read_ahead(
    pool: ThreadPoolExecutor, classifier: Classifier, paths: Iterable[Path], *, window: int
) -> Iterator[_Read]:
    remaining = iter(paths)
    reading: deque[Future[_Read]] = deque(
        pool.submit(_read_one, classifier, path) for path in islice(remaining, window)
    )
    try:
        while reading:
            film = reading.popleft().result()
            reading.extend(pool.submit(_read_one, classifier, path) for path in islice(remaining, 1))
            yield film
    finally:
        for future in reading:
            future.cancel()


def _batches(films: Iterator[_Read]) -> Iterator[list[_Read]]:
    while batch := list(islice(films, _BATCH)):
        yield batch


def _finished(classifier: Classifier, batch: list[_Read], pending: PendingOutputs | None) -> Iterator[Judged]:
    outputs = pending.wait() if pending else None
    position = 0
    for film in batch:
        if film.error is not None:
            yield Judged(UnreadFilm(film.name, film.error), None)
        elif film.radiograph is not None and outputs is not None:
            yield Judged(classifier.answer(film.name, film.radiograph, outputs, position), film.radiograph)
            position += 1
