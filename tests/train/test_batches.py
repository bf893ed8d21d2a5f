"""Batches: every film once an epoch, with its own label, the same after a resume, and never one film alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import UndecodableFilm
from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.train.augment import Augmentation
from hilum.train.batches import Films, _words, batch_picture, changed_batch, epoch_order, load_films, source_chances

PLAIN = Augmentation(flip_probability=0.0, photometric_probability=0.0, rotation_degrees=0.0, zoom_fraction=0.0,
                     stretch_fraction=0.0, shift_fraction=0.0)  # fmt: skip


def marked(num: int) -> Films:
    """Return films of one grey each, so that each can be told by its pixels; label i % 3."""
    greys = (np.arange(num) + 1) / (num + 1)
    return Films(np.tile(greys[:, None, None], (1, 8, 8)).astype(np.float16), np.arange(num) % 3)


def told(batch: np.ndarray, num: int) -> list[int]:
    return [round(float(grey) * (num + 1)) - 1 for grey in batch.mean(axis=(1, 2, 3))]


@pytest.mark.parametrize(("num", "batch_size"), [(20, 4), (21, 4), (23, 8), (5, 32), (2, 2)])
def test_an_epoch_holds_every_film_once_with_its_label(num: int, batch_size: int) -> None:
    films, seen = marked(num), []
    for shown in epoch_order(num, batch_size, np.random.default_rng(0)):
        batch, labels = changed_batch(films, shown, PLAIN, drawn=(0,))[0], films.labels[shown]
        assert batch.dtype == np.float32
        assert batch.shape == (len(labels), 8, 8, 1)
        assert 2 <= len(labels) <= 1.5 * batch_size
        numbers = told(batch, num)
        assert [number % 3 for number in numbers] == labels.tolist()
        seen += numbers
    assert sorted(seen) == list(range(num))


def test_seed_and_epoch_decide_order_and_changes() -> None:
    films = Films(np.random.default_rng(0).random((12, 16, 16)).astype(np.float16), np.arange(12) % 2)
    policy = Augmentation(photometric_probability=1.0)

    def epoch(seed: int, number: int) -> np.ndarray:
        order = epoch_order(12, 4, np.random.default_rng((seed, number)))
        return np.concatenate([changed_batch(films, one, policy, drawn=(seed, number))[0] for one in order])

    np.testing.assert_array_equal(epoch(1, 2), epoch(1, 2))
    assert not np.array_equal(epoch(1, 2), epoch(1, 3))
    assert not np.array_equal(epoch(1, 2), epoch(2, 2))


def test_the_films_in_memory_are_never_augmented() -> None:
    films = marked(10)
    before = films.pixels.copy()
    batch, _ = changed_batch(films, np.arange(10), Augmentation(), drawn=(0,))
    batch[:] = 0
    np.testing.assert_array_equal(films.pixels, before)


def test_a_subset_keeps_films_and_labels_together() -> None:
    part = marked(10).subset(np.array([7, 2]))
    assert len(part) == 2
    assert told(part.batch(slice(None)), 10) == [7, 2]
    assert part.labels.tolist() == [1, 2]


def test_films_are_loaded_in_order_as_they_will_be_served(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    paths = [write_film(tmp_path / f"{seed}.png", seed=seed) for seed in range(6)]
    preprocessing = Preprocessing(size_px=32)
    films = load_films(paths, np.arange(6), preprocessing)
    for position, path in enumerate(paths):
        served = preprocess(read_film(path, min_side_px=preprocessing.decoded_px), preprocessing)[0]
        np.testing.assert_allclose(films.pixels[position].astype(np.float32), served, atol=1e-3)  # half precision
        exact = load_films([path], np.zeros(1, int), preprocessing, exact=True)
        np.testing.assert_array_equal(exact.batch([0])[0, ..., 0], served)
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(UndecodableFilm, match=r"3\.png"):
        load_films(paths, np.arange(6), preprocessing)


def _many(counts: dict[tuple[int, int], int]) -> Films:
    """Return films of (finding, source): number; finding 9 shows one of 1 and 2."""
    labels, sources, kinds = [], [], []
    for (finding, source), count in counts.items():
        labels += [finding if finding < 9 else -1] * count
        sources += [source] * count
        kinds += [[finding == k or (finding == 9 and k > 0) for k in range(3)]] * count
    pixels = np.zeros((len(labels), 32, 32), np.float16)
    return Films(pixels, np.array(labels), np.array(sources), np.array(kinds))


def test_sources_are_drawn_by_the_square_root_of_their_films() -> None:
    films = _many({(0, 0): 100, (0, 1): 4, (1, 0): 30, (2, 0): 7, (9, 1): 9})
    chances = source_chances(films, 3)
    shares = {
        name: chances[np.flatnonzero((films.kinds == kinds).all(axis=1) & (films.sources == source))].sum()
        for name, kinds, source in (("big", [1, 0, 0], 0), ("small", [1, 0, 0], 1), ("open", [0, 1, 1], 1))
    }
    assert chances.sum() == pytest.approx(1)
    assert shares["open"] == pytest.approx(9 / 150)  # they say little: not as often as a finding
    assert shares["big"] == pytest.approx((1 - 9 / 150) / 3 * 10 / 12)
    assert shares["small"] == pytest.approx((1 - 9 / 150) / 3 * 2 / 12)
    drawn = np.concatenate(epoch_order(len(films), 16, np.random.default_rng(1), chances))
    assert len(drawn) == len(films)
    counts = np.bincount(drawn, minlength=len(films))
    assert np.abs(counts - chances * len(films)).max() < 1
    again = epoch_order(len(films), 16, np.random.default_rng(1), chances)[0]
    assert np.array_equal(again, drawn[: len(again)])


def test_films_keep_what_they_may_show() -> None:
    stated = Films(np.zeros((2, 32, 32), np.float16), np.array([2, 0]), np.array([0, 0]))
    together = stated.joined(_many({(9, 1): 2, (1, 1): 1}))
    assert together.labels.tolist() == [2, 0, -1, -1, 1]
    assert together.targets(3).astype(int).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 1], [0, 1, 0]]
    taught = together.relabelled([2, 1])
    assert taught.labels.tolist() == [0, -1, -1, 1]
    assert taught.targets(2).astype(int).tolist() == [[1, 0], [1, 1], [1, 1], [0, 1]]
    assert len(together.relabelled([0, 1])) == 2  # what shows 1 or 2 says nothing to a network without 2
    assert together.relabelled([0, 1, 2]) is together


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
