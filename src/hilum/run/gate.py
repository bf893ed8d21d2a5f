"""The gate: decides whether a film may be judged, and gives the reasons if not.

Rules check the film's size, its DICOM view and its contrast. A small network then recognises what the picture shows.
It was trained on chest films (upright, turned, inverted, cut off, badly exposed) and on other pictures
(recipes/gate_films.py). Only an upright chest film passes; otherwise the likeliest other kind is the reason. "Cut off"
needs more evidence than the other kinds, because children's films are framed more tightly. Last, both lungs must be
found on the film (run/lungs.py), unless the network is sure that it shows a chest.

Contrast is measured between two percentiles, so that a hot pixel or a burnt-in mark does not change the result.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.radiograph import LEAST_CONTRAST, Radiograph, reduced
from hilum.run.answer import Reason, softmax
from hilum.run.helper_network import HelperNetwork, load_helper
from hilum.run.lungs import both_lungs, lung_scores

__all__ = [
    "GATE_KEY",
    "KINDS",
    "MIN_SIDE_PX",
    "VIEW_PX",
    "GateNetwork",
    "gate_view",
    "least_side_px",
    "load_gate",
    "refusals",
    "side_px_of",
]

MIN_SIDE_PX = 64
VIEW_PX = 64
GATE_KEY = "hilum-gate"  # the metadata key for the thresholds in the network's file
KINDS = (
    "chest",
    "rotated-90",
    "rotated-180",
    "rotated-270",
    "inverted",
    "cut-off",
    "overexposed",
    "underexposed",
    "lateral",
    "not-chest",
)
_CUT_OFF = KINDS.index("cut-off")
_LEAST_LEVELS = 5  # grey levels of the file; a smaller range is noise on an empty film
_EDGE_PERCENTILE = 1.0
_SURE_CHEST = 0.98  # a likelier chest is not searched for lungs, which takes 4 ms: it nearly always has them (log.md)
_VIEWS = {  # values of DICOM's View Position that are not judged
    **dict.fromkeys(("LATERAL", "LL", "RL"), "a lateral view"),
    **dict.fromkeys(("LLO", "RLO"), "a lateral oblique view"),
    **dict.fromkeys(("LLD", "RLD"), "a lateral decubitus film, of a patient lying on one side"),
}
_TURNED = "The film is turned by {} degrees; turn it upright."
_REASONS = {
    "rotated-90": Reason("rotated", _TURNED.format("90") + " Its top lies at the right."),
    "rotated-180": Reason("rotated", _TURNED.format("180")),
    "rotated-270": Reason("rotated", _TURNED.format("270") + " Its top lies at the left."),
    "inverted": Reason("inverted", "The film looks inverted: bone is dark and air is bright. Invert its grey values."),
    "cut-off": Reason("cut-off", "The film shows only a part of the chest. Both lungs must be on it."),
    "no-lungs": Reason("no-lungs", "Two lungs cannot be found on the film. Both must be on it and hold some air."),
    "overexposed": Reason("overexposed", "The film looks overexposed: most of it is black and hides the lungs."),
    "underexposed": Reason("underexposed", "The film looks underexposed: most of it is white and hides the lungs."),
    "lateral": Reason("lateral", "The film looks like a lateral view; only frontal films are judged."),
    "not-chest": Reason("not-chest", "The picture does not look like a frontal chest film."),
}


def least_side_px(sides_px: Sequence[int]) -> int:
    """Return how many pixels each side of a film needs for a model that learned from films of these shorter sides.

    It is `MIN_SIDE_PX`, or fewer where more than one film in twenty is smaller than that.
    """
    return min([MIN_SIDE_PX, *sorted(sides_px)[len(sides_px) // 20 :][:1]])


def side_px_of(training_data: Mapping[str, object]) -> int:
    """Return how many pixels each side of a film needs for a model whose file says this of its training films."""
    least = training_data.get("least_side_px")
    return least if isinstance(least, int) and 0 < least < MIN_SIDE_PX else MIN_SIDE_PX


def refusals(radiograph: Radiograph, *, side_px: int = MIN_SIDE_PX) -> tuple[Reason, ...]:
    """Return why a film must not be judged; empty if it may be judged.

    Args:
        radiograph: The film.
        side_px: How many pixels each of its sides needs; see `least_side_px`.
    """
    reasons = []
    height, width = radiograph.original_size_px
    if min(height, width) < side_px:
        reasons.append(
            Reason("too-small", f"The film has {width}x{height} pixels; each side needs at least {side_px}.")
        )
    if view := _VIEWS.get((radiograph.view_position or "").upper()):
        reasons.append(Reason("lateral", f"The file says that this is {view}; only frontal films are judged."))
    small = _shrink(radiograph.pixels)
    low, high = _edges(small)
    if high - low < max(LEAST_CONTRAST, _LEAST_LEVELS / (2**radiograph.bit_depth - 1)):
        reasons.append(Reason("constant", "The film has almost no contrast."))
    elif not reasons:
        probabilities = load_gate().probabilities(_window(small, low, high))
        reason = load_gate().reason(probabilities)
        if reason is None and probabilities[0] < _SURE_CHEST and not both_lungs(lung_scores(radiograph)).any():
            reason = _REASONS["no-lungs"]
        reasons += [reason] if reason else []
    return tuple(reasons)


def gate_view(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the input of the gate's network: pixels (H, W) float32 in [0, 1] -> (1, 64, 64) float32 in [0, 1].

    The film is stretched to a square, and its grey values are stretched between two percentiles.
    """
    small = _shrink(pixels)
    return _window(small, *_edges(small))


def _shrink(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    if pixels.shape == (VIEW_PX, VIEW_PX):
        return pixels
    pixels = reduced(pixels, 2 * VIEW_PX)  # four times as fast as to average all pixels at once
    return np.asarray(cv2.resize(pixels, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA), np.float32)


def _edges(small: NDArray[np.float32]) -> tuple[float, float]:
    """Return the grey values at the first and the 99th percentile."""
    values = np.sort(small, axis=None)
    rank = int(values.size * _EDGE_PERCENTILE / 100)
    return float(values[rank]), float(values[-1 - rank])


def _window(small: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    window = (small - np.float32(low)) / np.float32(max(high - low, 1e-3))
    return np.clip(window, 0.0, 1.0, out=window)[np.newaxis]  # (1, 64, 64)


class GateNetwork(HelperNetwork):
    """The gate's network, safe to use from several threads.

    Attributes:
        least_chest: Lowest accepted probability of an upright chest film, given that the film is not cut off.
        most_cut_off: Highest accepted probability that the film is cut off.
    """

    name, file = "gate", "gate.onnx"
    key, side_px = GATE_KEY, VIEW_PX

    def check(self) -> None:
        """Refuse a network of other kinds, and keep its thresholds."""
        if tuple(self.facts["kinds"]) != KINDS:
            raise ValueError("other kinds")
        self.least_chest, self.most_cut_off = float(self.facts["least_chest"]), float(self.facts["most_cut_off"])

    def probabilities(self, view: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of KINDS, (10,), from the gate's view of a film (1, 64, 64)."""
        return softmax(self.ask(view))

    def reason(self, probabilities: NDArray[np.float64]) -> Reason | None:
        """Return why the network refuses a film with these probabilities of KINDS, or None."""
        cut_off = float(probabilities[_CUT_OFF])
        if cut_off > self.most_cut_off:
            return _REASONS["cut-off"]
        if probabilities[0] >= self.least_chest * (1 - cut_off):
            return None
        return _REASONS[KINDS[1 + int(probabilities[1:].argmax())]]


@functools.cache
def load_gate(data: bytes | None = None, precision: str = "bf16") -> GateNetwork:
    """Return the gate's network, loaded once; see `load_helper`."""
    return load_helper(GateNetwork, data, precision)
