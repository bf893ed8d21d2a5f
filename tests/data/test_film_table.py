"""Lists of films: their paths lead to the films from where the list lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.data.film_table import FILM_COLUMNS, can_be_listed, film_cells, path_writer
from hilum.data.folder import FilmRecord


def test_paths_are_relative_above_the_films_and_absolute_elsewhere(tmp_path: Path) -> None:
    films = tmp_path / "films"
    assert path_writer(films, tmp_path)("a/1.png") == "films/a/1.png"
    assert path_writer(films, tmp_path / "audit")("a/1.png") == str(films / "a/1.png")


def test_every_cell_has_its_column() -> None:
    record = FilmRecord("1.png", "Normal", "test", "p1", "Oslo", "g1", 45.5, "F")
    cells = dict(zip(FILM_COLUMNS, film_cells(record, str.upper), strict=True))
    assert cells == {
        "path": "1.PNG",
        "finding": "Normal",
        "split": "test",
        "patient": "p1",
        "source": "Oslo",
        "group": "g1",
        "age": "45.5",
        "sex": "F",
    }
    assert film_cells(FilmRecord("1.png", "Normal", None), str) == ("1.png", "Normal", "", "", "", "", "", "")


@pytest.mark.parametrize(("path", "can"), [("a b.png", True), (" a.png", False), ("a\udcff.png", False)])
def test_names_that_would_not_come_back_are_known(path: str, *, can: bool) -> None:
    assert can_be_listed(path) is can
