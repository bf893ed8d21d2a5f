"""A classifier in Python takes one film or many, in any form, and keeps their order."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import hilum
from hilum.api.answers import Answers, FilmAnswer
from hilum.api.classifier import FilmClassifier
from hilum.errors import InputError, UndecodableFilm
from hilum.run.answer import UnreadFilm
from hilum.run.classifier import Classifier


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> FilmClassifier:
    return hilum.load(str(tiny_model), num_threads=1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, write_film: Callable[..., Path]) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [write_film(folder / f"{number}.png", seed=number, size_px=90 + number) for number in range(5)]


def of(answers: Answers | FilmAnswer) -> list[dict[str, float]]:
    return [dict(one.probabilities) for one in answers]  # type: ignore[union-attr]


def test_one_film_in_any_form_has_one_answer(model: FilmClassifier, films: list[Path]) -> None:
    pixels = cv2.imread(str(films[0]), cv2.IMREAD_UNCHANGED)
    alone = Classifier(model.path).predict(films[0])
    forms = [films[0], str(films[0]), films[0].read_bytes(), pixels, Image.open(films[0]), (pixels / 255.0)]
    for film in forms:
        answer = model.predict(film)
        assert isinstance(answer, FilmAnswer)
        assert list(answer.probabilities.values()) == pytest.approx(list(alone.probabilities.values()), abs=1e-5)


def test_an_open_file_is_one_film(model: FilmClassifier, films: list[Path]) -> None:
    expected = model.predict(films[0])
    assert isinstance(expected, FilmAnswer)
    with films[0].open("rb") as file:
        answer = model.predict(file)
    assert isinstance(answer, FilmAnswer)
    assert answer.probabilities == expected.probabilities
    several = model.predict([io.BytesIO(film.read_bytes()) for film in films])
    assert of(several) == of(model.predict(films))
    with pytest.raises(InputError, match="opened for text"):
        model.predict(io.StringIO("a film"))
    with films[0].open(encoding="utf-8") as text, pytest.raises(InputError, match="opened for text"):
        model.predict(text)


def test_an_empty_path_is_not_the_working_folder(model: FilmClassifier, films: list[Path]) -> None:
    with pytest.raises(UndecodableFilm, match="its path is empty"):
        model.predict("")
    first, second = model.predict(["", films[0]])
    assert isinstance(first, UnreadFilm)
    assert isinstance(second, FilmAnswer)


@pytest.mark.parametrize(
    ("make", "value_range"),
    [
        (lambda pixels: pixels.astype(np.uint16) * 16, (0, 4080)),
        (lambda pixels: pixels * np.float32(2048 / 255) - 1024, (-1024, 1024)),
        (lambda pixels: 1 - pixels / 255.0, (1, 0)),
        (lambda pixels: pixels.astype(np.int64), (0, 255)),
    ],
)
def test_the_range_of_an_array_can_be_said(
    model: FilmClassifier, films: list[Path], make: Callable[[np.ndarray], np.ndarray], value_range: tuple[float, float]
) -> None:
    pixels = cv2.imread(str(films[0]), cv2.IMREAD_UNCHANGED)
    answer = model.predict(make(pixels), value_range=value_range)
    expected = model.predict(pixels).probabilities
    assert list(answer.probabilities.values()) == pytest.approx(list(expected.values()), abs=1e-4)
    assert answer.picture().pixels == pytest.approx(pixels / 255.0, abs=1e-5)


@pytest.mark.parametrize(
    ("film", "value_range", "words"),
    [
        (
            np.full((80, 80), 300.0),
            None,
            r"from 300 to 300; expected float from 0 to 1.*value_range=\(0, 4095\)",
        ),
        (np.full((80, 80), 300.0), (0, 255), "outside of its value_range"),
        (np.full((80, 80), np.nan), (0, 255), "outside of its value_range"),
        (np.zeros((80, 80)), (1, 1), "two different numbers"),
        (np.zeros((80, 80, 3)), (0, 1), "is for an array"),
        ("film.png", (0, 1), "is for an array"),
    ],
)
def test_a_range_that_does_not_fit_is_an_error(
    model: FilmClassifier, film: object, value_range: tuple[float, float] | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        model.predict(film, value_range=value_range)


def test_many_films_have_their_answers_in_order(model: FilmClassifier, films: list[Path], tmp_path: Path) -> None:
    expected = [dict(model.predict(film).probabilities) for film in films]
    table = tmp_path / "films.csv"
    table.write_text("path\n" + "".join(f"{film}\n" for film in films))
    pixels = [cv2.imread(str(film), cv2.IMREAD_UNCHANGED) for film in films]
    for many in (films, map(str, films), films[0].parent, str(films[0].parent), table, [films[0].parent], iter(pixels)):
        answers = model.predict(many)
        assert isinstance(answers, Answers)
        assert of(answers) == expected
    assert of(model.predict([films[0], films[1].read_bytes(), pixels[2]])) == expected[:3]
    assert len(model.predict([])) == 0


def test_films_of_an_iterator_are_not_kept(model: FilmClassifier, films: list[Path]) -> None:
    pixels = cv2.imread(str(films[0]), cv2.IMREAD_UNCHANGED)
    assert [one.film is None for one in model.predict(iter([pixels, films[0]]))] == [True, False]
    assert model.predict([pixels])[0].film is pixels


def test_a_film_that_cannot_be_read(model: FilmClassifier, films: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(UndecodableFilm):
        model.predict(broken)
    answers = model.predict([films[0], broken, films[1]])
    assert [type(one) for one in answers] == [FilmAnswer, UnreadFilm, FilmAnswer]
    features = model.embed([films[0], broken, films[1]])
    assert np.isnan(features).all(axis=1).tolist() == [False, True, False]


def test_features_are_those_of_the_answers(model: FilmClassifier, films: list[Path]) -> None:
    one, several = model.embed(films[0]), model.embed(films)
    assert one.shape == (4,)
    assert several.shape == (5, 4)
    assert several.dtype == np.float32
    assert np.array_equal(several[0], one)
    assert np.array_equal(one, model.predict(films[0]).features)


def test_the_names_of_the_api_come_when_asked_for(tiny_model: Path) -> None:
    code = (
        "import sys, hilum\n"
        "assert 'numpy' not in sys.modules\n"
        "assert set(hilum.__all__) <= set(dir(hilum)) and all(getattr(hilum, name) for name in hilum.__all__)\n"
        f"hilum.load({os.fspath(tiny_model)!r})\n"
        "assert not {'keras', 'tensorflow', 'pandas'} & set(sys.modules)\n"
        "import hilum.train.augment\n"
        "assert callable(hilum.train) and hilum.train.augment.SIMPLE\n"
        "import inspect\n"
        "assert 'augment' in inspect.signature(hilum.train).parameters\n"
        "try: hilum.trian\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "module `hilum` has no attribute `trian`\n", done.stderr
