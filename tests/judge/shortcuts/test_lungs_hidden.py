"""What is left with the lungs hidden: everything to a model that reads a marker, guessing to one that reads lungs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.data.folder import read_dataset
from hilum.judge.predictions import ProbedFilms, judge_records
from hilum.judge.shortcuts.lungs_hidden import score_lungs_hidden
from hilum.run.classifier import Classifier

CORNER = ((0, 0),)
LUNGS = tuple((row, column) for row in (2, 3, 4) for column in (2, 5))


@pytest.mark.parametrize(("looks_at", "expected"), [(CORNER, 1.0), (LUNGS, 0.5)])
def test_what_is_left(
    looks_at: tuple[tuple[int, int], ...],
    expected: float,
    looking_model: Callable[..., Path],
    marked_films: Path,
    tmp_path: Path,
) -> None:
    classifier = Classifier(looking_model(tmp_path / "m.onnx", looks_at, 0.67))
    records = read_dataset(marked_films).records
    judged = judge_records(classifier, marked_films, records)
    shares: list[float] = []
    films = ProbedFilms(marked_films, judged, np.arange(len(records)))
    left = score_lungs_hidden(classifier, films, done=shares.append)
    assert left.value == expected
    assert sum(shares) == pytest.approx(1)
    same = judged.truth == judged.truth[0]
    one = ProbedFilms(marked_films, judged.part(same), np.arange(int(same.sum())))
    assert score_lungs_hidden(classifier, one).value is None  # one finding tells nothing
