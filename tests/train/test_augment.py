"""Augmentation: within range, by the seed alone, and nothing at all where every strength is 0."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from hilum.train.augment import Augmentation, augment, no_changes

STRENGTHS = [
    field.name
    for field in dataclasses.fields(Augmentation)
    if not field.name.endswith("_probability") and not field.name.startswith("policy")  # those: test_policies.py
]
GEOMETRY = {"rotation_degrees", "zoom_fraction", "stretch_fraction", "shift_fraction"}
NONE = no_changes()
STRONG = {
    "rotation_degrees": 30.0,
    "zoom_fraction": 0.4,
    "stretch_fraction": 0.4,
    "shift_fraction": 0.3,
    "gamma": 1.5,
    "contrast_fraction": 0.8,
    "brightness_fraction": 0.5,
    "blur_sigma_px": 4.0,
    "sharpen_amount": 4.0,
    "noise_sigma_fraction": 0.3,
    "lost_resolution_fraction": 0.9,
}


def film(size_px: int = 48) -> np.ndarray:
    y, x = np.mgrid[0:size_px, 0:size_px] / size_px
    return (0.3 + 0.2 * np.sin(20 * x) * np.cos(11 * y) + 0.4 * x).astype(np.float32)


def changed(policy: Augmentation, seed: int = 0) -> np.ndarray:
    return augment(film(), policy, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_film_is_still_a_film(seed: int) -> None:
    policy = Augmentation(flip_probability=0.5, photometric_probability=1.0, **STRONG)
    result = changed(policy, seed)
    assert result.shape == (48, 48)
    assert result.dtype == np.float32
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.std() > 0.005


def test_the_given_film_is_left_as_it_is() -> None:
    given = film()
    augment(given, Augmentation(photometric_probability=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(given, film())


def test_the_seed_decides() -> None:
    policy = Augmentation(photometric_probability=1.0, **STRONG)
    np.testing.assert_array_equal(changed(policy, 3), changed(policy, 3))
    assert np.abs(changed(policy, 3) - changed(policy, 4)).mean() > 0.01


@pytest.mark.parametrize("seed", range(10))
def test_without_strength_nothing_changes(seed: int) -> None:
    np.testing.assert_allclose(changed(NONE, seed), film(), atol=1e-5)
    np.testing.assert_allclose(changed(dataclasses.replace(NONE, photometric_probability=1.0), seed), film(), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_flip_changes_left_and_right_and_nothing_else(seed: int) -> None:
    flipped = changed(dataclasses.replace(NONE, flip_probability=1.0), seed)
    np.testing.assert_allclose(flipped, film()[:, ::-1], atol=1e-5)


def test_a_flip_happens_as_often_as_it_should() -> None:
    policy = dataclasses.replace(NONE, flip_probability=0.3)
    flips = sum(np.allclose(changed(policy, seed), film()[:, ::-1], atol=1e-4) for seed in range(400))
    assert 90 < flips < 150


@pytest.mark.parametrize("name", STRENGTHS)
def test_every_strength_does_something_and_more_does_more(name: str) -> None:
    assert set(STRENGTHS) == set(STRONG), "a strength is new: say here what is strong"

    def mean_change(strength: float) -> float:
        policy = dataclasses.replace(NONE, photometric_probability=1.0, **{name: strength})
        return float(np.mean([np.abs(changed(policy, seed) - film()).mean() for seed in range(12)]))

    weak, strong = mean_change(STRONG[name] / 8), mean_change(STRONG[name])
    assert strong > 1.5 * weak
    assert strong > 2e-3


@pytest.mark.parametrize("name", sorted(set(STRENGTHS) - GEOMETRY))
def test_photometric_changes_happen_only_by_their_probability(name: str) -> None:
    policy = dataclasses.replace(NONE, photometric_probability=0.5, **{name: STRONG[name]})
    untouched = sum(np.allclose(changed(policy, seed), film(), atol=1e-5) for seed in range(200))
    usual = 150 if name == "sharpen_amount" else 100  # half of the drawn films are blurred instead
    assert usual - 30 < untouched < usual + 30


def test_switching_one_change_off_leaves_the_others() -> None:
    policy = dataclasses.replace(NONE, photometric_probability=1.0, rotation_degrees=20.0, gamma=1.0)
    alone = dataclasses.replace(policy, rotation_degrees=0.0)
    for seed in range(5):
        turned_first = changed(policy, seed)
        gamma = np.log(changed(alone, seed)[20, 20]) / np.log(film()[20, 20])
        plain = changed(dataclasses.replace(policy, gamma=0.0), seed)
        np.testing.assert_allclose(turned_first, np.clip(plain, 0, 1) ** gamma, atol=1e-3)


def test_a_film_with_few_pixels_of_its_own_loses_no_more_resolution_and_gets_no_more_blur() -> None:
    rng = np.random.default_rng(0)
    small = cv2.resize(rng.random((16, 16), np.float32), (64, 64))
    lossy = dataclasses.replace(no_changes(), lost_resolution_fraction=0.7, blur_sigma_px=1.0)
    for seed in range(20):
        kept = augment(small, lossy, np.random.default_rng(seed), own_px=16)
        assert np.abs(kept - augment(small, no_changes(), np.random.default_rng(seed))).max() < 1e-5
    changed = [np.abs(augment(small, lossy, np.random.default_rng(seed)) - small).max() for seed in range(20)]
    assert max(changed) > 0.02


def test_noise_has_the_size_of_the_films_own_pixels() -> None:
    grey = np.full((64, 64), 0.5, np.float32)
    noisy = dataclasses.replace(no_changes(), noise_sigma_fraction=0.08)
    for own_px, is_smooth in ((16, True), (64, False)):
        film = augment(grey, noisy, np.random.default_rng(1), own_px=own_px)
        step, spread = np.abs(np.diff(film, axis=1)).mean(), film.std()
        assert (step < 0.5 * spread) == is_smooth


def test_some_films_are_sharpened_in_place_of_being_blurred() -> None:
    film = cv2.GaussianBlur(np.random.default_rng(0).random((64, 64), np.float32), (0, 0), 2)
    blurring = dataclasses.replace(no_changes(), blur_sigma_px=2.0)
    sharpening = dataclasses.replace(blurring, sharpen_amount=2.0)
    edges = {
        name: [np.abs(np.diff(augment(film, policy, np.random.default_rng(seed)))).mean() for seed in range(20)]
        for name, policy in (("as is", no_changes()), ("blur", blurring), ("sharpen", sharpening))
    }
    assert all(np.array(edges["blur"]) <= np.array(edges["as is"]))
    sharper = np.array(edges["sharpen"]) > np.array(edges["as is"])
    assert 4 <= sharper.sum() <= 16
    assert np.array_equal(np.array(edges["sharpen"])[~sharper], np.array(edges["blur"])[~sharper])
