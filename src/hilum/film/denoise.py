"""Taking noise out of a film at the network's size: classical methods, each set by the noise found in the film itself.

A method acts on a film whose grey values have been stretched to [0, 1] and that has not been equalised yet:
equalising multiplies noise by another factor at every grey value. ``denoise`` is what the preprocessing does; it leaves
films alone in which hardly any noise is found, since every method costs a clean film some detail. Only methods that
need nothing beyond the core dependencies (OpenCV, numpy) are offered there, as a model file must be served wherever
hilum runs; the others are here to be compared with (`hilum study noise`).

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

LEAST_NOISE = 0.02  # sigma, of the range: below it a film counts as clean and is left alone
_NORMAL_MEDIAN = 0.6745  # the median of the absolute value of a standard normal variable


@dataclass(frozen=True)
class Method:
    """One way to change a film.

    Attributes:
        name: As a setting and in study.json.
        title: As a page has it.
        settings: Its parameters in words, with s for the noise found.
        apply: Takes a film (H, W) float32 in [0, 1] and its noise; returns one as large.
        kind: ``denoise`` or ``contrast``.
        served: Whether the core dependencies suffice, so that it may be a preprocessing option.
    """

    name: str
    title: str
    settings: str
    apply: Callable[[Image, float], Image]
    kind: str = "denoise"
    served: bool = True


def estimate_noise(film: Image) -> float:
    """Return the standard deviation of a film's noise, as a share of the range.

    It is read off the finest diagonal details, of which anatomy has few: a median does not see those few. Of a film
    that was enlarged, or compressed hard, it is too low.

    Args:
        film: (H, W) float32 in [0, 1], not equalised, with at least two pixels a side.
    """
    even = film[: film.shape[0] // 2 * 2, : film.shape[1] // 2 * 2]
    details = (even[::2, ::2] - even[::2, 1::2] - even[1::2, ::2] + even[1::2, 1::2]) / 2
    return float(np.median(np.abs(details)) / _NORMAL_MEDIAN)


def denoise(film: Image, name: str) -> Image:
    """Return the film without its noise, or the film itself where it is clean or nothing is asked for.

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
    """Return the film changed by a method, whatever its noise.

    Args:
        film: (H, W) float32 in [0, 1], not equalised.
        name: One of METHODS.
        noise: What the method is to take out, as a share of the range.

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
        import pywt  # noqa: F401 - scikit-image imports it when it is first asked
        from skimage.restoration import denoise_wavelet
    except ImportError as error:
        raise MissingExtra("Denoising by wavelets", "study") from error
    return np.asarray(
        denoise_wavelet(film, sigma=noise, wavelet="sym4", method="BayesShrink", mode="soft", rescale_sigma=False),
        np.float32,
    )


def _spun_wavelet(film: Image, noise: float) -> Image:
    """Return the mean over shifted films, each shrunk and shifted back: no edge is seen at one phase alone."""
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
