"""One picture laid on another: copies agree, other pictures do not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hilum.data.alignment import MIN_ALIGNED_CORRELATION, MIN_FINE_CORRELATION, align, even_contrast, without_margins
from hilum.data.phantom import draw_phantom


def thumbnail(seed: int, cut: int = 0) -> np.ndarray:
    film = draw_phantom("Normal", np.random.default_rng(seed), size_px=256)
    return cv2.resize(film[cut:, cut:], (64, 64), interpolation=cv2.INTER_AREA)


def test_an_equalised_copy_agrees_in_its_details() -> None:
    film = draw_phantom("Normal", np.random.default_rng(6), size_px=256)
    equal = cv2.createCLAHE(4.0, (8, 8)).apply(film)
    one, other = (cv2.resize(some, (64, 64), interpolation=cv2.INTER_AREA) for some in (film, equal))
    alignment = align(one, other, (0.0, 0.0, 0.0, 0.0), evened=(even_contrast(one), even_contrast(other)))
    assert alignment.agrees
    assert alignment.fine > MIN_FINE_CORRELATION
    assert not align(one, thumbnail(7), (0.0,) * 4, evened=(even_contrast(one), even_contrast(thumbnail(7)))).agrees


def laid(one: np.ndarray, other: np.ndarray, window: tuple[float, float, float, float]) -> tuple[float, float]:
    alignment = align(one, other, window, evened=(even_contrast(one), even_contrast(other)))
    return alignment.correlation, alignment.cut


def test_a_cut_out_agrees_and_its_cut_is_measured() -> None:
    correlation, cut = laid(thumbnail(0), thumbnail(0, cut=20), (0.07, 0.0, 0.07, 0.0))
    assert correlation > MIN_ALIGNED_CORRELATION
    assert cut == pytest.approx(20 / 256, abs=0.02)


def test_the_same_picture_agrees_wholly() -> None:
    correlation, cut = laid(thumbnail(1), thumbnail(1), (0.0, 0.0, 0.0, 0.0))
    assert correlation == pytest.approx(1, abs=1e-3)
    assert cut < 0.01


def test_other_pictures_do_not_agree() -> None:
    assert laid(thumbnail(2), thumbnail(3), (0.0, 0.0, 0.0, 0.0))[0] < MIN_ALIGNED_CORRELATION
    flat = np.full((64, 64), 90, np.uint8)
    assert laid(flat, thumbnail(3), (0.0, 0.0, 0.0, 0.0))[0] == 0


def test_flat_margins_are_cut_off_and_nothing_else() -> None:
    inner = thumbnail(4)
    assert without_margins(inner) is inner
    framed = cv2.copyMakeBorder(inner, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=0)
    framed = cv2.resize(framed, (64, 64), interpolation=cv2.INTER_AREA)
    trimmed = without_margins(framed).astype(float)
    assert np.corrcoef(trimmed.ravel(), inner.ravel())[0, 1] > 0.95
    flat = np.zeros((64, 64), np.uint8)
    assert without_margins(flat) is flat


def test_contrast_and_shading_do_not_count() -> None:
    picture = thumbnail(5)
    changed = (40 + 0.5 * picture + np.linspace(0, 60, 64)[:, None]).astype(np.uint8)
    one, other = even_contrast(picture).ravel(), even_contrast(changed).ravel()
    assert np.corrcoef(one, other)[0, 1] > 0.93
