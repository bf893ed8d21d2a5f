"""Lung segmentation on a frontal film, with a small network that ships with hilum.

The network was trained on manual outlines of one hospital's films, on drawn chests and on pictures without lungs. Its
input has 128 pixels a side. The gate requires both lungs, the shortcut tests hide them, and heat maps should point at
them. A lung that is white all over may be missed; the convex hull of the mask then covers more of it.

Source: films and masks are the Shenzhen set of the US National Library of Medicine, judged on its Montgomery set:
    Jaeger, Candemir, Antani, Wang, Lu, Thoma 2014, Two public chest X-ray datasets for computer-aided screening of
    pulmonary diseases.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.run.helper_network import HelperNetwork, load_helper

__all__ = [
    "LUNGS_KEY",
    "LUNGS_PREPROCESSING",
    "LUNGS_PX",
    "LungNetwork",
    "both_lungs",
    "load_lungs",
    "lung_mask",
    "lung_scores",
    "outline",
]

LUNGS_PX = 128
LUNGS_KEY = "hilum-lungs"  # the metadata key for the description in the network's file
LUNGS_PREPROCESSING = Preprocessing(size_px=LUNGS_PX)  # the same for all models
_FEWEST_PIXELS = 0.01  # share of the film; a smaller region is not a lung
_LEAST_APART = 0.2  # distance between the centres of two lungs, as a share of the width
_LEVELS = (0.0, -2.0)  # thresholds for the scores; the lower one finds a second lung that is white


class LungNetwork(HelperNetwork):
    """The segmentation network, safe to use from several threads."""

    name, file = "lung segmenter", "lungs.onnx"
    key, side_px = LUNGS_KEY, LUNGS_PX

    def check(self) -> None:
        """Refuse a network for other preprocessing."""
        if self.facts["preprocessing"] != LUNGS_PREPROCESSING.to_dict():
            raise ValueError("other preprocessing")

    def scores(self, view: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return lung logits (128, 128) of a preprocessed film (1, 128, 128)."""
        return self.ask(view)[0]


@functools.cache
def load_lungs(data: bytes | None = None, precision: str = "bf16") -> LungNetwork:
    """Return the segmentation network, loaded once; see `load_helper`."""
    return load_helper(LungNetwork, data, precision)


def lung_scores(radiograph: Radiograph) -> NDArray[np.float32]:
    """Return lung logits (128, 128) float32 of the film stretched to a square."""
    return load_lungs().scores(preprocess(radiograph, LUNGS_PREPROCESSING))


def lung_mask(radiograph: Radiograph) -> NDArray[np.bool_]:
    """Return the mask of the lungs on a frontal film, (H, W) bool; all False if there is no lung."""
    height, width = radiograph.pixels.shape
    return outline(lung_scores(radiograph), (height, width))


def outline(scores: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the lung mask from scores.

    Args:
        scores: (h, w) float32, above 0 where lung is likelier than not.
        size_px: Height and width of the film.

    Returns:
        (H, W) bool: the two largest regions, without holes and without small regions.
    """
    large = cv2.resize(_two_regions(scores), size_px[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(large > 0)


def _two_regions(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores with only the two largest regions above 0, their holes filled."""
    num, labels, stats, _ = cv2.connectedComponentsWithStats((scores > 0).astype(np.uint8), connectivity=4)
    largest = sorted(range(1, num), key=lambda label: -stats[label, cv2.CC_STAT_AREA])[:2]
    kept = [label for label in largest if stats[label, cv2.CC_STAT_AREA] >= _FEWEST_PIXELS * scores.size]
    inside = np.isin(labels, kept).astype(np.uint8)
    outside = np.pad(1 - inside, 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 0)  # only holes remain
    holes = outside[1:-1, 1:-1].astype(bool)
    kept_scores = np.where(inside.astype(bool), scores, np.minimum(scores, -1))
    return np.asarray(np.where(holes, np.maximum(scores, 1), kept_scores), np.float32)


def both_lungs(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the mask of both lungs, including less certain parts such as a white lung.

    Args:
        scores: (128, 128) float32.

    Returns:
        (128, 128) bool; all False if the two largest regions are too small or do not lie side by side.
    """
    _, loose = cv2.connectedComponents((scores > _LEVELS[-1]).astype(np.uint8), connectivity=4)
    for level in _LEVELS:
        _, labels, stats, centres = cv2.connectedComponentsWithStats((scores > level).astype(np.uint8), connectivity=4)
        areas = stats[1:, cv2.CC_STAT_AREA]
        pair = 1 + np.argsort(-areas, kind="stable")[:2]
        is_large = len(pair) == 2 and stats[pair, cv2.CC_STAT_AREA].min() >= _FEWEST_PIXELS * scores.size
        if is_large and np.ptp(centres[pair, 0]) >= _LEAST_APART * scores.shape[1]:
            return np.isin(loose, np.unique(loose[np.isin(labels, pair)]))
    return np.zeros(scores.shape, dtype=bool)
