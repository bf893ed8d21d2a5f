"""Folds of films whose findings and groups are all that is known: grouped, so that twins and patients stay together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hilum.errors import MissingExtra

__all__ = ["grouped_folds"]

_NUM_FOLDS = 5


def grouped_folds(truth: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield which films are held out, (n,) bool, of each of 5 grouped and stratified folds (fewer of few groups).

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise MissingExtra("Cross-validation", "train") from error
    most = min(_NUM_FOLDS, len(np.unique(groups)), int(np.bincount(truth).max(initial=0)))
    if most < 2:
        return
    splitter = StratifiedGroupKFold(n_splits=most, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for _, positions in splitter.split(truth, truth, groups):
            held = np.zeros(len(truth), dtype=bool)
            held[positions] = True
            yield held
