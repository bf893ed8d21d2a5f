"""One film shown to a model in many ways: parts hidden, resolution taken away, noise added.

Every way is a graph input made from the decoded film; the model's own engine, temperature and preprocessing judge it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.film.radiograph import Radiograph
from hilum.run.classifier import Classifier

__all__ = ["judge_variants"]

_AT_ONCE = 16  # inputs of one film in the engine: bounds the memory that a thread takes


def judge_variants(
    classifier: Classifier,
    paths: Sequence[Path],
    make: Callable[[int, Radiograph], NDArray[np.float32]],
    *,
    done: Callable[[float], None] = lambda _: None,
) -> NDArray[np.float64]:
    """Return what a model says of every variant of every film; one film at a time is in memory for each thread.

    Args:
        classifier: The model.
        paths: n films that can be read.
        make: Called in a thread with the film's position and the film; returns its V variants, (V, 1, S, S) float32.
        done: Called after each film with the share of all films it makes up.

    Returns:
        (n, V, K) float64, logits divided by the temperature: their softmax is the calibrated probability.

    Raises:
        UndecodableFilm, UnsupportedFilm: A film can no longer be read.
    """

    def judge(position: int) -> NDArray[np.float64]:
        films = make(position, classifier.read(paths[position]))
        logits = [classifier.engine.run(films[at : at + _AT_ONCE]).logits for at in range(0, len(films), _AT_ONCE)]
        done(1 / len(paths))
        return np.concatenate(logits).astype(np.float64) / classifier.metadata.temperature  # (V, K)

    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        return np.stack(list(pool.map(judge, range(len(paths)))))
