"""The one preprocessing, pinned by numbers: a change here changes every model's answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hilum.data.phantom import draw_phantom
from hilum.errors import ConfigError
from hilum.film.decode import decode, read_film
from hilum.film.denoise import denoise
from hilum.film.preprocess import Preprocessing, equalized, preprocess
from hilum.film.radiograph import Radiograph


def film(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels.astype(np.float32), "png", pixels.shape, 8)


def test_golden_pixels() -> None:
    rows, columns = np.mgrid[0:48, 0:40]
    picture = ((7 * rows * rows + 13 * columns * rows + 5 * columns) % 251) / 250
    network_input = preprocess(film(picture), Preprocessing(size_px=16, equalize=False))[0]
    expected = [
        [0.0, 0.566048, 0.624286, 0.975395],
        [0.530015, 0.513256, 0.448732, 0.326808],
        [0.450408, 0.486441, 0.299155, 0.650683],
        [0.396778, 0.485603, 0.596214, 0.579874],
    ]
    np.testing.assert_allclose(network_input[::5, ::5], expected, atol=5e-6)


def box_average(num_from: int, num_to: int) -> np.ndarray:
    """The exact area average as a matrix (num_to, num_from)."""
    step = num_from / num_to
    edges = np.arange(num_from + 1)
    weights = np.zeros((num_to, num_from))
    for row in range(num_to):
        covered = np.clip(edges, row * step, (row + 1) * step)
        weights[row] = np.diff(covered) / step
    return weights


def test_shrinking_is_the_exact_area_average() -> None:
    picture = np.random.default_rng(11).random((151, 97))
    average = box_average(151, 32) @ picture @ box_average(97, 32).T
    low, high = np.percentile(average, [0.5, 99.5])
    network_input = preprocess(film(picture), Preprocessing(size_px=32, equalize=False))
    np.testing.assert_allclose(network_input[0], np.clip((average - low) / (high - low), 0, 1), atol=1e-5)


def test_shape_range_and_window() -> None:
    picture = np.linspace(0.2, 0.6, 300 * 200).reshape(300, 200)
    network_input = preprocess(film(picture), Preprocessing(size_px=64, window_percentiles=(1, 99), equalize=False))
    assert network_input.shape == (1, 64, 64)
    assert network_input.dtype == np.float32
    assert network_input.flags.c_contiguous
    assert network_input.min() == 0
    assert network_input.max() == 1
    assert np.mean(network_input == 0) == pytest.approx(0.01, abs=0.002)
    assert np.mean(network_input == 1) == pytest.approx(0.01, abs=0.002)


def striped(picture: np.ndarray) -> np.ndarray:
    """Return a picture whose every 16th column is white: a sample of the values would be misled."""
    return np.where(np.arange(picture.shape[1]) % 16 == 0, 1.0, 0.5 * picture)


@pytest.mark.parametrize("percentiles", [(2, 97), (0, 100), (0.5, 99.5), (40, 50), (60, 98)])
@pytest.mark.parametrize("change", [np.copy, striped, np.sort, lambda one: np.rint(9 * one) / 9])
def test_percentiles_are_numpys(percentiles: tuple[float, float], change: Callable[[np.ndarray], np.ndarray]) -> None:
    picture = change(np.random.default_rng(3).random((64, 64))).astype(np.float32)
    low, high = np.percentile(picture, percentiles)
    expected = np.clip((picture - low) / (high - low), 0, 1)
    preprocessing = Preprocessing(size_px=64, window_percentiles=percentiles, equalize=False)
    np.testing.assert_allclose(preprocess(film(picture), preprocessing)[0], expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_film_without_contrast_gives_zeros(value: float) -> None:
    assert not preprocess(film(np.full((50, 60), value)), Preprocessing()).any()


def test_exposure_and_bit_depth_do_not_matter() -> None:
    picture = np.random.default_rng(1).random((80, 90))
    bright = preprocess(film(picture), Preprocessing(size_px=32, equalize=False))
    dark = preprocess(film(picture / 16 + 0.01), Preprocessing(size_px=32, equalize=False))  # 12 bits in 16
    np.testing.assert_allclose(bright, dark, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (20, 400), (400, 20), (224, 224), (3, 3)])
def test_any_shape_becomes_the_square(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(5).random(shape)
    network_input = preprocess(film(picture), Preprocessing())
    assert network_input.shape == (1, 224, 224)
    assert np.isfinite(network_input).all()


def test_a_shrinking_side_is_averaged_even_when_the_other_grows() -> None:
    stripes = np.tile([0.0, 1.0], 512)  # (1024,), averages to a half over any even run
    picture = np.vstack([np.tile(stripes, (8, 1)), np.zeros((4, 1024))])  # (12, 1024)
    network_input = preprocess(film(picture), Preprocessing(size_px=64, window_percentiles=(0, 100), equalize=False))
    assert network_input[0, :30].std() < 1e-5


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=60), elements=st.floats(0, 1, width=32)),
    st.integers(16, 80),
)
def test_always_finite_and_in_range(picture: np.ndarray, size_px: int) -> None:
    network_input = preprocess(film(picture), Preprocessing(size_px=size_px))
    assert network_input.shape == (1, size_px, size_px)
    assert np.isfinite(network_input).all()
    assert network_input.min() >= 0
    assert network_input.max() <= 1


def test_settings_travel_through_json() -> None:
    preprocessing = Preprocessing(size_px=320, window_percentiles=(1, 98.5))
    assert preprocessing.to_dict() == {"size_px": 320, "window_percentiles": [1.0, 98.5], "equalize": True}
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
    assert Preprocessing.from_dict({}) == Preprocessing()


def test_an_unknown_setting_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean `size_px`"):
        Preprocessing.from_dict({"size": 224})


@pytest.mark.parametrize("size_px", [0, 15, 5000, 224.0, "224", True, None])
def test_a_wrong_size_is_an_error(size_px: object) -> None:
    with pytest.raises(ConfigError, match="size_px"):
        Preprocessing.from_dict({"size_px": size_px})


@pytest.mark.parametrize("percentiles", [[5], [50, 50], [99, 1], [-1, 99], [0, 101], "ab", None, [float("nan"), 99], 5])
def test_a_wrong_window_is_an_error(percentiles: object) -> None:
    with pytest.raises(ConfigError, match="window_percentiles"):
        Preprocessing.from_dict({"window_percentiles": percentiles})


def test_reduced_scale_decoding_changes_little(hilum_data: Path) -> None:
    paths = sorted((hilum_data / "covid19-image-dataset" / "test").rglob("*.jp*g"))[::8]
    assert len(paths) >= 6
    for path in paths:
        full = preprocess(read_film(path), Preprocessing())
        reduced = preprocess(read_film(path, min_side_px=Preprocessing().decoded_px), Preprocessing())
        assert np.abs(full - reduced).mean() < 0.02, path.name


def test_equalising_makes_every_grey_value_as_frequent() -> None:
    picture = np.random.default_rng(3).beta(2, 8, (224, 224))
    network_input = preprocess(film(picture), Preprocessing())
    assert network_input.dtype == np.float32
    assert network_input.flags.c_contiguous
    np.testing.assert_allclose(np.histogram(network_input, bins=8, range=(0, 1))[0] / 224**2, 1 / 8, atol=0.02)


def test_equalising_makes_a_film_look_the_same_under_another_exposure() -> None:
    picture = np.random.default_rng(4).random((128, 128))
    usual = preprocess(film(picture), Preprocessing(size_px=128))
    harder = preprocess(film(picture**2.2), Preprocessing(size_px=128))
    assert np.abs(usual - harder).mean() < 0.04
    unequalised = [preprocess(film(p), Preprocessing(size_px=128, equalize=False)) for p in (picture, picture**2.2)]
    assert np.abs(unequalised[0] - unequalised[1]).mean() > 0.1


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_equalize_must_be_true_or_false(value: object) -> None:
    with pytest.raises(ConfigError, match="`equalize` must be true or false"):
        Preprocessing.from_dict({"equalize": value})


def test_settings_of_earlier_versions_load_unless_they_crop_films() -> None:
    assert Preprocessing.from_dict({"size_px": 160, "lung_crop": False}) == Preprocessing(size_px=160)
    for value in (True, "yes", 1, None):
        with pytest.raises(ConfigError, match=r"`preprocessing\.lung_crop` no longer exists") as caught:
            Preprocessing.from_dict({"lung_crop": value})
        assert "Remove `lung_crop`" in caught.value.fix


@pytest.mark.parametrize("side_px", [300, 601, 602, 1003])
def test_a_film_is_seen_alike_as_jpeg_and_without_loss(side_px: int) -> None:
    """A JPEG is reduced as it is decoded, the same film in full when it is preprocessed; both come out alike."""
    settings, rng = Preprocessing(size_px=64), np.random.default_rng(0)
    pixels = draw_phantom("Covid-19", rng, size_px=side_px)
    noisy = np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    in_full = decode(jpeg)
    reduced = decode(jpeg, min_side_px=settings.decoded_px)
    assert reduced.pixels.size < 0.3 * in_full.pixels.size
    difference = np.abs(preprocess(reduced, settings) - preprocess(in_full, settings)).mean()
    assert difference < 0.004
    close = decode(jpeg, min_side_px=settings.size_px)  # no more pixels than are shown
    assert np.abs(preprocess(close, settings) - preprocess(in_full, settings)).mean() > 5 * difference


def test_noise_is_taken_out_before_equalising_and_only_of_noisy_films() -> None:
    chance = np.random.default_rng(0)
    smooth = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    noisy = np.clip(smooth + chance.normal(0, 0.05, smooth.shape), 0, 1).astype(np.float32)
    plain, cleaned = (Preprocessing(size_px=64, denoise=name) for name in ("none", "median"))
    assert np.array_equal(preprocess(film(smooth), plain), preprocess(film(smooth), cleaned))
    before, after = (preprocess(film(noisy), one)[0] for one in (plain, cleaned))
    assert np.abs(np.diff(after, axis=0)).mean() < 0.5 * np.abs(np.diff(before, axis=0)).mean()
    window = preprocess(film(noisy), Preprocessing(size_px=64, equalize=False))[0]
    assert np.array_equal(after, equalized(denoise(window, "median")))


def test_denoising_travels_and_files_without_it_still_load() -> None:
    chosen = Preprocessing(denoise="bilateral")
    assert chosen.to_dict()["denoise"] == "bilateral"
    assert Preprocessing.from_dict(chosen.to_dict()) == chosen
    assert "denoise" not in Preprocessing().to_dict()
    old = {"size_px": 224, "window_percentiles": [0.5, 99.5], "equalize": True}
    assert Preprocessing.from_dict(old).denoise == "none"
    assert chosen.decoded_px == 448
    for name in ("medain", "wavelet", 3):
        with pytest.raises(ConfigError, match="denoise"):
            Preprocessing.from_dict({"denoise": name})
