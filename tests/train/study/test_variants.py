"""One variant of a study, cross-fitted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.film.preprocess import Preprocessing
from hilum.train.config import FitSettings, RunConfig
from hilum.train.prepared import prepare_films
from hilum.train.study import variants
from hilum.train.study.common import Study, prepare_outside
from hilum.train.study.settings import StudySettings
from hilum.train.study.variants import cross_variant

FINDINGS = ("Normal", "Covid-19")
CONFIG = RunConfig(
    backbone="plain-cnn",
    weights="none",
    preprocessing=Preprocessing(size_px=32),
    fit=FitSettings(epochs=1, learning_rate=1e-3, batch_size=16),
)


class Killed(Exception):
    pass


def test_a_variant_answers_every_film_once_and_goes_on_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write_phantoms(tmp_path / "own", num_per_finding=12, num_test_per_finding=2, findings=FINDINGS, size_px=96)
    other = write_phantoms(
        tmp_path / "other", num_per_finding=4, num_test_per_finding=0, seed=7, findings=FINDINGS, size_px=96
    )
    prepared = prepare_films(own, CONFIG.preprocessing)
    outside = prepare_outside(other, prepared, CONFIG.preprocessing)
    study = Study("augmentation", own, tmp_path / "out", StudySettings(folds=2))
    study.open(prepared, outside, {})
    real, asked = variants.compute_logits, []

    def counted(model: Any, films: Any) -> np.ndarray:
        asked.append(len(films))
        if len(asked) == 6:  # the other sources' films in the second fold
            raise Killed
        return real(model, films)

    monkeypatch.setattr(variants, "compute_logits", counted)
    with pytest.raises(Killed):
        cross_variant(study, prepared, outside, CONFIG, "policies", "one")
    answers = cross_variant(study, prepared, outside, CONFIG, "policies", "one")
    assert len(asked) == 9  # the first fold was not repeated
    assert answers.probabilities.shape == (24, 2)
    assert np.allclose(answers.probabilities.sum(axis=1), 1)
    assert answers.outside is not None
    assert answers.outside.shape == (8, 2)
    assert answers.num_weights > 1000
    assert answers.minutes > 0
    figures = answers.figures(prepared.findings, outside)
    assert figures["in_house"]["n"] == 24
    assert figures["external"]["n"] == 8
    again = cross_variant(study, prepared, outside, dataclasses.replace(CONFIG, seed=0), "policies", "two")
    assert np.allclose(again.probabilities, answers.probabilities, atol=1e-4)  # the same seed and folds
