"""Draws phantoms: synthetic chest films for the demo and the tests, with the word PHANTOM burnt into every film.

A film is exposed through a sum of attenuations (chest wall, air, blood, bone, opacities). Anatomy, exposure and grain
use one stream of random numbers and the opacities another, so the same seed with another finding gives the same chest:
findings differ in their opacities alone. Figures measured on phantoms say nothing about patients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from hilum.data.anatomy import Chest, draw_chest
from hilum.data.canvas import cloud, draw_trees, ellipse, sigmoid
from hilum.data.fingerprint import Fingerprint, find_twins, fingerprint
from hilum.data.scan import FINGERPRINT_SIDE_PX
from hilum.errors import InputError, nearest_name
from hilum.film.decode import decode

__all__ = ["PHANTOM_FINDINGS", "draw_phantom", "phantom_lungs", "write_phantoms"]

_MOST_ATTEMPTS = 20


def draw_phantom(finding: str, rng: np.random.Generator, *, size_px: int = 256) -> np.ndarray:
    """Return a drawn chest film that shows a finding, bone bright.

    Args:
        finding: One of PHANTOM_FINDINGS. Normal has no opacity; Covid-19 has patches of ground glass, on both sides,
            peripheral and low; Viral Pneumonia streaks and a net around both hila; Bacterial Pneumonia one dense
            consolidation of a lobe.
        rng: The random generator; the same state gives the same film.
        size_px: The longer side of the film.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: The finding is not one of PHANTOM_FINDINGS.
    """
    if finding not in _OPACITIES:
        raise InputError(
            f"No phantom can be drawn of the finding `{finding}`. {nearest_name(finding, PHANTOM_FINDINGS)}",
            fix=f"Use one of: {', '.join(PHANTOM_FINDINGS)}.",
        )
    anatomy_seed, opacity_seed = rng.integers(2**63, size=2)
    anatomy = np.random.default_rng(anatomy_seed)
    chest = draw_chest(anatomy, size_px)
    _OPACITIES[finding](chest, np.random.default_rng(opacity_seed))
    return _expose(chest, anatomy)


def phantom_lungs(rng: np.random.Generator, *, size_px: int = 256) -> np.ndarray:
    """Return where the lungs lie on the phantom that `draw_phantom` draws from the same state, (H, W) bool."""
    chest = draw_chest(np.random.default_rng(rng.integers(2**63, size=2)[0]), size_px)
    return chest.frame.fill(chest.lungs, 0.0) > 0.5


def write_phantoms(
    folder: Path,
    *,
    num_per_finding: int,
    num_test_per_finding: int,
    seed: int = 0,
    findings: Sequence[str] | None = None,
    size_px: int = 256,
) -> Path:
    """Write a data set of phantoms: train/ and test/ of class folders, PNG and JPEG mixed at random.

    Args:
        folder: Where to write; made if it does not exist. Files of the same names are overwritten.
        num_per_finding: Films of each finding in train/.
        num_test_per_finding: Films of each finding in test/; 0 leaves test/ out.
        seed: The same seed gives the same films.
        findings: Some of PHANTOM_FINDINGS, all by default.
        size_px: About the mean of the films' longer sides.

    Returns:
        The folder.

    Raises:
        InputError: No phantom can be drawn of a finding, or the folder cannot be written to.
    """
    drawn = PHANTOM_FINDINGS if findings is None else findings
    wanted = [
        (part, position, finding, number)
        for part, num_films in (("train", num_per_finding), ("test", num_test_per_finding))
        for position, finding in enumerate(drawn)
        for number in range(num_films)
    ]
    films = [_draw_file(one, seed=seed, size_px=size_px) for one in wanted]
    prints = [_fingerprint_of(data) for _, data in films]
    for attempt in range(1, _MOST_ATTEMPTS):
        alike = {twin.second for twin in find_twins(prints)}
        if not alike:
            break
        for index in alike:  # draw films again that happen to look like twins
            films[index] = _draw_file(wanted[index], seed=seed, size_px=size_px, attempt=attempt)
            prints[index] = _fingerprint_of(films[index][1])
    try:
        for (part, _, finding, number), (suffix, data) in zip(wanted, films, strict=True):
            (folder / part / finding).mkdir(parents=True, exist_ok=True)
            (folder / part / finding / f"phantom-{number:04d}{suffix}").write_bytes(data)
    except OSError as error:
        raise InputError(
            f"Cannot write phantoms to `{folder}`: {error.strerror}.", fix="Choose another folder."
        ) from error
    return folder


def _draw_file(wanted: tuple[str, int, str, int], *, seed: int, size_px: int, attempt: int = 0) -> tuple[str, bytes]:
    """Return a phantom's suffix and bytes.

    Args:
        wanted: Part of the data set, position of the finding, finding, and number of the film.
        seed: The seed of the data set.
        size_px: The approximate side of the film.
        attempt: Each attempt gives another drawing.
    """
    part, position, finding, number = wanted
    rng = np.random.default_rng([seed, part == "test", position, number, *([attempt] if attempt else [])])
    film = draw_phantom(finding, rng, size_px=round(size_px * rng.uniform(0.85, 1.2)))
    suffix, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]) if rng.random() < 0.5 else (".png", [])
    return suffix, cv2.imencode(suffix, film, options)[1].tobytes()


def _fingerprint_of(data: bytes) -> Fingerprint:
    return fingerprint(data, decode(data, min_side_px=FINGERPRINT_SIDE_PX))


def _expose(chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Return the film that an attenuation leaves, (H, W) uint8: exposure, gamma, blur, grain and the burnt-in word."""
    frame = chest.frame
    film = 1 - np.exp(np.float32(-rng.uniform(0.95, 1.5)) * np.maximum(chest.attenuation, 0))
    film = cv2.pow(film, rng.uniform(0.9, 1.4)) * rng.uniform(0.9, 1.06) + rng.uniform(0.0, 0.05)
    film = cv2.GaussianBlur(film, (0, 0), frame.scale * rng.uniform(0.003, 0.009))
    grain = cv2.GaussianBlur(rng.standard_normal(film.shape, dtype=np.float32), (0, 0), 0.6)
    film += grain * (rng.uniform(0.012, 0.045) * (0.5 + film))
    pixels = np.clip(film * 255, 0, 255).astype(np.uint8)
    size = max(film.shape) / 256
    place, thick = (round(4 * size), round(11 * size)), max(1, round(0.8 * size))
    for value, extra in ((0, round(2 * size)), (235, 0)):  # a dark outline keeps the word readable
        cv2.putText(pixels, "PHANTOM", place, cv2.FONT_HERSHEY_SIMPLEX, 0.32 * size, value, thick + extra, cv2.LINE_AA)
    return pixels


# --- opacities ------------------------------------------------------------------------------------------------------


def _add_nothing(chest: Chest, rng: np.random.Generator) -> None:
    """Normal: no opacity."""


def _add_ground_glass(chest: Chest, rng: np.random.Generator) -> None:
    """Covid-19: hazy patches on both sides, near the rim and low."""
    haze = np.zeros_like(chest.attenuation)
    for side in (-1, 1):
        num = int(rng.integers(2, 5))
        x, y, tilt = rng.uniform(0.48, 0.76, num), rng.uniform(-0.15, 0.42, num), rng.uniform(-0.6, 0.6, num)
        wide, high = rng.uniform(0.08, 0.17, num), rng.uniform(0.09, 0.19, num)
        patches = [ellipse(side * x[i], y[i], wide[i], high[i], side * tilt[i]) for i in range(num)]
        haze += chest.frame.fill(patches, 0.05) * rng.uniform(0.5, 1.0)
    mottled = cloud(chest.frame, rng, 20, 0.3, 1.3)
    chest.attenuation[:] += haze * mottled * chest.air * rng.uniform(0.20, 0.50)


def _add_streaks(chest: Chest, rng: np.random.Generator) -> None:
    """Viral Pneumonia: streaks from both hila outwards, and a fine net between them."""
    frame, num = chest.frame, 18
    sides = np.repeat([-1, 1], num)
    angles, reach = rng.uniform(-1.4, 1.5, 2 * num), rng.uniform(0.0, 0.22, 2 * num)
    x, y = sides * (0.2 + reach * np.cos(angles)), -0.03 + reach * np.sin(angles)
    canvas = frame.blank()
    roots = np.stack([x, y, sides, angles], axis=1)
    draw_trees(frame, rng, canvas, roots, rng.uniform(0.10, 0.24, 2 * num), thick=0.020)
    noise = rng.standard_normal(chest.air.shape, dtype=np.float32)
    band = frame.soften(noise, 0.012) - frame.soften(noise, 0.024)
    net = np.maximum(1 - np.abs(band) / np.float32(0.8 * np.abs(band).mean()), 0)  # lines where the band passes zero
    x_grid, y_grid = frame.grid()
    near = np.exp(-np.square((np.abs(x_grid) - 0.28) / 0.34) - np.square((y_grid - 0.02) / 0.45))
    shade = frame.soften(canvas, 0.008) * 0.20 + near * (frame.soften(net, 0.004) * 0.26 + 0.05)
    chest.attenuation[:] += shade * chest.air * rng.uniform(0.5, 1.25)


def _add_consolidation(chest: Chest, rng: np.random.Generator) -> None:
    """Bacterial Pneumonia: one dense lobe or a part of it, bounded by a fissure, with bronchi dark in it."""
    frame = chest.frame
    side = int(rng.choice((-1, 1)))
    top, bottom = ((-0.72, -0.20), (-0.22, 0.18), (0.08, 0.55))[int(rng.integers(3))]
    middle = (top + bottom) / 2
    x, y = frame.grid()
    fissure = y - rng.uniform(-0.3, 0.3) * (np.abs(x) - 0.4)
    above, below = rng.choice((0.012, 0.05), 2)  # a fissure is sharp, the rest of the border is not
    lobe = sigmoid((fissure - top) / above) * sigmoid((bottom - fissure) / below)
    part = ellipse(side * rng.uniform(0.35, 0.6), middle, rng.uniform(0.24, 0.38), rng.uniform(0.24, 0.36))
    lung = frame.fill([chest.lungs[0 if side < 0 else 1]], 0.012)
    bronchi = frame.blank()
    angles = rng.uniform(-0.6, 0.6, 4)
    roots = np.stack(
        [np.full(4, side * 0.22), np.full(4, np.clip(middle, -0.25, 0.2)), np.full(4, side), angles], axis=1
    )
    draw_trees(frame, rng, bronchi, roots, rng.uniform(0.12, 0.2, 4), thick=0.020)
    mottled = cloud(frame, rng, 13, 0.7, 1.2) * (1 - 0.3 * frame.soften(bronchi, 0.008))
    chest.attenuation[:] += lobe * frame.fill([part], 0.045) * lung * mottled * rng.uniform(0.35, 0.95)


_OPACITIES: dict[str, Callable[[Chest, np.random.Generator], None]] = {
    "Normal": _add_nothing,
    "Covid-19": _add_ground_glass,
    "Viral Pneumonia": _add_streaks,
    "Bacterial Pneumonia": _add_consolidation,
}
PHANTOM_FINDINGS: tuple[str, ...] = tuple(_OPACITIES)
