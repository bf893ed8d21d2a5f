"""Drawn pictures that are no chest film, for teaching the gate: pages, textures, scenes, other parts of the body.

No set of pictures holds everything that people may put before a chest classifier. These drawings are crude, but there
is no end of them, and each comes out differently: what they teach is that most pictures are no chest film.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.data.canvas import curve

__all__ = ["DRAWINGS", "draw_lateral", "draw_other"]

Image = NDArray[np.float32]
_LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,:-()/"


def draw_other(rng: np.random.Generator, *, size_px: int = 128) -> Image:
    """Return a drawn picture that is no chest film.

    Args:
        rng: Where the chance comes from.
        size_px: Side of the square.

    Returns:
        (S, S) float32 in [0, 1].
    """
    names = list(DRAWINGS)
    picture = DRAWINGS[names[int(rng.integers(len(names)))]](rng, size_px)
    if rng.random() < 0.6:
        picture = picture + _noise(rng, size_px, rng.uniform(0, 2)) * np.float32(rng.uniform(0, 0.08))
    return np.clip(picture, 0, 1).astype(np.float32)


def _noise(rng: np.random.Generator, size: int, exponent: float) -> Image:
    """Return noise whose amplitude falls with the frequency to a power, (S, S), mean 0 and deviation 1."""
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1
    spectrum = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    spectrum *= frequency**-exponent
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(field / (field.std() + 1e-9), np.float32)


def _soft(picture: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3)), np.float32)


def _point(rng: np.random.Generator, size: int, low: float = 0.0, high: float = 1.0) -> tuple[int, int]:
    x, y = rng.uniform(low * size, high * size, 2)
    return int(x), int(y)


# --- what no X-ray made -----------------------------------------------------------------------------------------------


def _clouds(rng: np.random.Generator, size: int) -> Image:
    return 0.5 + _noise(rng, size, rng.uniform(0, 2.5)) * np.float32(rng.uniform(0.1, 0.35))


def _gradient(rng: np.random.Generator, size: int) -> Image:
    y, x = np.mgrid[0:size, 0:size] / size
    angle, center = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.9, 2)
    ramp = np.cos(angle) * x + np.sin(angle) * y if rng.random() < 0.5 else np.hypot(x - center[0], y - center[1])
    ramp = (ramp - ramp.min()) / (np.ptp(ramp) + 1e-9)
    return np.asarray(ramp ** rng.uniform(0.4, 2.5), np.float32)


def _grating(rng: np.random.Generator, size: int) -> Image:
    y, x = np.mgrid[0:size, 0:size] / size
    picture = np.zeros((size, size))
    for _ in range(int(rng.integers(1, 4))):
        angle, waves = rng.uniform(0, np.pi), rng.uniform(1, 25)
        wave = np.sin(2 * np.pi * waves * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 6))
        picture += np.sign(wave) if rng.random() < 0.4 else wave
    return np.asarray(0.5 + picture / 6, np.float32)


def _page(rng: np.random.Generator, size: int) -> Image:
    """Lines of text, a table or a form, dark on light or light on dark."""
    page = np.full((2 * size, 2 * size), rng.integers(190, 256), np.uint8)
    scale, ink = rng.uniform(0.25, 1.1), int(rng.integers(0, 80))
    step, y = int(rng.uniform(16, 30) * scale + 6), int(rng.uniform(5, 40))
    left = int(rng.uniform(2, 40))
    while y < 2 * size:
        letters = rng.choice(list(_LETTERS), int(rng.integers(3, 60)))
        if rng.random() < 0.9:
            cv2.putText(page, "".join(letters), (left, y), int(rng.integers(0, 8)), scale, ink, 1, cv2.LINE_AA)
        y += step
    for _ in range(int(rng.integers(0, 8))):
        first, second = _point(rng, 2 * size), _point(rng, 2 * size)
        if rng.random() < 0.7:
            cv2.rectangle(page, first, second, ink, int(rng.integers(1, 3)))
        else:
            cv2.line(page, first, second, ink, int(rng.integers(1, 3)), cv2.LINE_AA)
    small = cv2.resize(page, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    return np.asarray(1 - small if rng.random() < 0.3 else small, np.float32)


def _sketch(rng: np.random.Generator, size: int) -> Image:
    """Outlines and filled shapes on a plain ground."""
    picture = np.full((size, size), rng.uniform(0, 1), np.float32)
    for _ in range(int(rng.integers(1, 14))):
        ink, thick = float(rng.uniform(0, 1)), int(rng.integers(1, 6)) if rng.random() < 0.7 else -1
        kind = int(rng.integers(4))
        if kind == 0:
            axes = (int(rng.uniform(2, size * 0.45)), int(rng.uniform(2, size * 0.45)))
            cv2.ellipse(picture, _point(rng, size), axes, rng.uniform(0, 180), 0, 360, ink, thick, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(picture, _point(rng, size), _point(rng, size), ink, thick)
        elif kind == 2:
            corners = rng.uniform(0, size, (int(rng.integers(3, 8)), 2)).astype(np.int32)
            if thick < 0:
                cv2.fillPoly(picture, [corners], ink, cv2.LINE_AA)
            else:
                cv2.polylines(picture, [corners], rng.random() < 0.5, ink, thick, cv2.LINE_AA)
        else:
            cv2.line(picture, _point(rng, size), _point(rng, size), ink, abs(thick), cv2.LINE_AA)
    return picture


def _chart(rng: np.random.Generator, size: int) -> Image:
    """Axes with bars or curves."""
    picture = np.full((size, size), 1.0, np.float32)
    num, floor = int(rng.integers(3, 25)), int(size * 0.9)
    x = np.linspace(size * 0.1, size * 0.95, num)
    for _ in range(int(rng.integers(1, 4))):
        y = floor - size * 0.8 * np.abs(np.cumsum(rng.normal(size=num)) / 4 + rng.uniform(0, 0.5)).clip(0, 1)
        ink = float(rng.uniform(0, 0.7))
        if rng.random() < 0.5:
            cv2.polylines(picture, [np.stack([x, y], 1).astype(np.int32)], False, ink, 1, cv2.LINE_AA)
        else:
            for column, top in zip(x, y, strict=True):
                cv2.rectangle(picture, (int(column), int(top)), (int(column + size / num * 0.6), floor), ink, -1)
    cv2.line(picture, (int(size * 0.1), floor), (size, floor), 0.0, 1)
    cv2.line(picture, (int(size * 0.1), 0), (int(size * 0.1), floor), 0.0, 1)
    return 1 - picture if rng.random() < 0.3 else picture


def _scene(rng: np.random.Generator, size: int) -> Image:
    """Things before things, each with its own shade and texture, as in a photograph; the dead-leaves model."""
    picture = _gradient(rng, size) * np.float32(rng.uniform(0.2, 1))
    power = rng.uniform(1, 3)
    for _ in range(int(rng.integers(4, 120))):
        radius = size * 0.5 * rng.uniform(0.05, 1) ** power
        axes = (int(radius * rng.uniform(0.3, 1)) + 1, int(radius) + 1)
        mask = np.zeros((size, size), np.float32)
        if rng.random() < 0.5:
            cv2.ellipse(mask, _point(rng, size), axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
        else:
            box = (_point(rng, size), axes, float(rng.uniform(0, 180)))
            cv2.fillPoly(mask, [cv2.boxPoints(box).astype(np.int32)], 1.0, cv2.LINE_AA)
        shade = np.float32(rng.uniform(0, 1))
        picture = picture * (1 - mask) + mask * shade
    shading = 1 + _soft(_noise(rng, size, 1.5), 3) * np.float32(0.15)
    return _soft(picture * shading, rng.uniform(0.3, 2))


# --- other parts of the body, other machines --------------------------------------------------------------------------


def _bone(
    rng: np.random.Generator, maps: tuple[Image, Image], first: np.ndarray, second: np.ndarray, wide: float
) -> None:
    """Add a long bone with its cortex and wider ends, and the flesh around it, to two maps of attenuation."""
    bone, soft = maps
    a, b = (tuple(int(v) for v in point) for point in (first, second))
    for strength, share in ((1.0, 1.0), (-0.45, 0.55)):
        layer = np.zeros_like(bone)
        cv2.line(layer, a, b, 1.0, max(1, int(wide * share)), cv2.LINE_AA)
        for end in (a, b):
            cv2.circle(layer, end, max(1, int(wide * share * 0.75)), 1.0, -1, cv2.LINE_AA)
        bone += np.float32(strength) * layer
    cv2.line(soft, a, b, 1.0, max(2, int(wide * rng.uniform(1.8, 4.5))), cv2.LINE_AA)


def _expose(rng: np.random.Generator, bone: Image, soft: Image) -> Image:
    """Return the film of bone and flesh, bone bright, with collimation and letters as films have them."""
    size = len(bone)
    bone, soft = _soft(bone, rng.uniform(0.6, 1.5)), _soft(soft, rng.uniform(1, 4))
    film = 1 - np.exp(
        -np.float32(rng.uniform(0.5, 2)) * (soft * np.float32(rng.uniform(0.3, 1.2)) + np.maximum(bone, 0))
    )
    film = film / max(float(film.max()), 1e-3) * np.float32(rng.uniform(0.5, 1)) + np.float32(rng.uniform(0, 0.3))
    if rng.random() < 0.3:  # the field of the tube
        corners = cv2.boxPoints(
            ((size / 2, size / 2), tuple(rng.uniform(0.6, 1.1, 2) * size), float(rng.normal(0, 12)))
        )
        mask = np.zeros_like(film)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1.0, cv2.LINE_AA)
        film = film * mask + (1 - mask) * np.float32(rng.choice([0.0, 0.0, 1.0]))
    if rng.random() < 0.5:
        letters = np.zeros((size, size), np.uint8)
        cv2.putText(letters, str(rng.choice(["R", "L", "RT", "AP"])), _point(rng, size, 0.05, 0.9), 0, 0.5, 255, 1)
        film = np.maximum(film, letters.astype(np.float32) / np.float32(255))
    return np.asarray(film, np.float32)


def _limb(rng: np.random.Generator, size: int) -> Image:
    """Long bones in a row, side by side or bent: arm, leg, knee, elbow, finger."""
    bone, soft = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    for _ in range(int(rng.choice([1, 1, 2]))):
        start, angle, wide = (
            np.array(_point(rng, size, 0.2, 0.8)),
            rng.uniform(0, 2 * np.pi),
            size * rng.uniform(0.05, 0.25),
        )
        for sign in (1, -1):
            bend = angle + (0 if sign > 0 else rng.normal(0, 0.5))
            way = np.array([np.cos(bend), np.sin(bend)]) * sign
            end = start + way * size * rng.uniform(0.5, 1.2)
            gap = way * wide * 0.7
            if rng.random() < 0.5:
                _bone(rng, (bone, soft), start + gap, end, wide)
            else:  # radius and ulna
                aside = np.array([-way[1], way[0]]) * wide * 0.6
                _bone(rng, (bone, soft), start + gap + aside, end + aside, wide * 0.5)
                _bone(rng, (bone, soft), start + gap - aside, end - aside, wide * 0.5)
    if rng.random() < 0.15:
        cv2.circle(bone, _point(rng, size, 0.3, 0.7), int(size * rng.uniform(0.05, 0.15)), 3.0, -1)  # an implant
    return _expose(rng, bone, soft)


def _hand(rng: np.random.Generator, size: int) -> Image:
    """Hand or foot: rays of short bones from one place."""
    bone, soft = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    for _ in range(int(rng.choice([1, 1, 2]))):
        root, heading = np.array(_point(rng, size, 0.25, 0.75), float), rng.uniform(0, 2 * np.pi)
        spread, length, wide = rng.uniform(0.15, 0.4), size * rng.uniform(0.12, 0.25), size * rng.uniform(0.02, 0.05)
        for finger in range(5):
            angle = heading + (finger - 2) * spread
            way = np.array([np.cos(angle), np.sin(angle)])
            place = root + way * length * 0.5
            for joint in range(4):
                end = place + way * length * 0.85**joint * 0.8
                _bone(rng, (bone, soft), place, end, wide)
                place = end + way * wide
        for _ in range(7):
            where = root + rng.normal(0, length * 0.3, 2)
            cv2.circle(bone, (int(where[0]), int(where[1])), int(wide * 1.2) + 1, 0.8, -1, cv2.LINE_AA)
    return _expose(rng, bone, soft)


def _skull(rng: np.random.Generator, size: int) -> Image:
    """A bright bowl with holes in it; a slice through it where nothing lies in front."""
    bone, soft = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    center = _point(rng, size, 0.42, 0.58)
    axes = (int(size * rng.uniform(0.25, 0.42)), int(size * rng.uniform(0.3, 0.46)))
    turn = float(rng.uniform(0, 180)) if rng.random() < 0.3 else 0.0
    cv2.ellipse(soft, center, axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
    cv2.ellipse(bone, center, axes, turn, 0, 360, 1.0, int(rng.integers(2, 9)), cv2.LINE_AA)
    if rng.random() < 0.5:  # a slice: brain with dark ventricles
        inner = _soft(_noise(rng, size, 1.2), 1) * np.float32(0.15) * soft
        for side in (-1, 1):
            place = (int(center[0] + side * size * 0.06), center[1])
            cv2.ellipse(inner, place, (int(size * 0.03), int(size * 0.1)), side * 15.0, 0, 360, -0.5, -1, cv2.LINE_AA)
        return np.clip(_soft(soft * 0.4 + inner, 1) + bone * np.float32(rng.uniform(0, 0.6)), 0, 1)
    for side in (-1, 1):
        eye = (int(center[0] + side * size * 0.12), int(center[1] + size * 0.05))
        cv2.ellipse(bone, eye, (int(size * 0.07), int(size * 0.05)), 0, 0, 360, 0.8, 2, cv2.LINE_AA)
    for number in range(int(rng.integers(6, 14))):
        tooth = (int(center[0] + (number - 5) * size * 0.03), int(center[1] + size * rng.uniform(0.28, 0.36)))
        cv2.ellipse(bone, tooth, (int(size * 0.012) + 1, int(size * 0.03)), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    cv2.rectangle(soft, (center[0] - size // 8, center[1]), (center[0] + size // 8, size), 0.8, -1)
    return _expose(rng, bone, soft)


def _vertebrae(rng: np.random.Generator, bone: Image, first: np.ndarray, second: np.ndarray, wide: float) -> None:
    num = int(rng.integers(5, 12))
    bend = rng.normal(0, 0.06) * len(bone)
    for number in range(num):
        share = (number + 0.5) / num
        place = first + (second - first) * share + np.array([bend * np.sin(np.pi * share), 0])
        high = float(np.hypot(*(second - first))) / num * 0.75
        angle = float(np.degrees(np.arctan2(*(second - first)[::-1]))) - 90
        box = ((float(place[0]), float(place[1])), (wide, high), angle + float(rng.normal(0, 3)))
        layer = np.zeros_like(bone)
        cv2.fillPoly(layer, [cv2.boxPoints(box).astype(np.int32)], 0.6, cv2.LINE_AA)
        cv2.polylines(layer, [cv2.boxPoints(box).astype(np.int32)], True, 1.0, 1, cv2.LINE_AA)
        bone += layer


def _spine(rng: np.random.Generator, size: int) -> Image:
    """A row of vertebrae and little else: neck or lumbar spine, from the front or the side."""
    bone, soft = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    first, second = np.array([rng.uniform(0.3, 0.7), -0.05]) * size, np.array([rng.uniform(0.3, 0.7), 1.05]) * size
    wide = size * rng.uniform(0.12, 0.3)
    _vertebrae(rng, bone, first, second, wide)
    cv2.line(soft, tuple(first.astype(int)), tuple(second.astype(int)), 1.0, int(wide * rng.uniform(2, 5)), cv2.LINE_AA)
    return _expose(rng, bone, soft)


def _abdomen(rng: np.random.Generator, size: int) -> Image:
    """Belly and pelvis: a wide bright body, spine, wings of the hip bone, pockets of gas."""
    bone, soft = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    cv2.rectangle(soft, (int(size * rng.uniform(-0.1, 0.12)), 0), (int(size * rng.uniform(0.88, 1.1)), size), 1.0, -1)
    middle = size * rng.uniform(0.46, 0.54)
    hip = rng.uniform(0.35, 0.9)
    _vertebrae(
        rng, bone, np.array([middle, -0.05 * size]), np.array([middle, hip * size]), size * rng.uniform(0.09, 0.15)
    )
    for side in (-1, 1):
        wing = (int(middle + side * size * 0.25), int((hip + 0.02) * size))
        axes = (int(size * rng.uniform(0.14, 0.2)), int(size * rng.uniform(0.18, 0.28)))
        cv2.ellipse(bone, wing, axes, side * 25.0, 0, 360, 0.5, -1, cv2.LINE_AA)
        cv2.ellipse(bone, wing, axes, side * 25.0, 0, 360, 0.9, 2, cv2.LINE_AA)
        thigh = np.array([middle + side * size * 0.32, (hip + 0.28) * size])
        _bone(rng, (bone, soft), thigh, thigh + np.array([side * 0.05, 0.6]) * size, size * 0.1)
    for _ in range(int(rng.integers(0, 12))):  # gas
        axes = (int(size * rng.uniform(0.02, 0.1)), int(size * rng.uniform(0.02, 0.07)))
        layer = np.zeros_like(soft)
        cv2.ellipse(layer, _point(rng, size, 0.15, 0.85), axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
        soft -= _soft(layer, 2) * np.float32(0.4)
    return _expose(rng, bone, np.maximum(soft, 0))


def _slice(rng: np.random.Generator, size: int) -> Image:
    """A slice across the trunk on black, with lungs or without, under some window; a sector of ultrasound."""
    picture = np.zeros((size, size), np.float32)
    middle = _point(rng, size, 0.46, 0.54)
    wide, high = size * rng.uniform(0.36, 0.5), size * rng.uniform(0.26, 0.42)
    if rng.random() < 0.2:
        top = (size // 2, int(size * rng.uniform(-0.2, 0.1)))
        cv2.ellipse(picture, top, (int(size * 0.9), int(size * 0.9)), 90, -35, 35, 1.0, -1, cv2.LINE_AA)
        return picture * np.abs(0.4 + 0.25 * _noise(rng, size, rng.uniform(0.5, 1.2)))
    body, lungs = float(rng.uniform(0.3, 0.9)), float(rng.uniform(0, 0.3))
    cv2.ellipse(picture, middle, (int(wide), int(high)), 0, 0, 360, body, -1, cv2.LINE_AA)
    if rng.random() < 0.7:
        for side in (-1, 1):
            place = (
                int(middle[0] + side * wide * rng.uniform(0.42, 0.5)),
                int(middle[1] - high * rng.uniform(-0.1, 0.1)),
            )
            axes = (int(wide * rng.uniform(0.3, 0.42)), int(high * rng.uniform(0.55, 0.8)))
            cv2.ellipse(picture, place, axes, side * rng.uniform(-10, 20), 0, 360, lungs, -1, cv2.LINE_AA)
    else:
        for _ in range(int(rng.integers(3, 10))):
            axes = (int(wide * rng.uniform(0.1, 0.4)), int(high * rng.uniform(0.1, 0.4)))
            place = (int(middle[0] + rng.normal(0, wide * 0.4)), int(middle[1] + rng.normal(0, high * 0.3)))
            cv2.ellipse(
                picture, place, axes, rng.uniform(0, 180), 0, 360, body * rng.uniform(0.7, 1.4), -1, cv2.LINE_AA
            )
    spine = (middle[0], int(middle[1] + high * rng.uniform(0.5, 0.75)))
    cv2.circle(picture, spine, int(size * rng.uniform(0.03, 0.07)), 1.0, -1, cv2.LINE_AA)
    picture = _soft(picture, rng.uniform(0.5, 1.5))
    picture += (picture > 0.05) * _noise(rng, size, rng.uniform(0.2, 1.2)) * np.float32(rng.uniform(0.02, 0.1))
    return np.clip(picture + np.float32(rng.uniform(0, 0.3) if rng.random() < 0.2 else 0), 0, 1)


def _breast(rng: np.random.Generator, size: int) -> Image:
    """A bright half moon at one edge."""
    picture = np.zeros((size, size), np.float32)
    edge = (0 if rng.random() < 0.5 else size, int(size * rng.uniform(0.4, 0.6)))
    axes = (int(size * rng.uniform(0.4, 0.9)), int(size * rng.uniform(0.3, 0.55)))
    cv2.ellipse(picture, edge, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    glands = 0.5 + 0.2 * _noise(rng, size, 1.3)
    return np.clip(_soft(picture, rng.uniform(1, 6)) * np.clip(glands, 0.1, 1), 0, 1)


def draw_lateral(rng: np.random.Generator, *, size_px: int = 128) -> Image:
    """Return a drawn chest film from the side: one field of lung, the spine behind it, the heart low in front.

    Args:
        rng: Where the chance comes from.
        size_px: Side of the square.

    Returns:
        (S, S) float32 in [0, 1].
    """
    size = size_px
    bone, soft = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)

    def outline(points: list[tuple[float, float]], wobble: float) -> np.ndarray:
        bent = np.array(points) + rng.normal(0, wobble, (len(points), 2))
        return np.round(curve(bent, closed=True) * size).astype(np.int32)

    body = [(0.12, -0.2), (0.88, -0.2), (0.95, 0.3), (0.97, 0.7), (0.93, 1.2), (0.1, 1.2), (0.06, 0.7), (0.1, 0.35)]
    cv2.fillPoly(soft, [outline(body, 0.03)], float(rng.uniform(0.9, 1.3)), cv2.LINE_AA)
    low = rng.uniform(0.68, 0.85)
    field = [(0.42, 0.08), (0.56, 0.03), (0.72, 0.14), (0.82, 0.38), (0.85, 0.65), (0.82, low + 0.12),
             (0.7, low + 0.02), (0.5, low - 0.08), (0.3, low - 0.06), (0.16, low), (0.16, 0.5),
             (0.24, 0.25)]  # fmt: skip
    lung = np.zeros_like(soft)
    cv2.fillPoly(lung, [outline(field, 0.012)], 1.0, cv2.LINE_AA)
    soft -= _soft(lung, 1) * np.float32(rng.uniform(0.5, 0.9))
    heart = np.zeros_like(soft)
    cv2.ellipse(
        heart, (int(size * rng.uniform(0.3, 0.4)), int(size * (low - 0.2))),
        (int(size * rng.uniform(0.12, 0.2)), int(size * rng.uniform(0.16, 0.24))), rng.uniform(10, 50), 0, 360, 1.0, -1,
        cv2.LINE_AA,
    )  # fmt: skip
    soft += _soft(heart, 2.5) * np.float32(rng.uniform(0.25, 0.6))
    hilum = _soft(np.square(_noise(rng, size, 1.0)), 1.5) * _soft(lung, 12)
    soft += hilum * np.float32(rng.uniform(0.02, 0.1))
    cv2.line(soft, (int(size * 0.5), -5), (int(size * 0.54), int(size * 0.35)), 0.25, int(size * 0.05), cv2.LINE_AA)
    back = np.array([[rng.uniform(0.66, 0.76), -0.05], [rng.uniform(0.8, 0.9), 0.5], [rng.uniform(0.72, 0.85), 1.1]])
    spine = np.zeros_like(bone)
    _vertebrae(rng, spine, back[0] * size, back[1] * size, size * 0.1)
    _vertebrae(rng, spine, back[1] * size, back[2] * size, size * 0.11)
    bone += spine * np.float32(rng.uniform(0.2, 0.5))
    ribs = np.zeros_like(bone)
    for number in range(int(rng.integers(6, 11))):
        top = 0.08 + number * 0.085
        for shift in (0.0, 0.025):
            arc = curve([(0.84, top + shift), (0.6, top + 0.12 + shift), (0.3, top + 0.3), (0.14, top + 0.34)])
            cv2.polylines(ribs, [np.round(arc * size).astype(np.int32)], False, 1.0, 2, cv2.LINE_AA)
    bone += ribs * np.float32(rng.uniform(0.05, 0.25))
    front = curve([(0.2, 0.22), (0.13, 0.4), (0.1, 0.6)])
    cv2.polylines(bone, [np.round(front * size).astype(np.int32)], False, float(rng.uniform(0.2, 0.6)), 3, cv2.LINE_AA)
    if rng.random() < 0.6:  # the raised arms
        cv2.line(soft, (int(size * 0.3), -5), (int(size * 0.15), int(size * 0.15)), 1.5, int(size * 0.2), cv2.LINE_AA)
    film = _expose(rng, bone, np.maximum(soft, 0))
    film = film + _noise(rng, size, rng.uniform(0.5, 2)) * np.float32(rng.uniform(0, 0.05))
    film = film[:, ::-1] if rng.random() < 0.5 else film
    return np.clip(film, 0, 1).astype(np.float32)


DRAWINGS: dict[str, Callable[[np.random.Generator, int], Image]] = {
    "clouds": _clouds,
    "gradient": _gradient,
    "grating": _grating,
    "page": _page,
    "sketch": _sketch,
    "chart": _chart,
    "scene": _scene,
    "limb": _limb,
    "hand": _hand,
    "skull": _skull,
    "spine": _spine,
    "abdomen": _abdomen,
    "slice": _slice,
    "breast": _breast,
}
