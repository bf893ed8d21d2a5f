"""Random changes of a training film: geometry (flip, rotation, zoom, shift) and photometry (blur, gamma, ...).

One policy, named strengths, one random generator a film and epoch: the same seed draws the same changes, also after
a resume. Nothing here is ever applied to a validation or test film.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

import cv2
import numpy as np
from pydantic import Field

__all__ = ["POLICIES", "SIMPLE", "STRONGEST", "Augmentation", "Policy", "augment", "no_changes"]

Policy = Literal["changes", "randaugment", "augmix", "mixup", "cutmix", "erasing"]
_SHARPEN_SIGMA_PX = (0.7, 6.0)  # of what is taken as blurred: fine grain to the contrast of a lung's parts
_ENLARGED_SIGMA = 0.5  # sigma of the blur that enlarging by one more pixel a pixel amounts to
POLICIES: tuple[Policy, ...] = get_args(Policy)
STRONGEST: dict[str, float] = {  # each change alone, at a strength of 1
    "rotation_degrees": 30.0,
    "zoom_fraction": 0.3,
    "stretch_fraction": 0.5,
    "shift_fraction": 0.15,
    "gamma": 1.5,
    "contrast_fraction": 0.6,
    "brightness_fraction": 0.3,
    "blur_sigma_px": 2.0,
    "noise_sigma_fraction": 0.08,
    "lost_resolution_fraction": 0.7,
}


@dataclass(frozen=True)
class Augmentation:
    """The strengths of the augmentation policy; 0 switches a change off.

    Attributes:
        flip_probability: How often left and right change sides.
        rotation_degrees: Largest turn either way.
        zoom_fraction: Largest enlargement or reduction, as a share of the side.
        stretch_fraction: Largest change of the ratio of width to height, which differs between hospitals.
        shift_fraction: Largest shift either way, as a share of the side.
        photometric_probability: How often each of the following changes happens.
        gamma: Largest change of gamma, as a power of two (0.5: from 0.71 to 1.41).
        contrast_fraction: Largest gain or loss of contrast about the mean.
        brightness_fraction: Largest shift of brightness, as a share of the range.
        blur_sigma_px: Largest sigma of a Gaussian blur.
        sharpen_amount: Largest amount by which half of the films that would be blurred are sharpened instead: devices
            and hospitals sharpen films, fine grain and local contrast alike. 0 blurs all of them.
        noise_sigma_fraction: Largest sigma of Gaussian noise, as a share of the range.
        lost_resolution_fraction: Largest share of the resolution taken away and filled in again.
        lungs_only_probability: How often nothing but the lungs is shown.
        lungs_hidden_probability: How often the lungs are hidden; the film then teaches that nothing is known.
        frame_probability: How often strips at the film's sides are covered.
        policy: One of `POLICIES`: all of the changes above, or what policies.py makes of them.
        policy_strength: How strong the policies other than ``changes`` are, 0 to 1.
    """

    flip_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 10.0
    zoom_fraction: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    stretch_fraction: Annotated[float, Field(ge=0, le=2)] = 0.15
    shift_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    photometric_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    gamma: Annotated[float, Field(ge=0, le=4)] = 0.5
    contrast_fraction: Annotated[float, Field(ge=0, le=1)] = 0.2
    brightness_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    blur_sigma_px: Annotated[float, Field(ge=0, le=20)] = 1.0
    sharpen_amount: Annotated[float, Field(ge=0, le=5)] = 0.0
    noise_sigma_fraction: Annotated[float, Field(ge=0, le=1)] = 0.03
    lost_resolution_fraction: Annotated[float, Field(ge=0, le=0.95)] = 0.5
    lungs_only_probability: Annotated[float, Field(ge=0, le=0.8)] = 0.0
    lungs_hidden_probability: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    frame_probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    policy: Policy = "changes"
    policy_strength: Annotated[float, Field(ge=0, le=1)] = 0.5

    @property
    def needs_lungs(self) -> bool:
        """Return whether the lungs must be found before training."""
        return self.lungs_only_probability + self.lungs_hidden_probability > 0


SIMPLE = Augmentation(  # half mirrored, slightly turned, slightly blurred; nothing else
    zoom_fraction=0.0,
    stretch_fraction=0.0,
    shift_fraction=0.0,
    gamma=0.0,
    contrast_fraction=0.0,
    brightness_fraction=0.0,
    noise_sigma_fraction=0.0,
    lost_resolution_fraction=0.0,
)


def no_changes() -> Augmentation:
    """Return the policy that changes nothing."""
    nothing = Augmentation(flip_probability=0.0, photometric_probability=1.0, policy_strength=0.0)
    return replace(nothing, **dict.fromkeys(STRONGEST, 0.0))  # type: ignore[arg-type]


def augment(
    film: np.ndarray, policy: Augmentation, rng: np.random.Generator, *, own_px: int | None = None
) -> np.ndarray:
    """Return a randomly changed copy of one film.

    Lost resolution and blur are meant in total: a film that was enlarged to S has lost some already, and loses only
    what is missing. Its noise has the size of its own pixels.

    Args:
        film: (S, S) float32 in [0, 1].
        policy: The strengths.
        rng: Drawn from in a fixed order, whatever the strengths, so that switching one change off leaves the others.
        own_px: The shorter side of the film in its file; None where it is at least S.

    Returns:
        (S, S) float32 in [0, 1].
    """
    changed = _geometry(film, policy, rng)
    size_px = film.shape[0]
    own_px = min(own_px or size_px, size_px)
    draws = rng.uniform(-1, 1, size=6)
    chosen = rng.random(size=6) < policy.photometric_probability
    if chosen[0] and policy.lost_resolution_fraction:
        kept_px = max(round(size_px * (1 - policy.lost_resolution_fraction * abs(draws[0]))), 8)
        changed = _lose_resolution(changed, kept_px) if kept_px < own_px else changed
    if chosen[1] and policy.sharpen_amount and draws[1] < 0:
        changed = _sharpened(changed, policy.sharpen_amount * abs(draws[1]), rng.spawn(1)[0])
    elif chosen[1] and policy.blur_sigma_px:
        sigma = policy.blur_sigma_px * abs(draws[1])
        has = _ENLARGED_SIGMA * (size_px / own_px - 1)
        changed = cv2.GaussianBlur(changed, (0, 0), max(math.sqrt(sigma**2 - has**2), 1e-3)) if sigma > has else changed
    if chosen[2] and policy.gamma:
        changed = np.power(changed, np.float32(2.0 ** (policy.gamma * draws[2])))
    if chosen[3] and policy.contrast_fraction:
        mean = changed.mean()
        changed = (changed - mean) * np.float32(1 + policy.contrast_fraction * draws[3]) + mean
    if chosen[4] and policy.brightness_fraction:
        changed = changed + np.float32(policy.brightness_fraction * draws[4])
    if chosen[5] and policy.noise_sigma_fraction:
        noise = rng.standard_normal((own_px, own_px), dtype=np.float32)
        noise = noise if own_px == size_px else cv2.resize(noise, (size_px, size_px)).astype(np.float32)
        changed = changed + noise * np.float32(policy.noise_sigma_fraction * abs(draws[5]))
    return np.clip(changed, 0.0, 1.0, dtype=np.float32)


def _geometry(film: np.ndarray, policy: Augmentation, rng: np.random.Generator) -> np.ndarray:
    flipped = rng.random() < policy.flip_probability
    turn, zoom, stretch, shift_x, shift_y = rng.uniform(-1, 1, size=5)
    height, width = film.shape
    angle = math.radians(policy.rotation_degrees * turn)
    scale = 1 + policy.zoom_fraction * zoom
    wider = (1 + policy.stretch_fraction) ** (stretch / 2)
    mirror = -1.0 if flipped else 1.0
    turned = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turned @ np.diag([mirror * wider, 1 / wider])
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    shift = policy.shift_fraction * np.array([shift_x * width, shift_y * height])
    offset = np.array([center_x, center_y]) + shift - linear @ np.array([center_x, center_y])
    matrix = np.column_stack([linear, offset])  # (2, 3), from old to new coordinates
    return cv2.warpAffine(film, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _sharpened(film: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Return a film with an unsharp mask of random width."""
    fine, coarse = _SHARPEN_SIGMA_PX
    sigma = fine * (coarse / fine) ** rng.random()
    masked = film + np.float32(amount) * (film - cv2.GaussianBlur(film, (0, 0), sigma))
    return np.clip(masked, 0.0, 1.0, dtype=np.float32)


def _lose_resolution(film: np.ndarray, kept_px: int) -> np.ndarray:
    small = cv2.resize(film, (kept_px, kept_px), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, film.shape[::-1])
