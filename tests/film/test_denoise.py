"""Taking noise out of films."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.errors import MissingExtra
from hilum.film.denoise import DENOISERS, LEAST_NOISE, METHODS, apply_method, denoise, estimate_noise


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    film = draw_phantom("Normal", np.random.default_rng(3), size_px=128).astype(np.float32) / 255
    from cv2 import GaussianBlur

    return np.asarray(GaussianBlur(film, (0, 0), 1.5), np.float32)


def noisy(film: np.ndarray, sigma: float) -> np.ndarray:
    chance = np.random.default_rng(0)
    return np.clip(film + chance.normal(0, sigma, film.shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_the_noise_is_found(clean: np.ndarray, sigma: float) -> None:
    inside = clean * 0.4 + 0.3  # nothing is clipped
    assert estimate_noise(noisy(inside, sigma)) == pytest.approx(sigma, rel=0.1)
    assert estimate_noise(clean[:127, :99]) < LEAST_NOISE


@pytest.mark.parametrize("name", [one for one in METHODS if METHODS[one].kind == "denoise" and one != "none"])
def test_every_method_comes_nearer_to_the_film_without_noise(clean: np.ndarray, name: str) -> None:
    film = noisy(clean, 0.05)
    cleaned = apply_method(film, name, 0.05)
    assert cleaned.dtype == np.float32
    assert cleaned.shape == film.shape
    assert 0 <= cleaned.min() <= cleaned.max() <= 1
    assert np.square(cleaned - clean).mean() < 0.6 * np.square(film - clean).mean()


def test_a_clean_film_is_left_alone_and_a_noisy_one_is_not(clean: np.ndarray) -> None:
    for name in DENOISERS:
        assert denoise(clean, name) is clean
        film = noisy(clean, 0.06)
        assert np.array_equal(denoise(film, name), apply_method(film, name, estimate_noise(film)))
        assert not np.array_equal(denoise(film, name), film)
    assert denoise(film, "none") is film


def test_what_is_offered_needs_the_core_dependencies_only(clean: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **words: Any) -> Any:
        if name.split(".", maxsplit=1)[0] in {"skimage", "pywt"}:
            raise ImportError(name)
        return real(name, *rest, **words)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in DENOISERS:
        apply_method(noisy(clean, 0.05), name, 0.05)
    for name in set(METHODS) - set(DENOISERS) - {"none", "clahe"}:
        with pytest.raises(MissingExtra, match=r"\[study\]"):
            apply_method(clean, name, 0.05)


def test_clahe_spreads_contrast(clean: np.ndarray) -> None:
    flat = clean * 0.2 + 0.4
    assert apply_method(flat, "clahe", 0.0).std() > 1.5 * flat.std()
    assert "clahe" not in DENOISERS
