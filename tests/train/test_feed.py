"""The batches of a training: seed, epoch and number decide them, and the last ones are plain."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.train.augment import Augmentation, no_changes
from hilum.train.batches import Films
from hilum.train.config import FitSettings, RunConfig
from hilum.train.feed import Change, FilmBatches, FilmWeights

FILMS = Films(np.random.default_rng(0).random((20, 16, 16)).astype(np.float16), np.arange(20) % 4 // 3)


def batches(
    policy: Augmentation, *, num_epochs: int = 5, change: Change | None = None, sampling: str = "films"
) -> FilmBatches:
    config = RunConfig(fit=FitSettings(batch_size=4, sampling=sampling), augmentation=policy)
    weights = FilmWeights.of(FILMS, config, 2)
    return FilmBatches(FILMS, weights, config, seed=1, num_epochs=num_epochs, change=change)


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    policy = Augmentation(photometric_probability=1.0)
    first = batches(policy)
    assert len(first) == 5
    one = [first[number] for number in (0, 1)]
    first.on_epoch_end()
    other = first[1][0]
    again = batches(policy)
    again.start_at(1)
    assert np.array_equal(again[1][0], other)
    assert not np.array_equal(other, one[1][0])
    again.start_at(0)
    for mine, expected in zip(again[1], one[1], strict=True):
        assert np.array_equal(mine, expected)
        assert mine.dtype == np.float32


def test_the_last_fifth_of_all_steps_is_not_changed() -> None:
    strong = dataclasses.replace(Augmentation(photometric_probability=1.0), flip_probability=0.0)
    known = {film.astype(np.float32).round(3).tobytes() for film in FILMS.pixels}
    feed = batches(strong, num_epochs=5)
    for epoch in range(5):
        feed.start_at(epoch)
        shown = [film[..., 0].round(3).tobytes() in known for number in range(len(feed)) for film in feed[number][0]]
        assert all(shown) if epoch == 4 else not any(shown)


def test_films_weigh_by_finding_or_are_drawn_by_source() -> None:
    _, targets, weights = batches(no_changes())[0]
    assert targets.shape == (4, 2)
    by_finding = {int(one.argmax()): float(weight) for one, weight in zip(targets, weights, strict=True)}
    assert by_finding == pytest.approx({finding: 10 / (15, 5)[finding] for finding in by_finding})
    assert set(batches(no_changes(), sampling="sources")[0][2]) == {1.0}


def test_a_change_of_the_user_takes_the_place_of_the_settings() -> None:
    feed = batches(Augmentation(photometric_probability=1.0), change=lambda films, _: np.zeros_like(films))
    assert not feed[0][0].any()
    feed.start_at(4)
    assert feed[0][0].any()  # plain at the end, as with the settings


@pytest.mark.parametrize(
    "change", [lambda films, _: films[:, :8], lambda films, _: films * 2 + 1, lambda films, _: films * np.nan]
)
def test_a_change_that_breaks_the_film_is_an_error(change: Change) -> None:
    with pytest.raises(ConfigError, match="must return films"):
        batches(no_changes(), change=change)[0]
