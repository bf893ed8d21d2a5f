"""The gate: reasons not to judge a film, found before or beside the network's answer.

What a film says of itself and what its grey values say are checked by rule. What it shows is told by a small network
that ships with hilum: it has seen chest films upright, turned, inverted, cut off and badly exposed, and pictures that
are no chest film, photographed and drawn (recipes/gate_films.py). A film is let through where the network holds it
for an upright chest film; else the likeliest of the other kinds is the reason. Whether a film is cut off is a matter
of degree, and children's films are framed more tightly than adults': that reason takes more evidence than the others.
On a film that passes both lungs must be found (run/lungs.py).

Grey values are judged between two percentiles, as preprocessing shows them to a network: where in its range a file puts
the film, and what one hot pixel or a burnt-in mark does to the rest, says nothing about the film.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.preprocess import LEAST_CONTRAST
from hilum.film.radiograph import Radiograph, reduced
from hilum.run.answer import Reason, softmax
from hilum.run.helper_network import HelperNetwork, usable
from hilum.run.lungs import LUNGS_PREPROCESSING, both_lungs, lung_scores
from hilum.run.models import helper_bytes

__all__ = ["GATE_KEY", "KINDS", "MIN_SIDE_PX", "VIEW_PX", "GateNetwork", "gate_view", "load_gate", "refusals"]

MIN_SIDE_PX = 64
VIEW_PX = 64
GATE_KEY = "hilum-gate"  # where the network's file keeps its threshold
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
_LEAST_LEVELS = 5  # of the file's own grey levels; fewer are noise on a film without anything on it
_EDGE_PERCENTILE = 1.0
_VIEWS = {  # of DICOM's View Position, those that are not judged
    **dict.fromkeys(("LATERAL", "LL", "RL"), "a lateral view"),
    **dict.fromkeys(("LLO", "RLO"), "a lateral oblique view"),
    **dict.fromkeys(("LLD", "RLD"), "a lateral decubitus film, of a patient lying on one side"),
}
_TURNED = "The film is turned by {} degrees; turn it upright."
_REASONS = {
    "rotated-90": Reason("rotated", _TURNED.format("90") + " Its top lies at the right."),
    "rotated-180": Reason("rotated", _TURNED.format("180")),
    "rotated-270": Reason("rotated", _TURNED.format("270") + " Its top lies at the left."),
    "inverted": Reason("inverted", "The film looks like a negative: bone dark, air bright; invert its grey values."),
    "cut-off": Reason("cut-off", "The film shows a part of the chest only; both lungs must lie on it."),
    "no-lungs": Reason("no-lungs", "Two lungs cannot be found on the film; both must lie on it and hold some air."),
    "overexposed": Reason(
        "overexposed", "Most of the film is black, as by too much radiation; the lungs cannot be seen."
    ),
    "underexposed": Reason(
        "underexposed", "Most of the film is white, as by too little radiation; the lungs cannot be seen."
    ),
    "lateral": Reason("lateral", "The film looks like a lateral view; only frontal films are judged."),
    "not-chest": Reason("not-chest", "The picture does not look like a frontal chest film."),
}


def refusals(radiograph: Radiograph) -> tuple[Reason, ...]:
    """Return why a film must not be judged; empty where nothing speaks against it."""
    reasons = []
    height, width = radiograph.original_size_px
    if min(height, width) < MIN_SIDE_PX:
        reasons.append(
            Reason("too-small", f"The film has {width}x{height} pixels; at least {MIN_SIDE_PX} a side are needed.")
        )
    if view := _VIEWS.get((radiograph.view_position or "").upper()):
        reasons.append(Reason("lateral", f"The file says that this is {view}; only frontal films are judged."))
    pixels = reduced(radiograph.pixels, LUNGS_PREPROCESSING.decoded_px)  # alike from a JPEG and from a film in full
    radiograph = dataclasses.replace(radiograph, pixels=pixels)
    small = _shrink(pixels)
    low, high = _edges(small)
    if high - low < max(LEAST_CONTRAST, _LEAST_LEVELS / (2**radiograph.bit_depth - 1)):
        reasons.append(Reason("constant", "The film shows next to no contrast."))
    elif not reasons:
        reason = load_gate().reason(_window(small, low, high))
        if reason is None and not both_lungs(lung_scores(radiograph)).any():
            reason = _REASONS["no-lungs"]
        reasons += [reason] if reason else []
    return tuple(reasons)


def gate_view(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a film as the gate's network sees it.

    Args:
        pixels: (H, W) float32 in [0, 1].

    Returns:
        (1, 64, 64) float32 in [0, 1]: stretched to a square, its grey values stretched between two percentiles.
    """
    small = _shrink(pixels)
    return _window(small, *_edges(small))


def _shrink(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    if pixels.shape == (VIEW_PX, VIEW_PX):
        return pixels
    return np.asarray(cv2.resize(pixels, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA), np.float32)


def _edges(small: NDArray[np.float32]) -> tuple[float, float]:
    """Return the grey values that one per cent of the film lies below and above."""
    values = small.ravel()
    rank = int(values.size * _EDGE_PERCENTILE / 100)
    values = np.partition(values, (rank, values.size - 1 - rank))
    return float(values[rank]), float(values[-1 - rank])


def _window(small: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    window = (small - np.float32(low)) / np.float32(max(high - low, 1e-3))
    return np.clip(window, 0.0, 1.0, out=window)[np.newaxis]  # (1, 64, 64)


@dataclass(frozen=True, eq=False)
class GateNetwork:
    """The gate's network, safe to use from several threads.

    Attributes:
        least_chest: A film is refused where it is less likely than this to be an upright chest film, being cut off
            apart.
        most_cut_off: A film is refused where it is more likely than this to be cut off.
        network: What tells the kinds apart.
    """

    least_chest: float
    most_cut_off: float
    network: HelperNetwork

    def probabilities(self, view: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how likely a film is of each of KINDS, (10,), from its view (1, 64, 64)."""
        return softmax(self.network.ask(view))

    def reason(self, view: NDArray[np.float32]) -> Reason | None:
        """Return why a film is refused by its look, or None."""
        probabilities = self.probabilities(view)
        cut_off = float(probabilities[_CUT_OFF])
        if cut_off > self.most_cut_off:
            return _REASONS["cut-off"]
        if probabilities[0] >= self.least_chest * (1 - cut_off):
            return None
        return _REASONS[KINDS[1 + int(probabilities[1:].argmax())]]


@functools.cache
def load_gate(data: bytes | None = None, precision: str = "bf16") -> GateNetwork:
    """Return the gate's network, loaded once.

    Args:
        data: The bytes of a gate's file; by default the one that ships with hilum.
        precision: See HelperNetwork.

    Raises:
        ModelFileError: It cannot be used.
    """
    data = data or helper_bytes("gate.onnx")
    with usable("gate"):
        network = HelperNetwork(data, GATE_KEY, VIEW_PX, precision=precision)
        if tuple(network.facts["kinds"]) != KINDS:
            raise ValueError("other kinds")
        return GateNetwork(float(network.facts["least_chest"]), float(network.facts["most_cut_off"]), network)
