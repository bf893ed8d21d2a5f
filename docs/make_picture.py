"""Draws the README's picture from a demo: `hilum demo`, then `python docs/make_picture.py hilum-demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import hilum
from hilum.data.phantom import PHANTOM_FINDINGS
from hilum.run.heatmap import overlay, write_png

SIDE_PX, CAPTION_PX = 260, 44


def tile(pixels: np.ndarray, lines: tuple[str, str]) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 on a square, with two lines of caption above it."""
    scale = SIDE_PX / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((SIDE_PX + CAPTION_PX, SIDE_PX, 3), 16, np.uint8)
    top, left = CAPTION_PX + (SIDE_PX - small.shape[0]) // 2, (SIDE_PX - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    for number, line in enumerate(lines):
        shade = (235, 235, 235) if number == 0 else (150, 150, 150)
        cv2.putText(canvas, line, (8, 17 + 19 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.45, shade, 1, cv2.LINE_AA)
    return canvas


def main() -> None:
    """Write docs/images/demo.png: a test phantom of each finding above, its heat map below."""
    demo = Path(sys.argv[1])
    classifier = hilum.load(demo / "run" / "model.onnx")
    columns = []
    for finding in PHANTOM_FINDINGS:
        path = min((demo / "phantoms" / "test" / finding).iterdir())
        radiograph, answer = classifier.read_for_display(path), classifier.predict(path)
        evidence = answer.activation[classifier.findings.index(answer.likeliest)]
        plain = overlay(radiograph, np.zeros_like(evidence))
        said = f"{answer.likeliest} {answer.probabilities[answer.likeliest]:.0%}"
        columns.append(
            np.vstack([tile(plain, ("drawn:", finding)), tile(overlay(radiograph, evidence), ("hilum says:", said))])
        )
    write_png(Path(__file__).parent / "images" / "demo.png", np.hstack(columns))


if __name__ == "__main__":
    main()
