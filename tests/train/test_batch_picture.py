"""The picture of a batch: its films in order, with what is known of each under it."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.train.batch_picture import _words, batch_picture

FINDINGS = ("Normal", "Covid-19", "A finding with a name that is much longer than any film is wide")


@pytest.mark.parametrize(("number", "shape"), [(1, (244, 208)), (5, (480, 808)), (16, (952, 808)), (20, (952, 808))])
def test_at_most_sixteen_films_stand_in_rows_of_four(number: int, shape: tuple[int, int]) -> None:
    films = np.zeros((number, 8, 8, 1), np.float32)
    page = batch_picture(films, np.eye(3, dtype=np.float32)[[0] * number], FINDINGS)
    assert page.shape == shape
    assert page.dtype == np.uint8


def test_each_film_is_in_its_place_with_text_under_it_that_stays_under_it() -> None:
    films = np.linspace(0, 0.8, 5, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 8, 1), np.float32)
    page = batch_picture(films, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]], FINDINGS)
    corners = [(8, 8), (8, 208), (8, 408), (8, 608), (244, 8)]
    for (top, left), grey in zip(corners, np.linspace(0, 204, 5), strict=True):
        assert (page[top : top + 192, left : left + 192] == round(grey)).all()
        under = page[top + 192 : top + 228, left : left + 192]
        assert under.min() < 128
        assert (page[top + 192 : top + 228, left + 192 : left + 200] == 255).all()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ((0, 1, 0), ["Covid-19"]),
        ((0.3, 0.7, 0), ["Covid-19 70 %", "Normal 30 %"]),
        ((1, 1, 0), ["one of:", "Normal, Covid-19"]),
        ((1 / 3, 1 / 3, 1 / 3), ["lungs hidden"]),
    ],
)
def test_what_is_known_of_a_film_in_words(target: tuple[float, ...], words: list[str]) -> None:
    assert _words(np.array(target, np.float32), FINDINGS) == words
