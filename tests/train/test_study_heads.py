"""Heads on frozen features answer films that they did not see."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.data.phantom import write_phantoms
from hilum.film.preprocess import Preprocessing
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.study_fit import StudyFilms
from hilum.train.study_heads import fit_heads
from hilum.train.trial import draw_folds


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedFilms:
    folder = tmp_path_factory.mktemp("own") / "films"
    write_phantoms(folder, num_per_finding=12, num_test_per_finding=2, findings=("Normal", "Covid-19"), size_px=96)
    return prepare_films(folder, Preprocessing(size_px=32))


def test_a_head_answers_films_it_did_not_see(prepared: PreparedFilms) -> None:
    labels = prepared.films.labels
    rng = np.random.default_rng(0)
    telling = np.eye(2)[labels] * 3 + rng.normal(0, 0.3, (len(labels), 2))
    naming = np.eye(len(labels))  # every film has a feature of its own: learned by heart, it says nothing of others
    films = StudyFilms(prepared, draw_folds(prepared, num_folds=2, seed=0))
    used = films.folds >= 0
    answers = fit_heads(films, telling).held_out(telling)
    assert answers.shape == (len(labels), 2)
    assert (answers[used].argmax(axis=1) == labels[used]).all()
    assert (answers[~used] == 0).all()  # test films
    blind = fit_heads(films, naming).held_out(naming)[used]
    assert (blind.argmax(axis=1) == labels[used]).mean() < 0.8


def test_other_films_are_answered_by_all_heads_among_the_common_findings(prepared: PreparedFilms) -> None:
    features = np.eye(2)[prepared.films.labels] * 3
    films = StudyFilms(prepared, draw_folds(prepared, num_folds=2, seed=0))
    heads = fit_heads(films, features, more=features + 0.1)
    outside = heads.outside(np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([1, 0]))
    assert np.allclose(outside.sum(axis=1), 1)
    assert outside[0, 1] > 0.5 > outside[1, 1]
