"""Many films: several at a time from file to answer, answered in the order they came, in flat memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from hilum.errors import HilumError
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier

__all__ = ["judge_films"]

_LEAST_AHEAD = 16


def judge_films(
    classifier: Classifier, paths: Iterable[Path], *, num_threads: int | None = None
) -> Iterator[Answer | UnreadFilm]:
    """Judge films in order.

    A film that cannot be read comes out as `UnreadFilm` at its place; the others are not touched by it. Paths are
    taken as they are needed, so a generator over a million files is fine.

    Args:
        classifier: The model.
        paths: Files.
        num_threads: How many films are worked on at once, each from its file to its answer; one a core, and one to
            wait for the disk, when not given. A thread sleeps while the engine computes, so the two do not compete.

    Yields:
        One answer a path.
    """
    num_threads = num_threads or (os.cpu_count() or 1) + 1
    remaining = iter(paths)
    with ThreadPoolExecutor(num_threads) as pool:
        judging: deque[Future[Answer | UnreadFilm]] = deque(
            pool.submit(_judge_one, classifier, path) for path in islice(remaining, max(_LEAST_AHEAD, 4 * num_threads))
        )
        try:
            while judging:
                answer = judging.popleft().result()
                judging.extend(pool.submit(_judge_one, classifier, path) for path in islice(remaining, 1))
                yield answer
        finally:
            for future in judging:
                future.cancel()


def _judge_one(classifier: Classifier, path: Path) -> Answer | UnreadFilm:
    try:
        return classifier.predict(path)
    except HilumError as error:
        return UnreadFilm(str(path), error)
