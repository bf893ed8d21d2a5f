"""Draws the chest of a phantom as a sum of attenuations, from the chest wall to the bones.

Each film has a slightly different rotation, scale and shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.data.canvas import Frame, Image, cloud, curve, draw_trees, ellipse, sigmoid

__all__ = ["Chest", "draw_chest"]


@dataclass(frozen=True, eq=False)
class Chest:
    """A drawn chest, to which opacities are added.

    Attributes:
        frame: Where it lies in the image.
        lungs: The outlines of the lung at the image's left and of the one at its right, each (n, 2) x and y.
        air: (H, W) float32, 1 in the lungs.
        attenuation: (H, W) float32, from 0 in air to about 2.5 behind the heart.
        ribs: (H, W) float32, what the ribs add to it.
    """

    frame: Frame
    lungs: tuple[np.ndarray, np.ndarray]
    air: Image
    attenuation: Image
    ribs: Image


def draw_chest(rng: np.random.Generator, size_px: int) -> Chest:
    """Return a chest without any finding, its longer side size_px long."""
    aspect = rng.uniform(0.84, 1.22)  # width by height
    height, width = (size_px, round(size_px * aspect)) if aspect <= 1 else (round(size_px / aspect), size_px)
    scale = min(width / rng.uniform(1.95, 2.25), height / 1.62)
    stretch = min(height / scale / 1.86 * rng.uniform(0.97, 1.08), 1.25)
    center = (width * rng.uniform(0.475, 0.525), height * rng.uniform(0.51, 0.56))
    frame = Frame(height, width, center, scale, stretch, rng.normal(0, 0.022))
    lungs, dome = _lung_outlines(rng)
    air = frame.fill(lungs, 0.016)
    attenuation = _draw_soft_tissue(frame, rng, air)
    _add_mediastinum(frame, rng, attenuation, dome)
    _add_vessels(frame, rng, attenuation, air)
    without_ribs = attenuation.copy()
    _add_ribs(frame, rng, attenuation)
    ribs = attenuation - without_ribs
    _add_other_bones(frame, rng, attenuation)
    return Chest(frame, lungs, air, attenuation, ribs)


def _lung_outlines(rng: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """Return both lungs and the height of the diaphragm; at the image's left the liver lifts it."""
    middle, width, apex = 0.44 + rng.normal(0, 0.045), rng.normal(0, 0.025), rng.normal(0, 0.02)
    outlines = []
    for side, lift in ((-1, 0.05), (1, 0.0)):
        dome = middle - lift + rng.normal(0, 0.015)
        rim = 0.84 + width
        outline = np.array(
            [(0.15, -0.55), (0.20, -0.70), (0.32, -0.80 + apex), (0.47, -0.76 + apex), (0.60, -0.58), (0.71, -0.28),
             (0.79, 0.02), (rim - 0.01, 0.28), (rim + 0.01, dome + 0.13), (rim - 0.015, dome + 0.22),
             (0.74, dome + 0.10), (0.58, dome + 0.01), (0.42, dome - 0.015), (0.25, dome + 0.025), (0.10, dome + 0.09),
             (0.11, 0.10), (0.14, -0.25)]
        )  # fmt: skip
        outline += rng.normal(0, 0.007, outline.shape)
        outlines.append(curve(outline * (side, 1), closed=True))
    return (outlines[0], outlines[1]), middle


def _draw_soft_tissue(frame: Frame, rng: np.random.Generator, air: Image) -> Image:
    """Return the attenuation of the body's wall, the abdomen and the lungs."""
    x, y = frame.grid()
    wall = 0.96 + rng.normal(0, 0.025)
    half = [(0.29, -1.7), (0.27, -1.05), (0.36, -0.97), (0.80, -0.89), (1.16, -0.76), (1.35, -0.5), (1.32, -0.25),
            (wall + 0.09, -0.08), (wall, 0.2), (wall - 0.02, 0.6), (wall, 1.1), (wall, 1.7)]  # fmt: skip
    rim = curve(half)
    body = frame.fill([np.concatenate([rim, rim[::-1] * (-1, 1)])], 0.022)
    attenuation = body * (0.70 + 0.22 * np.exp(-np.square(x / 0.75)) + 0.42 * sigmoid((y - 0.62) / 0.09))
    deep = frame.soften(air, 0.10)  # the lungs are deep in their middle and thin at their rim
    attenuation -= air * (0.36 + 0.44 * deep) * rng.uniform(0.93, 1.04)
    if rng.random() < 0.45:  # breasts
        low, size = rng.uniform(0.25, 0.42), rng.uniform(0.27, 0.37)
        breasts = frame.fill([ellipse(side * 0.52, low, size, size * 0.85) for side in (-1, 1)], 0.035)
        attenuation += breasts * np.clip(0.5 + (y - low) / size, 0, 1) * rng.uniform(0.06, 0.17)
    if rng.random() < 0.6:  # air in the stomach
        bubble = ellipse(0.40, 0.66, rng.uniform(0.10, 0.19), rng.uniform(0.045, 0.075), rng.normal(0, 0.2))
        attenuation -= frame.fill([bubble], 0.018) * rng.uniform(0.2, 0.5)
    attenuation += body * cloud(frame, rng, 8, -0.035, 0.035)
    return np.asarray(attenuation, dtype=np.float32)


def _add_mediastinum(frame: Frame, rng: np.random.Generator, attenuation: Image, dome: float) -> None:
    """Add the heart, the great vessels with the aortic knob, and the dark windpipe that forks above them."""
    x, y = frame.grid()
    wide = rng.uniform(0.86, 1.14)
    low = dome - 0.44
    outline = np.array(
        [(-0.12, -0.60), (-0.135, -0.30), (-0.13, -0.10), (-0.19 * wide, 0.06), (-0.235 * wide, 0.22 + low),
         (-0.21 * wide, 0.40 + low), (-0.15, 0.62), (0.1, 0.72), (0.40 * wide, 0.62 + low), (0.525 * wide, 0.49 + low),
         (0.54 * wide, 0.38 + low), (0.47 * wide, 0.20 + low), (0.34 * wide, 0.03 + low), (0.215, -0.09),
         (0.165, -0.20), (0.165, -0.26), (0.21, -0.33), (0.20, -0.42), (0.13, -0.50), (0.115, -0.62), (0.13, -0.95),
         (-0.13, -0.95)]
    )  # fmt: skip
    outline += rng.normal(0, 0.006, outline.shape)
    shadow = frame.fill([curve(outline, closed=True)], 0.018)
    thick = 0.26 + 0.50 * np.exp(-np.square((x - 0.14) / 0.34) - np.square((y - 0.28) / 0.36))
    above = sigmoid((dome + 0.08 - y) / 0.045)  # below the diaphragm the abdomen is counted already
    attenuation += shadow * thick * above
    canvas = frame.blank()
    shift = rng.normal(0, 0.012)
    frame.stroke(
        canvas, [curve([(shift, -1.4), (shift - 0.005, -0.7), (shift - 0.02, -0.45), (-0.01, -0.29)])], 0.08, 200
    )
    frame.stroke(
        canvas, [np.array([(-0.015, -0.31), (-0.11, -0.17)]), np.array([(-0.01, -0.31), (0.14, -0.18)])], 0.045, 170
    )
    attenuation -= frame.soften(canvas, 0.018) * np.float32(0.26)


def _add_vessels(frame: Frame, rng: np.random.Generator, attenuation: Image, air: Image) -> None:
    """Add the hila and the vessels that fork from them and thin out towards the rim."""
    roots, lengths = [], []
    for side in (-1, 1):
        angles = np.concatenate([np.linspace(-1.25, -0.2, 4), np.linspace(0.1, 1.35, 6)]) + rng.normal(0, 0.12, 10)
        reach = rng.uniform(0.0, 0.06, 10)
        x, y = side * (0.18 + reach * np.cos(angles)), -0.05 + 0.02 * side + rng.uniform(-0.07, 0.10, 10)
        roots.append(np.stack([x, y, np.full(10, side), angles], axis=1))
        lengths.append(rng.uniform(0.16, 0.32, 10))
    canvas, strength = frame.blank(), rng.uniform(0.6, 1.3)
    draw_trees(frame, rng, canvas, np.concatenate(roots), np.concatenate(lengths), thick=0.024)
    attenuation += frame.soften(canvas, 0.009) * air * np.float32(0.20 * strength)
    knots = [ellipse(side * 0.195, -0.05 + 0.02 * side, 0.05, 0.12, -side * 0.35) for side in (-1, 1)]
    attenuation += frame.fill(knots, 0.035) * np.float32(0.20 * strength)


def _add_ribs(frame: Frame, rng: np.random.Generator, attenuation: Image) -> None:
    """Add the ribs: behind nearly level, turning at the rim, in front coming back lower until cartilage begins."""
    gap, slope, bone = rng.uniform(0.132, 0.148), rng.uniform(0.85, 1.15), rng.uniform(0.8, 1.2)
    thick = rng.uniform(0.050, 0.062)
    angle = np.linspace(0.10, 2.35, 26)
    ribs = []
    for number in range(11):
        reach = 0.89 * np.sqrt(1 - np.square((number - 8.4) / 9.8))
        for side in (-1, 1):
            top = -0.86 + gap * number + rng.normal(0, 0.006)
            drop = slope * (0.20 + 0.05 * number) * (1 - np.cos(angle)) / 2
            ribs.append(np.stack([side * reach * np.sin(angle), top - 0.03 * np.sin(2 * angle) + drop], axis=1))
    behind, front, marrow = frame.blank(), frame.blank(), frame.blank()
    frame.stroke(behind, [rib[:18] for rib in ribs], thick, 220)
    frame.stroke(marrow, [rib[:17] for rib in ribs], thick * 0.5)
    for start, value in ((15, 90), (15, 130), (16, 170)):  # fades out towards the cartilage
        stop = {90: 26, 130: 24, 170: 22}[value]
        frame.stroke(front, [rib[start:stop] for rib in ribs[:16]], thick * 1.1, value)
    shade = frame.soften(behind, 0.008) * 0.24 + frame.soften(front, 0.010) * 0.23 - frame.soften(marrow, 0.009) * 0.10
    attenuation += shade * np.float32(bone)


def _add_other_bones(frame: Frame, rng: np.random.Generator, attenuation: Image) -> None:
    """Add the spine, the clavicles, the shoulder blades and the arms."""
    bone, lift = rng.uniform(0.8, 1.2), rng.normal(0, 0.025)
    spine, discs, others, cores = frame.blank(), frame.blank(), frame.blank(), frame.blank()
    frame.stroke(spine, [np.array([(0.0, -1.6), (0.0, 1.6)])], 0.145, 200)
    levels = np.arange(-1.35, 1.35, 0.148) + rng.uniform(-0.05, 0.05)
    frame.stroke(discs, [np.array([(-0.06, level), (0.06, level)]) for level in levels], 0.022)
    frame.stroke(spine, [np.array([(0.0, level + 0.06), (0.0, level + 0.10)]) for level in levels], 0.028)
    attenuation += (frame.soften(spine, 0.022) * 0.20 - frame.soften(discs, 0.011) * 0.10) * np.float32(bone)
    for side in (-1, 1):
        bar = [(0.075, -0.58), (0.20, -0.635), (0.42, -0.70), (0.62, -0.79), (0.88, -0.84)]
        clavicle = curve([(side * x, y + lift) for x, y in bar])
        frame.stroke(others, [clavicle], 0.062, 230)
        frame.stroke(cores, [clavicle], 0.028, 170)
        blade = rng.normal(0, 0.03)
        rim = [(0.90, -0.76), (0.84, -0.50), (0.77, -0.22), (0.745, -0.02), (0.80, 0.03), (0.90, -0.12)]
        frame.stroke(others, [curve([(side * (x + blade), y) for x, y in rim])], 0.028, 120)
        arm = [(1.03, -0.76), (1.14, -0.45), (1.22, 0.0)]
        frame.stroke(others, [curve([(side * x, y) for x, y in arm])], 0.15, 190)
        frame.paint(others, ellipse(side * 1.0, -0.78, 0.115, 0.115), 210)
    attenuation += (frame.soften(others, 0.011) * 0.34 - frame.soften(cores, 0.008) * 0.12) * np.float32(bone)
