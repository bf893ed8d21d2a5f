"""Answers in Python: a table, files, a page in a notebook, one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import hilum
from hilum.api.answers import Answers
from hilum.errors import InputError


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, write_film: Callable[..., Path]) -> Answers:
    folder = tmp_path_factory.mktemp("films")
    films = [write_film(folder / f"{number}.png", seed=number) for number in range(3)]
    (folder / "broken.png").write_bytes(b"no film")
    return hilum.load(tiny_model, num_threads=1).predict([*films, folder / "broken.png", np.zeros((90, 90), np.uint8)])


def test_they_are_a_list(answers: Answers) -> None:
    assert len(answers) == 5
    assert [one.file for one in answers[:2]] == [answers[0].file, answers[1].file]
    assert isinstance(answers[1:], Answers)
    assert repr(answers).startswith("<Answers for 5 films: 3 answered, 1 refused, 1 cannot be read, ")
    assert "\n" not in repr(answers)


def test_the_table_has_the_columns_of_the_command(answers: Answers) -> None:
    frame = answers.to_dataframe()
    assert list(frame["finding"].fillna("")) == [one.to_dict().get("finding") or "" for one in answers]
    assert frame["probability_Normal"][0] == pytest.approx(answers[0].probabilities["Normal"])
    assert frame["error"].notna().tolist() == [False, False, False, True, False]
    assert len(answers[0].to_dataframe()) == 1


def test_they_are_saved_and_nothing_is_written_over(answers: Answers, tmp_path: Path) -> None:
    answers.save(str(tmp_path / "saved"))
    lines = (tmp_path / "saved" / "answers.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == answers.to_dict()["answers"]
    assert (tmp_path / "saved" / "answers.csv").read_text().count("\n") == 6
    names = sorted(path.name for path in (tmp_path / "saved" / "heatmaps").iterdir())
    assert names == ["0.png", "1.png", "2.png", "film.png"]
    with pytest.raises(InputError, match="exists already"):
        answers.save(tmp_path / "saved")
    answers[0].save(tmp_path / "one")
    assert len(list((tmp_path / "one" / "heatmaps").iterdir())) == 1


def test_a_notebook_shows_film_heat_map_bars_and_verdict(answers: Answers, tmp_path: Path) -> None:
    page = answers[0]._repr_html_()
    assert page.count('src="data:image/png;base64,') == 2
    assert page.count('class="bar"') == 3
    assert f"Heat map for {answers[0].likeliest}" in page
    table = answers._repr_html_()
    assert table.count("<tr>") == 6
    assert "cannot be read: " in table


def test_a_film_that_is_gone_is_shown_without_its_picture(tiny_model: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8))[1].tobytes())
    answer = hilum.load(tiny_model).predict(film)
    film.unlink()
    assert "<img" not in answer._repr_html_()
    assert 'class="bar"' in answer._repr_html_()
