"""Drawings for the gate: pictures of many kinds, none like another, from chance alone."""

from __future__ import annotations

import numpy as np
import pytest

from gate_drawings import DRAWINGS, draw_lateral, draw_other
from hilum.film.radiograph import Radiograph
from hilum.run.gate import refusals


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_shows_something_and_never_the_same(name: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [np.clip(DRAWINGS[name](rng, 96), 0, 1) for _ in range(4)]
    assert all(picture.shape == (96, 96) and np.isfinite(picture).all() for picture in pictures)
    assert sum(float(picture.std()) > 0.02 for picture in pictures) >= 3
    assert len({picture.tobytes() for picture in pictures}) == 4


@pytest.mark.parametrize("draw", [draw_other, draw_lateral])
def test_the_same_chance_draws_the_same(draw: object) -> None:
    first, again, other = (draw(np.random.default_rng(seed), size_px=64) for seed in (3, 3, 4))  # type: ignore[operator]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first.shape, first.dtype) == ((64, 64), np.float32)
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_gate_knows_drawings_it_has_not_seen() -> None:
    rng = np.random.default_rng(12345)
    films = [draw_lateral(rng, size_px=128) for _ in range(20)]
    others = [draw_other(rng, size_px=128) for _ in range(40)]

    def codes(pictures: list[np.ndarray]) -> list[str]:
        reasons = [refusals(Radiograph(picture, "png", picture.shape, 8)) for picture in pictures]
        return [reason[0].code if reason else "" for reason in reasons]

    assert codes(films).count("lateral") >= 17
    assert codes(others).count("") <= 1
