"""Many films: several at a time from file to answer, answered in the order they came, in flat memory."""

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

__all__ = ["Judged", "judge_films"]

_LEAST_AHEAD = 16


class Judged(NamedTuple):
    """An answer with the film it is about; the film is None where it could not be read."""

    answer: Answer | UnreadFilm
    radiograph: Radiograph | None


def judge_films(classifier: Classifier, paths: Iterable[Path], *, num_threads: int | None = None) -> Iterator[Judged]:
    """Judge films in order.

    A film that cannot be read comes out as `UnreadFilm` at its place; the others are not touched by it. Paths are
    taken as they are needed, so a generator over a million files is fine.

    Args:
        classifier: The model.
        paths: Files.
        num_threads: How many films are worked on at once, each from its file to its answer; one a core, and one to
            wait for the disk, when not given. A thread sleeps while the engine computes, so the two do not compete.

    Yields:
        One `Judged` a path.
    """
    num_threads = num_threads or (os.cpu_count() or 1) + 1
    remaining = iter(paths)
    with ThreadPoolExecutor(num_threads) as pool:
        judging: deque[Future[Judged]] = deque(
            pool.submit(_judge_one, classifier, path) for path in islice(remaining, max(_LEAST_AHEAD, 4 * num_threads))
        )
        try:
            while judging:
                judged = judging.popleft().result()
                judging.extend(pool.submit(_judge_one, classifier, path) for path in islice(remaining, 1))
                yield judged
                del judged  # a film is large: it must not stay until the next is there
        finally:
            for future in judging:
                future.cancel()


def _judge_one(classifier: Classifier, path: Path) -> Judged:
    name = str(path)
    try:
        radiograph = classifier.read(path)
        pixels = classifier.preprocess(radiograph)  # (1, S, S)
    except HilumError as error:
        return Judged(UnreadFilm(name, error), None)
    outputs = classifier.engine.run(pixels[np.newaxis])  # (1, 1, S, S)
    return Judged(classifier.answer(name, radiograph, outputs, 0), radiograph)
