"""How a model's score falls as films get worse: noise, blur, contrast, gamma, JPEG, resolution, rotation.

Damage is done to the decoded film before preprocessing, as it would be done between the detector and this software. The
film is first reduced until what the network sees of it has a shorter side of its input size, so that a pixel is the
same to all films; at the end it is rounded to 8 bits, as most films have been. What the preprocessing can undo
(contrast, gamma) costs little then, and that is what such a curve shows.

Source: Hendrycks, Dietterich 2019, Benchmarking neural network robustness to common corruptions and perturbations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Labels, Performance, performance
from hilum.judge.shortcuts.occlusion import Guessing, chance_of

__all__ = ["DAMAGES", "Damage", "Robustness", "damaged_films", "score_damages"]

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Damage:
    """One way in which films get worse.

    Attributes:
        key: As shortcuts.json has it.
        name: As the report has it.
        unit: What a strength counts.
        strengths: In the order in which they are drawn.
        apply: Takes a film (H, W) float32 in [0, 1], a strength and a random generator; returns one as large.
        undamaged: What the undamaged film is called among the strengths.
        place: How many strengths stand before it.
    """

    key: str
    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Image, float, np.random.Generator], Image]
    undamaged: str = "0"
    place: int = 0


def _noise(film: Image, percent: float, rng: np.random.Generator) -> Image:
    return film + rng.normal(0, percent / 100, film.shape).astype(np.float32)


def _blur(film: Image, sigma_px: float, _: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(film, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE))


def _contrast(film: Image, factor: float, _: np.random.Generator) -> Image:
    mean = np.float32(film.mean())
    return mean + np.float32(factor) * (film - mean)


def _gamma(film: Image, exponent: float, _: np.random.Generator) -> Image:
    return np.asarray(np.clip(film, 0, 1) ** np.float32(exponent))


def _jpeg(film: Image, quality: float, _: np.random.Generator) -> Image:
    grey = np.rint(np.clip(film, 0, 1) * np.float32(255)).astype(np.uint8)
    coded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.float32) / np.float32(255)


def _resolution(film: Image, side_px: float, _: np.random.Generator) -> Image:
    height, width = film.shape
    scale = min(1.0, side_px / min(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = cv2.resize(film, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR))


def _rotation(film: Image, degrees: float, rng: np.random.Generator) -> Image:
    height, width = film.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees * rng.choice((-1, 1)), 1.0)
    return np.asarray(cv2.warpAffine(film, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))


DAMAGES = (
    Damage("noise", "Noise", "σ, % of the range", (2, 5, 10, 20, 40), _noise),
    Damage("blur", "Blur", "σ, px", (0.5, 1, 2, 4, 8), _blur),
    Damage(
        "contrast", "Contrast", "factor, clipped at black and white", (0.1, 0.25, 0.5, 1.5, 2, 4), _contrast, "1", 3
    ),
    Damage("gamma", "Gamma", "exponent", (0.25, 0.4, 0.7, 1.5, 2.5, 4), _gamma, "1", 3),
    Damage("jpeg", "JPEG", "quality", (75, 50, 25, 10, 5), _jpeg, "none"),
    Damage("resolution", "Resolution", "shorter side, px", (128, 64, 32, 16, 8), _resolution, "full"),
    Damage("rotation", "Rotation", "degrees, either way", (5, 10, 15, 20, 30), _rotation),
)


def damaged_films(radiograph: Radiograph, preprocessing: Preprocessing, seed: int) -> NDArray[np.float32]:
    """Return one film undamaged, then in every strength of every damage, ready for the graph.

    Args:
        radiograph: The film.
        preprocessing: The model's.
        seed: Of the noise and of the way it is turned.

    Returns:
        (1 + sum of strengths, 1, S, S) float32 in [0, 1], in the order of DAMAGES.
    """
    pixels: Image = radiograph.pixels
    scale = preprocessing.size_px / min(radiograph.pixels.shape)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in pixels.shape[::-1])
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    rng = np.random.default_rng(seed)
    films = [pixels, *(damage.apply(pixels, strength, rng) for damage in DAMAGES for strength in damage.strengths)]
    return np.stack([preprocess(replace(radiograph, pixels=_in_8_bits(film)), preprocessing) for film in films])


@dataclass(frozen=True)
class Undamaged:
    """The figures of the films as they are, with their intervals."""

    accuracy: Interval
    auroc_macro: Interval


@dataclass(frozen=True)
class DamageFigures:
    """The figures under one damage: one for each strength, from weak to strong, in its unit."""

    unit: str
    strengths: tuple[float, ...]
    accuracy: tuple[Interval, ...]
    auroc_macro: tuple[Interval, ...]


@dataclass(frozen=True)
class Robustness:
    """What damaged films cost.

    Attributes:
        chance: What an answer reaches that does not look.
        undamaged: The films as they are.
        damages: Damage to its figures.
    """

    chance: Guessing
    undamaged: Undamaged
    damages: Mapping[str, DamageFigures]


def score_damages(probabilities: NDArray[np.float64], labels: Labels) -> Robustness:
    """Return the figures under every damage.

    Args:
        probabilities: (n, 1 + strengths, K), in the order of damaged_films.
        labels: Of these films.
    """

    def figures(position: int) -> Performance:
        few = Bootstrap(num_resamples=500)
        scores = probabilities[:, position]
        return performance(labels.truth, scores, labels.findings, groups=labels.groups, bootstrap=few)

    damages, position = {}, 1
    for damage in DAMAGES:
        rows = [figures(position + step) for step in range(len(damage.strengths))]
        position += len(rows)
        damages[damage.key] = DamageFigures(
            unit=damage.unit,
            strengths=tuple(damage.strengths),
            accuracy=tuple(row.accuracy for row in rows),
            auroc_macro=tuple(row.auroc_macro for row in rows),
        )
    whole = figures(0)
    return Robustness(
        chance_of(labels.truth, len(labels.findings)), Undamaged(whole.accuracy, whole.auroc_macro), damages
    )


def _in_8_bits(film: Image) -> Image:
    return np.rint(np.clip(film, 0, 1) * np.float32(255)).astype(np.float32) / np.float32(255)
