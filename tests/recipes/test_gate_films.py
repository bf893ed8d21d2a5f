"""Films the gate learns from: what is done to a chest film, and under which name."""

from __future__ import annotations

import numpy as np
import pytest

import gate_films
from gate_films import SIDE_PX, GateFilms, draw_bank, make_view
from hilum.run.gate import KINDS, VIEW_PX


@pytest.fixture(scope="module")
def films() -> GateFilms:
    bank = draw_bank(np.random.default_rng(0), num=40)
    flat = np.full((2, SIDE_PX, SIDE_PX), 128, np.uint8)
    return GateFilms(chest={"here": bank["phantoms"], "there": bank["phantoms"][:2]}, other={"knee": flat}, **bank)


def test_every_kind_is_made_from_every_origin(films: GateFilms) -> None:
    rng = np.random.default_rng(1)
    made = [make_view(films, rng) for _ in range(600)]
    assert all(view.shape == (1, VIEW_PX, VIEW_PX) and view.dtype == np.float32 for view, _, _ in made)
    assert all(view.min() >= 0 and view.max() <= 1 for view, _, _ in made)
    assert {kind for _, kind, _ in made} == set(range(len(KINDS)))
    assert {origin for _, _, origin in made} == {"here", "there", "knee", "drawn"}
    assert {origin for _, kind, origin in made if KINDS[kind] == "chest"} == {"here", "there", "drawn"}
    assert {kind for _, kind, origin in made if origin == "knee"} == {KINDS.index("not-chest")}


def test_the_bank_holds_what_was_asked_for() -> None:
    bank = draw_bank(np.random.default_rng(0), num=16)
    assert {name: films.shape for name, films in bank.items()} == {
        "phantoms": (2, SIDE_PX, SIDE_PX),
        "drawings": (16, SIDE_PX, SIDE_PX),
        "laterals": (2, SIDE_PX, SIDE_PX),
    }


def corner_film(corner: tuple[int, int]) -> np.ndarray:
    """Return a film that is dark but for one corner: 0 is top or left, 1 bottom or right."""
    film = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    rows, columns = (slice(0, 40) if side == 0 else slice(-40, None) for side in corner)
    film[rows, columns] = 1
    return film


@pytest.mark.parametrize(("turns", "bright"), [(0, "top"), (1, "right"), (2, "bottom"), (3, "left")])
def test_films_are_turned_clockwise(turns: int, bright: str) -> None:
    film = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    film[:40] = 1
    rng = np.random.default_rng(0)
    mean = np.mean([gate_films._place(film, rng, quarter_turns=turns) for _ in range(50)], axis=0)
    half = VIEW_PX // 2
    sides = {"top": mean[:half], "right": mean[:, half:], "bottom": mean[half:], "left": mean[:, :half]}
    assert max(sides, key=lambda side: float(sides[side].mean())) == bright


def test_a_cut_film_has_lost_a_corner_or_two() -> None:
    corners = {(row, column): corner_film((row, column)) for row in (0, 1) for column in (0, 1)}
    for seed in range(40):
        seen = [gate_films._cut(film, np.random.default_rng(seed)).max() > 0.5 for film in corners.values()]
        assert sum(seen) <= 2


@pytest.mark.parametrize("dark", [True, False])
def test_a_burnt_film_is_mostly_black_or_white(dark: bool) -> None:
    film = np.random.default_rng(0).uniform(0.2, 0.8, (SIDE_PX, SIDE_PX)).astype(np.float32)
    for seed in range(20):
        burnt = gate_films._burn(film, np.random.default_rng(seed), dark=dark)
        assert 0.6 < np.mean(burnt == (0 if dark else 1)) < 0.95


def test_pieces_are_the_same_film_in_another_order() -> None:
    film = np.random.default_rng(0).random((SIDE_PX, SIDE_PX), dtype=np.float32)
    for seed in range(20):
        pieces = gate_films._in_pieces(film, np.random.default_rng(seed))
        assert pieces.shape == film.shape
        assert np.abs(pieces - film).mean() > 0.1
