"""Measures what a method that removes noise does to films: how near they come to the clean films, and what is lost.

Noise is drawn as a detector makes it: counted quanta (Poisson) and electronics (Gaussian). Grey values count as the
logarithm of what passed through the patient, so dense parts are noisier. Everything is measured at the network's size,
on films stretched to [0, 1] and not equalised. None of this predicts what a classifier makes of the films.

Sources:
    Wang, Bovik, Sheikh, Simoncelli 2004, Image quality assessment: from error visibility to structural similarity.
    ISO 12233 (the slanted edge, from which the modulation transfer function is read).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.data.anatomy import draw_chest
from hilum.errors import MissingExtra
from hilum.film.denoise import LEAST_NOISE, estimate_noise

__all__ = [
    "DOSES",
    "QUALITY_DOSE",
    "Quality",
    "add_noise",
    "edge_sharpness",
    "edges_kept",
    "fidelity",
    "measure_quality",
    "residual_likeness",
    "rib_contrast",
]

Image = NDArray[np.float32]
Cleaner = Callable[[Image, float], Image]

DOSES: Mapping[str, float] = {"high": 2000.0, "medium": 500.0, "low": 125.0}  # quanta a pixel where nothing absorbs
QUALITY_DOSE = "medium"  # of ribs, edges and what is removed
_ABSORPTION = 2.0  # the natural logarithm of what separates black from white on a film
_ELECTRONICS = 1.5  # sigma of the electronics, in quanta
_EDGE_SHARE = 0.1  # the steepest pixels of a film count as its edges
_PHANTOM_PX = 224
_NUM_PHANTOMS = 6
_EDGE_DEGREES = 5.0
_EDGE_RUNS = 24
_EDGE_BINS = 4  # a pixel


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a method does to films whose noise is known.

    Attributes:
        n_quality: How many films were looked at.
        fidelity: By dose: ``psnr`` and ``ssim`` against the film without noise.
        clean: Of films without noise: ``psnr`` and ``edges_kept``.
        structure: ``rib_contrast``, ``mtf50`` and ``mtf50_clean``.
        residual_likeness: How much what it removes looks like anatomy.
        milliseconds: Of one core a film.
    """

    n_quality: int
    fidelity: Mapping[str, Mapping[str, float]]
    clean: Mapping[str, float]
    structure: Mapping[str, float]
    residual_likeness: float
    milliseconds: float


def measure_quality(clean: Sequence[Image], noisy: Mapping[str, Sequence[Image]], clean_up: Cleaner) -> Quality:
    """Return what a method does to films whose noise is known.

    Args:
        clean: Films (H, W) float32 in [0, 1].
        noisy: By dose, the same films with noise.
        clean_up: From a film and its noise to the film without it.
    """
    scores, seconds, likeness = {}, [], []
    for dose, films in noisy.items():
        found = []
        for film, noised in zip(clean, films, strict=True):
            began = time.process_time()
            cleaned = clean_up(noised, estimate_noise(noised))
            seconds.append(time.process_time() - began)
            found.append(fidelity(film, cleaned))
            if dose == QUALITY_DOSE:
                likeness.append(residual_likeness(film, noised, cleaned))
        scores[dose] = {key: float(np.mean([one[key] for one in found])) for key in ("psnr", "ssim")}
    harmed = [clean_up(film, estimate_noise(film)) for film in clean]
    return Quality(
        n_quality=len(clean),
        fidelity=scores,
        clean={
            "psnr": float(np.mean([fidelity(film, one)["psnr"] for film, one in zip(clean, harmed, strict=True)])),
            "edges_kept": float(np.mean([edges_kept(film, one) for film, one in zip(clean, harmed, strict=True)])),
        },
        structure={
            "rib_contrast": rib_contrast(clean_up, DOSES[QUALITY_DOSE]),
            "mtf50": edge_sharpness(clean_up, DOSES[QUALITY_DOSE]),
            "mtf50_clean": edge_sharpness(clean_up, None),
        },
        residual_likeness=float(np.mean(likeness)),
        milliseconds=1000 * float(np.median(seconds)),
    )


def add_noise(film: Image, quanta: float, rng: np.random.Generator) -> Image:
    """Return a film as fewer quanta would have drawn it, (H, W) float32 in [0, 1].

    Args:
        film: (H, W) float32 in [0, 1], bone bright.
        quanta: How many reach a pixel behind nothing; half of them, 1.4 times the noise.
        rng: Where the chance comes from.
    """
    passed = rng.poisson(quanta * np.exp(-_ABSORPTION * film.astype(np.float64)))
    counted = np.maximum(passed + rng.normal(0, _ELECTRONICS, film.shape), 1.0)
    return np.asarray(np.clip(-np.log(counted / quanta) / _ABSORPTION, 0, 1), np.float32)


def fidelity(clean: Image, film: Image) -> dict[str, float]:
    """Return how near a film comes to the clean one: ``psnr`` in dB (at most 99) and ``ssim``.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingExtra("Structural similarity", "study") from error
    error_power = float(np.mean(np.square(film - clean, dtype=np.float64)))
    psnr = 99.0 if error_power <= 0 else min(99.0, -10 * np.log10(error_power))
    return {"psnr": float(psnr), "ssim": float(structural_similarity(clean, film, data_range=1.0))}


def edges_kept(clean: Image, film: Image) -> float:
    """Return the film's steepness at the clean film's edges (its steepest tenth), as a share of the clean film's."""
    steep, found = _steepness(clean), _steepness(film)
    edges = steep >= np.quantile(steep, 1 - _EDGE_SHARE)
    return float(found[edges].sum() / max(float(steep[edges].sum()), 1e-9))


def residual_likeness(clean: Image, noisy: Image, film: Image) -> float:
    """Return how much what was taken out looks like anatomy: 0 not at all, 1 it is the anatomy.

    It is the correlation of the size of the residual with the steepness of the clean film, both smoothed, less the same
    correlation of the noise itself (which is stronger where the film is dense). Where nothing was taken out it is 0.

    Args:
        clean: (H, W) float32.
        noisy: The same film with noise.
        film: What the method made of it.
    """
    steep = cv2.GaussianBlur(_steepness(clean), (0, 0), 2.0)

    def likeness(residual: Image) -> float:
        size = cv2.GaussianBlur(np.abs(residual), (0, 0), 2.0)
        if size.std() < 1e-6 or steep.std() < 1e-9:
            return 0.0
        return float(np.corrcoef(size.ravel(), steep.ravel())[0, 1])

    return max(0.0, likeness(noisy - film) - max(0.0, likeness(noisy - clean)))


def rib_contrast(clean_up: Cleaner, quanta: float) -> float:
    """Return the contrast of ribs against the lung between them over the noise there, on phantoms of known anatomy.

    Args:
        clean_up: From a film (H, W) in [0, 1] and its noise to the film without it.
        quanta: Of the noise.
    """
    ratios = []
    for number, (film, ribs, gaps) in enumerate(_phantoms()):
        noisy = add_noise(film, quanta, np.random.default_rng([0, number]))
        cleaned = clean_up(noisy, estimate_noise(noisy))
        contrast = float(cleaned[ribs].mean() - cleaned[gaps].mean())
        error = (cleaned - film)[ribs | gaps]
        ratios.append(contrast / max(float(error.std()), 1e-6))
    return float(np.mean(ratios))


def edge_sharpness(clean_up: Cleaner, quanta: float | None) -> float:
    """Return MTF50 of a slanted edge, in cycles a pixel: where half of the contrast of fine detail is left.

    Args:
        clean_up: From a film (H, W) in [0, 1] and its noise to the film without it.
        quanta: Of the noise; the mean over many drawings is judged. None: no noise, and the method takes the edge for a
            film at the limit at which films still count as clean.
    """
    side = 96
    y, x = np.mgrid[:side, :side].astype(np.float64)
    angle = np.deg2rad(_EDGE_DEGREES)
    distance = (x - (side - 1) / 2) * np.cos(angle) + (y - (side - 1) / 2) * np.sin(angle)  # in pixels, across the edge
    film = np.asarray(0.35 + 0.3 / (1 + np.exp(-distance / 0.35)), np.float32)
    if quanta is None:
        total = clean_up(film, LEAST_NOISE).astype(np.float64)
    else:
        rng = np.random.default_rng(0)
        noisy = [add_noise(film, quanta, rng) for _ in range(_EDGE_RUNS)]
        total = np.mean([clean_up(one, estimate_noise(one)) for one in noisy], axis=0, dtype=np.float64)
    near = np.abs(distance) < 16
    bins = np.floor(distance[near] * _EDGE_BINS).astype(int)
    bins -= bins.min()
    profile = np.bincount(bins, weights=total[near]) / np.maximum(np.bincount(bins), 1)
    line = np.gradient(profile) * np.hanning(len(profile))
    transfer = np.abs(np.fft.rfft(line, 8 * len(line)))
    transfer /= max(float(transfer[0]), 1e-12)
    below = np.flatnonzero(transfer < 0.5)
    frequencies = np.fft.rfftfreq(8 * len(line), 1 / _EDGE_BINS)
    return float(frequencies[below[0]]) if below.size else float(frequencies[-1])


@cache
def _phantoms() -> tuple[tuple[Image, NDArray[np.bool_], NDArray[np.bool_]], ...]:
    """Return chests without grain: the film, where ribs cross the lungs, and where lung lies between ribs."""
    drawn = []
    for number in range(_NUM_PHANTOMS):
        chest = draw_chest(np.random.default_rng([0, number]), _PHANTOM_PX)
        film: Any = 1 - np.exp(-1.2 * np.maximum(chest.attenuation, 0))
        film = np.asarray(np.clip(film, 0, 1), np.float32)
        strongest = float(chest.ribs.max())
        inside = chest.air > 0.95
        drawn.append((film, inside & (chest.ribs > 0.5 * strongest), inside & (chest.ribs < 0.03 * strongest)))
    return tuple(drawn)


def _steepness(film: Image) -> Image:
    across = cv2.Sobel(film, cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(film, cv2.CV_32F, 0, 1, ksize=3, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.magnitude(across, down), np.float32)
