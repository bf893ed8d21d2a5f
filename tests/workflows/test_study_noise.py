"""Films under noise, in `hilum study noise`; the whole study is tested in test_study.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.train.prepared import prepare_films
from hilum.train.study_fit import StudyFilms
from hilum.train.study_variants import StudyRequest, variants_of
from hilum.train.trial import draw_folds
from hilum.workflows.study_noise import NoiseStudy


@pytest.mark.slow
def test_every_try_gives_the_same_and_the_option_leaves_clean_films_alone(tmp_path: Path) -> None:
    films = write_phantoms(
        tmp_path / "films", num_per_finding=12, num_test_per_finding=2, findings=("Normal", "Covid-19"), size_px=96
    )
    asked = StudyRequest("noise", films, tmp_path, only=("median",), backbones=("plain-cnn",), sizes_px=(64,))
    variants = variants_of(asked)
    prepared = prepare_films(films, variants[0].config.preprocessing)
    pictures, rows = [], []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        noise = NoiseStudy(StudyFilms(prepared, draw_folds(prepared, num_folds=2, seed=0)), variants, tmp_path / name)
        pictures.append(noise.pictures())
        rows.append(noise.row(variants[1]))
    assert [one.title for one in pictures[0]] == ["Without noise", "With noise", "Median"]
    for one, other in zip(*pictures, strict=True):
        assert np.array_equal(one.film, other.film)
    assert rows[0].changes == rows[1].changes
    assert rows[0].changes.external is None
    assert noise.share_noisy == {"in_house": 0.0}
    clean, low = (rows[0].changes.in_house[dose].option for dose in ("clean", "low"))
    assert clean is not None and clean.identical
    assert low is not None and not low.identical
