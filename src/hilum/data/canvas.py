"""What a phantom is drawn with: a frame that places the thorax in the image, curves, patches and branching lines.

Coordinates: x runs from -1 to 1 across the thorax (the image's right is the patient's left), y from about -1 at the
neck to 1 below the diaphragm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Frame", "Image", "cloud", "curve", "draw_trees", "ellipse", "sigmoid"]

Image: TypeAlias = NDArray[np.float32]
_SUBPIXEL_BITS = 4  # of the image positions that OpenCV draws at


@dataclass(frozen=True)
class Frame:
    """Where the thorax lies in the image.

    Attributes:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        center: Column and row of x = y = 0.
        scale: Pixels per unit of x.
        stretch: Length of a unit of y, in units of x.
        turn: Rotation in radians, clockwise.
    """

    height: int
    width: int
    center: tuple[float, float]
    scale: float
    stretch: float
    turn: float

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Return the fixed-point image positions, (..., 2) int32, of x and y, (..., 2)."""
        x, y = points[..., 0] * self.scale, points[..., 1] * (self.scale * self.stretch)
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        pixels = np.stack([self.center[0] + cos * x - sin * y, self.center[1] + sin * x + cos * y], axis=-1)
        return np.round(pixels * (1 << _SUBPIXEL_BITS)).astype(np.int32)

    def grid(self) -> tuple[Image, Image]:
        """Return x and y of every pixel, each (H, W) float32."""
        column = ((np.arange(self.width) - self.center[0]) / self.scale)[None, :]
        row = ((np.arange(self.height) - self.center[1]) / self.scale)[:, None]
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        x, y = cos * column + sin * row, (cos * row - sin * column) / self.stretch
        return x.astype(np.float32), y.astype(np.float32)

    def blank(self) -> NDArray[np.uint8]:
        """Return an empty canvas, (H, W) uint8."""
        return np.zeros((self.height, self.width), np.uint8)

    def fill(self, outlines: Sequence[np.ndarray], soft: float) -> Image:
        """Return closed outlines filled with 1, their edges blurred by soft units of x: (H, W) float32."""
        canvas = self.blank()
        for outline in outlines:
            self.paint(canvas, outline)
        return self.soften(canvas, soft)

    def paint(self, canvas: np.ndarray, outline: np.ndarray, value: int = 255) -> None:
        """Fill a closed outline; values below 255 are fainter."""
        cv2.fillPoly(canvas, [self.to_pixels(outline)], value, cv2.LINE_AA, _SUBPIXEL_BITS)

    def stroke(
        self, canvas: np.ndarray, lines: np.ndarray | Sequence[np.ndarray], thick: float, value: int = 255
    ) -> None:
        """Draw open lines, thick units of x wide; values below 255 are fainter. Lines may be one (n, m, 2) array."""
        is_array = isinstance(lines, np.ndarray)  # then all at once
        pixels = list(self.to_pixels(np.asarray(lines))) if is_array else [self.to_pixels(line) for line in lines]
        width = max(1, round(thick * self.scale))
        cv2.polylines(canvas, pixels, False, value, width, cv2.LINE_AA, _SUBPIXEL_BITS)

    def soften(self, canvas: np.ndarray, soft: float) -> Image:
        """Return a canvas blurred by soft units of x, (H, W) float32; wide blurs are done on a quarter of the size."""
        image = canvas.astype(np.float32)
        if canvas.dtype == np.uint8:
            image *= np.float32(1 / 255)
        sigma = soft * self.scale
        if sigma <= 6:
            return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.3)), dtype=np.float32)
        small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
        return np.asarray(cv2.resize(small, (self.width, self.height)), dtype=np.float32)


def curve(points: ArrayLike, *, closed: bool = False) -> np.ndarray:
    """Return a Catmull-Rom curve through (n, 2) points: (m, 2), eight points for each of its spans."""
    given = np.asarray(points, dtype=np.float64)
    ends = (given[-1:], given[:2]) if closed else (given[:1], given[-1:])
    padded = np.concatenate([ends[0], given, ends[1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    square, cube = 2 * before - 5 * start + 4 * end - after, 3 * start - before - 3 * end + after
    spans = start + 0.5 * ((end - before) * t + square * t**2 + cube * t**3)  # (8, spans, 2)
    line = spans.transpose(1, 0, 2).reshape(-1, 2)
    return line if closed else np.concatenate([line, given[-1:]])


def ellipse(x: float, y: float, radius_x: float, radius_y: float, tilt: float = 0.0) -> np.ndarray:
    """Return the outline of an ellipse, (40, 2), turned by tilt radians."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across, along = radius_x * np.cos(angle), radius_y * np.sin(angle)
    cos, sin = np.cos(tilt), np.sin(tilt)
    return np.stack([x + cos * across - sin * along, y + sin * across + cos * along], axis=1)


def cloud(frame: Frame, rng: np.random.Generator, num: int, low: float, high: float) -> Image:
    """Return soft patches, (H, W) float32 between low and high, about num of them across the film."""
    noise = rng.uniform(low, high, (num, num)).astype(np.float32)
    return np.asarray(cv2.resize(noise, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def sigmoid(values: np.ndarray) -> Image:
    """Return 1 / (1 + exp(-values)) without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), dtype=np.float32)


def draw_trees(
    frame: Frame,
    rng: np.random.Generator,
    canvas: np.ndarray,
    roots: np.ndarray,
    lengths: np.ndarray,
    *,
    thick: float,
) -> None:
    """Draw lines that fork twice and get thinner and fainter, such as vessels do.

    Args:
        frame: Where the thorax lies.
        rng: Bends and forks come from it.
        canvas: (H, W) uint8, drawn upon.
        roots: (n, 4): x, y, side (-1 or 1), and the angle, 0 away from the spine and positive downwards.
        lengths: (n,) units of x up to the first fork.
        thick: Width of the first part, in units of x.
    """
    starts, sides, angles = roots[:, :2], roots[:, 2], roots[:, 3]
    for value in (235, 190, 140):
        turned = angles + rng.normal(0, 0.22, len(angles))
        steps = [np.stack([sides * np.cos(angle), np.sin(angle)], axis=1) for angle in (angles, turned)]
        middles = starts + 0.5 * lengths[:, None] * steps[0]
        ends = middles + 0.5 * lengths[:, None] * steps[1]
        frame.stroke(canvas, np.stack([starts, middles, ends], axis=1), thick, value)
        starts, sides, lengths, thick = (
            np.repeat(ends, 2, 0),
            np.repeat(sides, 2),
            np.repeat(lengths, 2) * 0.62,
            thick * 0.6,
        )
        forks = np.tile([-0.38, 0.34], len(turned)) + rng.normal(0, 0.16, 2 * len(turned))
        angles = np.repeat(turned, 2) + forks
