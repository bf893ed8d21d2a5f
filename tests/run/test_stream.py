"""Many films: in order, whatever some of them are, and no more of them in memory than are being worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import UndecodableFilm
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier, judge_films


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(tiny_model, num_threads=1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, write_film: Callable[..., Path]) -> list[Path]:
    """Return 45 films, every seventh broken."""
    folder = tmp_path_factory.mktemp("films")
    paths = [write_film(folder / f"{number:02d}.png", seed=number, size_px=70) for number in range(45)]
    for path in paths[3::7]:
        path.write_bytes(path.read_bytes()[:500])
    return paths


@pytest.mark.parametrize("num_threads", [1, 3])
def test_answers_come_in_the_order_of_the_films(classifier: Classifier, films: list[Path], num_threads: int) -> None:
    judged = list(judge_films(classifier, films, num_threads=num_threads))
    assert [answer.file for answer in judged] == [str(path) for path in films]
    for position, answer in enumerate(judged):
        if position % 7 == 3:
            assert isinstance(answer, UnreadFilm)
            assert isinstance(answer.error, UndecodableFilm)
        else:
            assert isinstance(answer, Answer)
            alone = classifier.predict(films[position])
            np.testing.assert_allclose(answer.logits, alone.logits, atol=1e-5)


def test_no_film_and_only_broken_ones(classifier: Classifier, films: list[Path], tmp_path: Path) -> None:
    assert list(judge_films(classifier, [])) == []
    broken = [*films[3::7], tmp_path / "missing.png"] * 3
    judged = list(judge_films(classifier, broken))
    assert [answer.file for answer in judged] == [str(path) for path in broken]
    assert all(isinstance(answer, UnreadFilm) for answer in judged)


def test_paths_are_taken_as_they_are_needed(classifier: Classifier, films: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield films[0]

    judged = judge_films(classifier, endless(), num_threads=2)
    for number in range(1, 201):
        next(judged)
        assert taken <= number + 80
    judged.close()
    assert taken <= 280


def test_films_that_were_answered_are_let_go(
    classifier: Classifier, films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    seen: list[weakref.ref] = []
    read = classifier.read

    def remembered(path: Path, **words: Any) -> Radiograph:
        radiograph = read(path, **words)
        seen.append(weakref.ref(radiograph))
        return radiograph

    monkeypatch.setattr(classifier, "read", remembered)
    for number, _ in enumerate(judge_films(classifier, [films[0]] * 150)):
        if number == 120:
            gc.collect()
            assert len(seen) > 100
            assert sum(film() is not None for film in seen) < 10
    assert len(seen) == 150
