"""Lungs alone, lungs hidden, frames."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.film.radiograph import Radiograph
from hilum.judge.shortcuts.occlusion import lung_cover
from hilum.train.augment import Augmentation, no_changes
from hilum.train.batches import Films, changed_batch, packed_cover, unpacked_cover, view_lungs

NONE = no_changes()
FILM = np.random.default_rng(0).random((32, 32)).astype(np.float32) * 0.4 + 0.3
COVER = np.zeros((32, 32), bool)
COVER[8:24, 6:26] = True


def changed(**changes: float) -> Augmentation:
    return dataclasses.replace(NONE, **changes)


def test_a_cover_keeps_its_place_when_packed() -> None:
    pixels = draw_phantom("Normal", np.random.default_rng(1)).astype(np.float32) / 255
    film = Radiograph(pixels, "png", pixels.shape, 8)
    packed = packed_cover(film)
    assert packed.shape == (64, 8)
    back, whole = unpacked_cover(packed, 256), lung_cover(film)
    height, width = whole.shape
    rows, columns = np.arange(256) * height // 256, np.arange(256) * width // 256
    assert (back == whole[np.ix_(rows, columns)]).mean() > 0.95
    assert 0.1 < back.mean() < 0.7


def test_lungs_alone_and_lungs_hidden() -> None:
    rng = np.random.default_rng(0)
    only, hidden = view_lungs(FILM, COVER, changed(lungs_only_probability=0.8, lungs_hidden_probability=0.0), rng)
    while np.array_equal(only, FILM):
        only, hidden = view_lungs(FILM, COVER, changed(lungs_only_probability=0.8), rng)
    assert not hidden
    assert np.array_equal(only[COVER], FILM[COVER])
    assert len(np.unique(only[~COVER])) == 1
    without, hidden = FILM, False
    while not hidden:
        without, hidden = view_lungs(FILM, COVER, changed(lungs_hidden_probability=0.2), rng)
    assert np.array_equal(without[~COVER], FILM[~COVER])
    assert len(np.unique(without[COVER])) == 1


def test_views_are_as_frequent_as_asked_for_and_leave_films_without_lungs_whole() -> None:
    policy = changed(lungs_only_probability=0.3, lungs_hidden_probability=0.15)
    rng = np.random.default_rng(4)
    views = [view_lungs(FILM, COVER, policy, rng) for _ in range(2000)]
    assert np.mean([hidden for _, hidden in views]) == pytest.approx(0.15, abs=0.03)
    assert np.mean([not np.array_equal(view, FILM) for view, _ in views]) == pytest.approx(0.45, abs=0.04)
    bare = [view_lungs(FILM, np.zeros_like(COVER), policy, rng) for _ in range(100)]
    assert all(np.array_equal(view, FILM) and not hidden for view, hidden in bare)


def test_a_frame_covers_the_sides_and_not_the_middle() -> None:
    before = FILM.copy()
    for seed in range(40):
        view, hidden = view_lungs(FILM, None, changed(frame_probability=1.0), np.random.default_rng(seed))
        assert not hidden
        assert np.array_equal(view[6:-6, 6:-6], FILM[6:-6, 6:-6])
        strip = view != FILM
        assert len(np.unique(view[strip])) <= 1
    assert np.array_equal(FILM, before)


def test_batches_tell_which_films_are_blind() -> None:
    pixels = np.tile(FILM, (40, 1, 1)).astype(np.float16)
    packed = np.packbits(np.kron(COVER, np.ones((2, 2), bool)), axis=1)
    films = Films(pixels, np.zeros(40, int), covers=np.tile(packed, (40, 1, 1)))
    policy = changed(lungs_hidden_probability=0.2, lungs_only_probability=0.2)
    views, blind = changed_batch(films, np.arange(40), policy, drawn=(0,))
    batch = views[..., 0]
    assert 0 < blind.sum() < 20
    for film, hidden in zip(batch, blind, strict=True):
        assert (len(np.unique(film[COVER])) == 1) == hidden
    with pytest.raises(ValueError, match="with covers"):
        changed_batch(Films(pixels, np.zeros(40, int)), np.arange(40), policy, drawn=(0,))
