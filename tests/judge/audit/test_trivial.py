"""What each trivial model sees: no more than it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.judge.audit.traits import FilmTraits
from hilum.judge.audit.trivial import TRIVIAL_MODELS, black_centre

BY_NAME = {model.name: model for model in TRIVIAL_MODELS}


def traits_of(thumbnail: np.ndarray) -> FilmTraits:
    return FilmTraits(
        thumbnail, "png", (96, 80), 8, "grey", 0, 0.5, np.zeros(4, np.float32), np.zeros(4, bool), None, ()
    )


@pytest.fixture
def film() -> FilmTraits:
    return traits_of(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8))


def test_a_thumbnail_is_the_mean_of_blocks(film: FilmTraits) -> None:
    seen = BY_NAME["thumbnail_8"].features([film, film])
    assert seen.shape == (2, 64)
    assert seen[0, 0] == pytest.approx(film.thumbnail[:4, :4].mean())
    assert BY_NAME["thumbnail_16"].features([film]).shape == (1, 256)


@pytest.mark.parametrize(("name", "depth_px"), [("center_blacked", 3), ("border_only", 1)])
def test_models_without_lungs_do_not_see_the_centre(film: FilmTraits, name: str, depth_px: int) -> None:
    inside = film.thumbnail.copy()
    inside[depth_px:-depth_px, depth_px:-depth_px] ^= 255
    features = BY_NAME[name].features
    assert np.array_equal(features([film]), features([traits_of(inside)]))
    outside = film.thumbnail.copy()
    outside[depth_px - 1, 5] ^= 255
    assert not np.array_equal(features([film]), features([traits_of(outside)]))
    assert np.count_nonzero(black_centre(film.thumbnail, depth_px)[depth_px:-depth_px, depth_px:-depth_px]) == 0
    assert features([film]).shape[1] == 32**2 - (32 - 2 * depth_px) ** 2


def test_the_blacked_out_centre_is_81_percent_of_each_side() -> None:
    assert round(100 * (32 - 2 * 3) / 32) == 81
    assert (black_centre(np.full((32, 32), 9, np.uint8)) == 0).sum() == 26 * 26


def test_metadata_tell_the_format_and_only_one_model_the_size(film: FilmTraits) -> None:
    other = dataclasses.replace(film, file_format="jpeg", jpeg_quality=90)
    larger = dataclasses.replace(film, size_px=(200, 80))
    for name, sees_size in (("metadata", True), ("metadata_without_size", False)):
        rows = BY_NAME[name].features([film, other, larger])
        assert not np.array_equal(rows[0], rows[1])
        assert np.array_equal(rows[0], rows[2]) != sees_size
