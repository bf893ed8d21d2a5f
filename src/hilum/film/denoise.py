"""Denoises films at the network's size by classical methods, with a strength that follows the noise of the film.

A film is denoised after its grey values are stretched to [0, 1] and before equalisation, which amplifies noise
differently at each grey value. ``denoise``, used in the preprocessing, leaves films with little noise unchanged, since
every method removes some detail. It offers only methods that need the core dependencies (OpenCV, numpy), so that every
installation can serve the model; the others are for comparison (`hilum study noise`).

Sources:
    Donoho, Johnstone 1994, Ideal spatial adaptation by wavelet shrinkage (noise from the median of the finest details).
    Tomasi, Manduchi 1998, Bilateral filtering for gray and color images.
    Buades, Coll, Morel 2005, A non-local algorithm for image denoising.
    Chang, Yu, Vetterli 2000, Adaptive wavelet thresholding for image denoising and compression (BayesShrink).
    Coifman, Donoho 1995, Translation-invariant de-noising (cycle spinning).
    Rudin, Osher, Fatemi 1992; Chambolle 2004 (total variation).
    Zuiderveld 1994, Contrast limited adaptive histogram equalization (CLAHE).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.errors import MissingExtra

__all__ = ["DENOISERS", "LEAST_NOISE", "METHODS", "Method", "apply_method", "denoise", "estimate_noise"]

Image = NDArray[np.float32]

LEAST_NOISE = 0.02  # sigma as a share of the range; films with less noise are left unchanged
_NORMAL_MEDIAN = 0.6745  # the median of the absolute value of a standard normal variable


@dataclass(frozen=True)
class Method:
    """One way to change a film.

    Attributes:
        name: Its name in settings and in study.json.
        title: Its name on a page.
        settings: Its parameters in words, with s for the estimated noise.
        apply: Takes a film (H, W) float32 in [0, 1] and its noise; returns a film of the same size.
        kind: ``denoise`` or ``contrast``.
        served: Whether it needs only the core dependencies and can be a preprocessing setting.
    """

    name: str
    title: str
    settings: str
    apply: Callable[[Image, float], Image]
    kind: str = "denoise"
    served: bool = True


def estimate_noise(film: Image) -> float:
    """Return the standard deviation of a film's noise, as a share of the range.

    It is estimated from the median of the finest diagonal details, to which anatomy adds little. It is too low for
    films that were enlarged or strongly compressed.

    Args:
        film: (H, W) float32 in [0, 1], not equalised, with at least two pixels a side.
    """
    even = film[: film.shape[0] // 2 * 2, : film.shape[1] // 2 * 2]
    details = (even[::2, ::2] - even[::2, 1::2] - even[1::2, ::2] + even[1::2, 1::2]) / 2
    return float(np.median(np.abs(details)) / _NORMAL_MEDIAN)


def denoise(film: Image, name: str) -> Image:
    """Return the denoised film, or the film itself if it has little noise or the method is ``none``.

    Args:
        film: (H, W) float32 in [0, 1], not equalised.
        name: ``none`` or one of DENOISERS.

    Returns:
        (H, W) float32 in [0, 1].
    """
    if name == "none":
        return film
    noise = estimate_noise(film)
    return film if noise < LEAST_NOISE else apply_method(film, name, noise)


def apply_method(film: Image, name: str, noise: float) -> Image:
    """Return the film changed by a method.

    Args:
        film: (H, W) float32 in [0, 1], not equalised.
        name: One of METHODS.
        noise: The noise to remove, as a share of the range.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        MissingExtra: The method needs scikit-image and PyWavelets, which are not installed.
    """
    return np.clip(METHODS[name].apply(film, noise), 0.0, 1.0, dtype=np.float32)


def _none(film: Image, _: float) -> Image:
    return film


def _median(film: Image, noise: float) -> Image:
    return np.asarray(cv2.medianBlur(film, 3 if noise < 0.06 else 5), np.float32)


def _gaussian(film: Image, noise: float) -> Image:
    sigma_px = min(max(0.3 + 10 * noise, 0.4), 2.0)
    return np.asarray(cv2.GaussianBlur(film, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), np.float32)


def _bilateral(film: Image, noise: float) -> Image:
    return np.asarray(cv2.bilateralFilter(film, 7, 3.5 * noise, 1.2, borderType=cv2.BORDER_REPLICATE), np.float32)


def _non_local_means(film: Image, noise: float) -> Image:
    grey = np.rint(film * np.float32(255)).astype(np.uint8)
    strength = max(1.2 * noise * 255, 0.5)
    cleaned = cv2.fastNlMeansDenoising(grey, None, h=strength, templateWindowSize=5, searchWindowSize=13)
    return cleaned.astype(np.float32) / np.float32(255)


def _wavelet(film: Image, noise: float) -> Image:
    try:
        import pywt  # noqa: F401 - scikit-image needs it
        from skimage.restoration import denoise_wavelet
    except ImportError as error:
        raise MissingExtra("Denoising by wavelets", "study") from error
    return np.asarray(
        denoise_wavelet(film, sigma=noise, wavelet="sym4", method="BayesShrink", mode="soft", rescale_sigma=False),
        np.float32,
    )


def _spun_wavelet(film: Image, noise: float) -> Image:
    """Return the mean over shifted films, each denoised and shifted back (cycle spinning)."""
    shifts = [(0, 0), (1, 0), (0, 1), (1, 1)]
    spun = [np.roll(_wavelet(np.roll(film, shift, (0, 1)), noise), (-shift[0], -shift[1]), (0, 1)) for shift in shifts]
    return np.asarray(np.mean(spun, axis=0), np.float32)


def _total_variation(film: Image, noise: float) -> Image:
    try:
        from skimage.restoration import denoise_tv_chambolle
    except ImportError as error:
        raise MissingExtra("Denoising by total variation", "study") from error
    return np.asarray(denoise_tv_chambolle(film, weight=max(0.9 * noise, 1e-4), max_num_iter=60), np.float32)


def _clahe(film: Image, _: float) -> Image:
    levels = np.rint(film * np.float32(255)).astype(np.uint8)
    return cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(levels).astype(np.float32) / np.float32(255)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("none", "None", "the film as it is", _none),
        Method("median", "Median", "3 x 3 pixels, 5 x 5 from s = 0.06", _median),
        Method("gaussian", "Gaussian", "sigma 0.3 + 10 s pixels, 0.4 to 2", _gaussian),
        Method("bilateral", "Bilateral", "7 pixels, 1.2 pixels in space, 3.5 s in grey value", _bilateral),
        Method("nlm", "Non-local means", "h = 1.2 s, patch 5, search 13 pixels, 8 bits", _non_local_means),
        Method("wavelet", "Wavelet", "BayesShrink, sym4, soft", _wavelet, served=False),
        Method("wavelet-spun", "Wavelet, cycle-spun", "the same, mean of 4 shifts", _spun_wavelet, served=False),
        Method("tv", "Total variation", "Chambolle, weight 0.9 s", _total_variation, served=False),
        Method("clahe", "CLAHE", "8 x 8 tiles, clip limit 2", _clahe, kind="contrast"),
    )
}
DENOISERS: tuple[str, ...] = tuple(
    one.name for one in METHODS.values() if one.served and one.kind == "denoise" and one.name != "none"
)
