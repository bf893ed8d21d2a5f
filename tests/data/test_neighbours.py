"""The nearest neighbours of a film: its copies are among them, few and many films alike."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hilum.data.neighbours import WINDOWS, nearest_neighbours


def pictures(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal((count, size, size)).astype(np.float32) for size in (8, 16, 32)]
    return np.stack([sum(cv2.resize(layer[number], (64, 64)) for layer in layers) for number in range(count)])


@pytest.mark.parametrize("count", [2, 40, 900])
def test_a_mirrored_cut_out_is_the_nearest(count: int) -> None:
    films = pictures(count)
    left, right, top, bottom = (round(64 * share) for share in WINDOWS[6])
    cut = films[0][top : 64 - bottom, left : 64 - right][:, ::-1]
    films[-1] = cv2.resize(cut, (64, 64), interpolation=cv2.INTER_AREA)
    near = nearest_neighbours(films)
    at = int(np.flatnonzero(near.first == 0)[0])
    assert near.second[at] == count - 1
    assert near.window[at] == 6
    assert near.mirrored[at]


def test_so_many_neighbours_at_most_and_never_oneself() -> None:
    films = pictures(700)
    films[10:20] = films[0] + films[10:20] / 4
    near = nearest_neighbours(films, num_neighbours=3)
    assert np.bincount(near.first).max() == 3
    assert not np.any(near.first == near.second)
    few = nearest_neighbours(pictures(30), num_neighbours=3)
    assert np.array_equal(np.bincount(few.first), np.full(30, 3))


def test_which_film_was_cut_out_is_told_by_the_likeness() -> None:
    films = pictures(600)
    left, right, top, bottom = (round(64 * share) for share in WINDOWS[-1])  # off all four sides
    films[0] = cv2.resize(films[-1][top : 64 - bottom, left : 64 - right], (64, 64), interpolation=cv2.INTER_AREA)
    near = nearest_neighbours(films)
    both = {(int(a), int(b)): float(value) for a, b, value in zip(near.first, near.second, near.likeness, strict=True)}
    assert both[599, 0] > 0.9
    assert both.get((0, 599), 0.0) < both[599, 0]


def test_a_small_move_brings_a_copy_near_and_no_other_film() -> None:
    films = pictures(2)
    turn = cv2.getRotationMatrix2D((31.5, 31.5), 2.0, 1.03)
    films = np.stack([films[0], cv2.warpAffine(films[0], turn, (64, 64), borderMode=cv2.BORDER_REFLECT), films[1]])
    near = nearest_neighbours(films)
    reach = {(int(a), int(b)): float(value) for a, b, value in zip(near.first, near.second, near.reach, strict=True)}
    likeness = {(int(a), int(b)): float(one) for a, b, one in zip(near.first, near.second, near.likeness, strict=True)}
    assert reach[0, 1] > max(0.95, likeness[0, 1])
    assert reach[0, 2] < 0.7


def test_nothing_and_one_have_no_neighbours() -> None:
    assert len(nearest_neighbours(np.zeros((0, 64, 64), np.float32)).first) == 0
    assert len(nearest_neighbours(np.zeros((1, 64, 64), np.float32)).first) == 0


def test_films_all_alike_are_kept_in_small_cells() -> None:
    near = nearest_neighbours(np.tile(pictures(1), (600, 1, 1)))
    assert len(near.first) <= 600 * 20
