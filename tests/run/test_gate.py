"""The gate: what is refused, and that a usual film is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.film.radiograph import Radiograph
from hilum.run.gate import MIN_SIDE_PX, refusals


def film(pixels: np.ndarray | None = None, **changes: Any) -> Radiograph:
    if pixels is None:
        pixels = draw_phantom("Normal", np.random.default_rng(0), size_px=128).astype(np.float32) / 255
    facts = {"file_format": "png", "original_size_px": pixels.shape, "bit_depth": 8}
    return Radiograph(pixels, **{**facts, **changes})


def codes(radiograph: Radiograph) -> list[str]:
    return [reason.code for reason in refusals(radiograph)]


def test_a_usual_film_is_let_through() -> None:
    assert codes(film()) == []


@pytest.mark.parametrize("view", [None, "PA", "AP", ""])
def test_frontal_and_unknown_views_are_let_through(view: str | None) -> None:
    assert codes(film(view_position=view)) == []


@pytest.mark.parametrize("view", ["LATERAL", "LL", "rl", "LLD"])
def test_lateral_views_are_refused(view: str) -> None:
    assert codes(film(view_position=view)) == ["lateral"]


@pytest.mark.parametrize(
    ("size_px", "refused"), [((MIN_SIDE_PX, 500), False), ((MIN_SIDE_PX - 1, 500), True), ((500, 63), True)]
)
def test_the_size_in_the_file_counts_not_the_decoded_one(size_px: tuple[int, int], refused: bool) -> None:
    assert codes(film(original_size_px=size_px)) == (["too-small"] if refused else [])


def test_a_film_without_contrast_is_refused() -> None:
    noise = np.random.default_rng(0).normal(0, 0.005, (100, 100)).astype(np.float32)
    assert codes(film(0.5 + noise)) == ["constant"]
    assert codes(film(0.5 + 10 * noise)) == []


def test_all_reasons_are_told_in_sentences() -> None:
    reasons = refusals(film(np.zeros((10, 20), np.float32), view_position="LATERAL"))
    assert [reason.code for reason in reasons] == ["too-small", "constant", "lateral"]
    assert "20x10 pixels" in reasons[0].message
    assert all(reason.message.endswith(".") for reason in reasons)
