"""What taking noise out does to films."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hilum.judge.image_quality import (
    DOSES,
    add_noise,
    edge_sharpness,
    edges_kept,
    fidelity,
    measure_quality,
    residual_likeness,
    rib_contrast,
)


def blur(film: np.ndarray, _: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(film, (0, 0), 2.0), np.float32)


def keep(film: np.ndarray, _: float) -> np.ndarray:
    return film


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    y, x = np.mgrid[:96, :96]
    return (0.45 + 0.2 * np.sign(np.sin(x / 6)) * np.cos(y / 15)).astype(np.float32)


def test_fewer_quanta_and_denser_parts_are_noisier(film: np.ndarray) -> None:
    flat = {value: np.full((128, 128), value, np.float32) for value in (0.3, 0.7)}
    spread = {
        (value, dose): add_noise(one, DOSES[dose], np.random.default_rng(1)).std()
        for value, one in flat.items()
        for dose in DOSES
    }
    assert spread[0.3, "high"] < spread[0.3, "medium"] < spread[0.3, "low"]
    assert spread[0.7, "high"] > 1.3 * spread[0.3, "high"]
    # Poisson: sigma of the count's logarithm, over the logarithm of the range
    expected = np.sqrt(1 / (DOSES["high"] * np.exp(-0.6)) + (1.5 / (DOSES["high"] * np.exp(-0.6))) ** 2) / 2
    assert spread[0.3, "high"] == pytest.approx(expected, rel=0.05)
    assert add_noise(flat[0.3], DOSES["high"], np.random.default_rng(1)).mean() == pytest.approx(0.3, abs=0.002)


def test_fidelity_is_that_of_the_definition(film: np.ndarray) -> None:
    assert fidelity(film, film) == {"psnr": 99.0, "ssim": pytest.approx(1.0)}
    shifted = fidelity(film, film + np.float32(0.1))
    assert shifted["psnr"] == pytest.approx(20.0, abs=0.01)


def test_blurring_loses_edges_and_leaves_anatomy_in_the_residual(film: np.ndarray) -> None:
    assert edges_kept(film, film) == pytest.approx(1.0)
    assert edges_kept(film, blur(film, 0)) < 0.6
    noisy = add_noise(film, 500, np.random.default_rng(2))
    assert residual_likeness(film, noisy, noisy) == 0.0
    assert residual_likeness(film, noisy, film) == 0.0  # just the noise was taken out
    assert residual_likeness(film, noisy, blur(noisy, 0)) > 0.3


def test_a_blurred_edge_is_less_sharp_by_as_much_as_theory_says() -> None:
    sharp, soft = edge_sharpness(keep, None), edge_sharpness(blur, None)
    assert sharp > 0.3
    assert soft == pytest.approx(np.sqrt(np.log(2) / 2) / (np.pi * 2.0), rel=0.1)  # of a Gaussian, sigma 2 px
    assert edge_sharpness(keep, 2000) == pytest.approx(sharp, rel=0.2)


def test_ribs_stand_out_more_where_noise_is_gone() -> None:
    mild = rib_contrast(lambda film, _: np.asarray(cv2.GaussianBlur(film, (0, 0), 0.8), np.float32), 125)
    assert mild > 1.3 * rib_contrast(keep, 125)
    assert rib_contrast(lambda film, _: blur(film, 0), 125) < mild  # blurred away, ribs do not stand out
    assert rib_contrast(keep, 2000) > 1.5 * rib_contrast(keep, 125)


def test_quality_is_measured_at_every_dose(film: np.ndarray) -> None:
    noisy = {dose: [add_noise(film, quanta, np.random.default_rng(3))] for dose, quanta in DOSES.items()}
    kept, blurred = (measure_quality([film], noisy, clean_up) for clean_up in (keep, blur))
    assert list(kept.fidelity) == list(DOSES)
    assert kept.fidelity["low"]["psnr"] < kept.fidelity["high"]["psnr"]
    assert kept.clean == {"psnr": 99.0, "edges_kept": pytest.approx(1.0)}
    assert blurred.clean["edges_kept"] < 0.6
    assert kept.residual_likeness < blurred.residual_likeness
    assert blurred.structure["mtf50_clean"] < kept.structure["mtf50_clean"]
