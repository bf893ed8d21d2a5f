"""What is left of a model's accuracy with the lungs hidden: the one shortcut that every run measures, in seconds.

It is the cue `lungs_hidden` of `hilum.judge.shortcuts.occlusion`, in a pass of its own: two inputs of each film.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.preprocess import preprocess
from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import Interval, proportion
from hilum.judge.predictions import ProbedFilms
from hilum.judge.shortcuts.measure import FilmCounts
from hilum.judge.shortcuts.occlusion import FILL, judge_variants, lung_cover, without_shift
from hilum.run.classifier import Classifier

__all__ = ["score_lungs_hidden"]


def score_lungs_hidden(
    classifier: Classifier, films: ProbedFilms, *, done: Callable[[float], None] = lambda _: None
) -> Interval:
    """Return the share of right answers with the lungs hidden, with Wilson's interval.

    As in shortcuts.json, the shift that all films share is removed, and findings that no film shows are left out. Films
    in which no lung is found are left out too.

    Args:
        classifier: The model.
        films: Films that it has judged; of many, 400 are drawn at random.
        done: Called after each film with the share of all films it makes up.

    Returns:
        Undefined where the films show one finding only, or no lung is found.

    Raises:
        UndecodableFilm, UnsupportedFilm: A film can no longer be read.
    """
    order = np.random.default_rng(0).permutation(len(films.groups))
    chosen = np.sort(order[: FilmCounts().cues])
    size, has_lungs = classifier.metadata.preprocessing.size_px, np.zeros(len(chosen), dtype=bool)

    def show(position: int, radiograph: Radiograph) -> NDArray[np.float32]:
        cover = lung_cover(radiograph)
        has_lungs[position] = cover.any()
        whole = preprocess(radiograph, classifier.metadata.preprocessing)[0]  # (S, S)
        lungs = cv2.resize(cover.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST).astype(bool)
        return np.stack((whole, np.where(lungs, FILL, whole)))[:, np.newaxis]  # (2, 1, S, S)

    present, known = np.unique(films.predictions.truth[chosen], return_inverse=True)
    if len(present) < 2:
        return Interval()
    logits = judge_variants(classifier, films.paths(chosen), show, done=done)[has_lungs][:, :, present]  # (m, 2, C)
    if not len(logits):
        return Interval()
    right = without_shift(logits)[:, 1].argmax(axis=1) == known[has_lungs]
    return proportion(int(right.sum()), len(right))
