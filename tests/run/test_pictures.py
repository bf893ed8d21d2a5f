"""Pictures beside the answers: one a film, each under its own name, also where an earlier run wrote some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from hilum.errors import InputError
from hilum.run.classifier import Classifier
from hilum.run.heatmap import Pictures


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(tiny_model, num_threads=1)


def test_each_film_has_its_own_picture_also_after_a_kill(
    classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    films = [write_film(tmp_path / folder / "film.png", seed=seed) for seed, folder in enumerate("abc")]
    answers = [classifier.predict(film) for film in films]
    pictures = Pictures(classifier, tmp_path / "maps" / "deep")
    written = [pictures.write(answer) for answer in answers]
    assert [Path(one.heatmap or "").name for one in written] == ["film.png", "film-2.png", "film-3.png"]
    assert all(cv2.imread(str(one.heatmap)) is not None for one in written)
    again = Pictures(classifier, tmp_path / "maps" / "deep")
    for one in (written[0].to_dict(), {"file": "film.png", "error": {}}, written[1].to_dict()):
        again.pass_by(one)
    assert again.write(answers[2]).heatmap == written[2].heatmap


def test_none_where_none_are_asked_for(classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]) -> None:
    answer = classifier.predict(write_film(tmp_path / "film.png"))
    pictures = Pictures(classifier, None)
    pictures.pass_by(answer.to_dict())
    assert pictures.write(answer) is answer
    assert [path.name for path in tmp_path.iterdir()] == ["film.png"]


def test_masks_of_lungs_have_names_of_their_own_and_the_size_of_the_film(
    classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    films = [write_film(tmp_path / folder / "film.png", seed=seed) for seed, folder in enumerate("ab")]
    answers = [classifier.predict(film) for film in films]
    pictures = Pictures(classifier, None, tmp_path / "masks")
    assert pictures.write(answers[0]) is answers[0]
    again = Pictures(classifier, None, tmp_path / "masks")
    again.pass_by(answers[0].to_dict())
    again.write(answers[1])
    for name, film in zip(("film.png", "film-2.png"), films, strict=True):
        mask, seen = cv2.imread(str(tmp_path / "masks" / name), 0), cv2.imread(str(film), 0)
        assert mask is not None
        assert seen is not None
        assert mask.shape == seen.shape
        assert set(mask.ravel().tolist()) == {0, 255}
    with pytest.raises(InputError, match="Name two folders"):
        Pictures(classifier, tmp_path / "masks", tmp_path / "masks")
