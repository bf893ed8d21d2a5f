"""Whether heat maps depend on what the network has learnt: its weights are shuffled, and the maps must change.

A map that stays the same when the weights are nonsense shows edges of the film, not evidence. The graph of the model
file is walked in the engine's memory and each weight tensor's values are shuffled, from the last layer down: they
keep their distribution, and the network its scale. The model file does not change.

Source: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, Sanity checks for saliency maps (cascading randomisation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13

from hilum.errors import ModelFileError
from hilum.judge.intervals import Interval, grouped_mean
from hilum.judge.paired import midranks
from hilum.run.engine import Engine
from hilum.run.modelfile import ModelFile

__all__ = ["SanityScores", "likeness", "score_sanity", "shuffle_weights"]

_SHARES = (0.1, 0.25, 0.5, 1.0)  # of the layers, counted from the last
_LAYERS = {"Convolution", "GroupConvolution", "MatMul"}
_PASSED_THROUGH = {"Convert", "Reshape", "Transpose", "Multiply", "Subtract"}  # between stored weights and their layer
_SSIM_WINDOW = 7


def shuffle_weights(graph: openvino.Model, share: float) -> int:
    """Shuffle the values of each weight tensor of the last layers that a graph's heat maps come from, in memory.

    Args:
        graph: Changed in place.
        share: Of the layers with weights, 0 to 1, from the last; at least one layer.

    Returns:
        How many layers have other weights now.

    Raises:
        ModelFileError: The graph has no weights.
    """
    tensors = _weights(graph)
    if not tensors:
        raise ModelFileError("The heat maps of the model file come from no layer with weights.")
    chosen = tensors[-max(1, math.ceil(share * len(tensors))) :]
    rng = np.random.default_rng(0)
    for constant in chosen:
        values = constant.data
        shuffled = opset13.constant(rng.permutation(values.ravel()).reshape(values.shape), constant.get_element_type())
        for reader in constant.output(0).get_target_inputs():
            reader.replace_source_output(shuffled.output(0))
    graph.validate_nodes_and_infer_types()
    return len(chosen)


@dataclass(frozen=True)
class Likeness:
    """How alike two sets of heat maps are: by the ranks of their values, and as pictures (SSIM)."""

    spearman: Interval
    ssim: Interval


@dataclass(frozen=True)
class Stage:
    """How alike heat maps stay (see `Likeness`) when the weights of so many of the last layers are shuffled."""

    layers: int
    spearman: Interval
    ssim: Interval


@dataclass(frozen=True)
class SanityScores:
    """How alike heat maps stay while more and more of the layers lose what they learnt.

    ``layers`` is their number, and ``stages`` go from few shuffled ones to all. ``other_films`` compares each map with
    that of the next film: they share nothing but the model.
    """

    layers: int
    stages: tuple[Stage, ...]
    other_films: Likeness


def score_sanity(
    model: ModelFile,
    films: NDArray[np.float32],
    activations: NDArray[np.float32],
    answers: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> SanityScores:
    """Return how alike heat maps stay while more and more layers lose what they learnt.

    Args:
        model: The model file.
        films: (n, 1, S, S) float32, the graph's inputs.
        activations: (n, h, w) float32 of the findings answered, by the model as it is.
        answers: (n,) their indices; the same finding's map is looked at throughout.
        groups: (n,) films of equal number are not independent.
    """

    def mean(others: NDArray[np.float32]) -> Likeness:
        alike = np.array([likeness(one, other) for one, other in zip(activations, others, strict=True)])
        return Likeness(*(grouped_mean(column, groups, limits=(-1, 1)) for column in alike.T))

    stages: list[Stage] = []
    for share in _SHARES:
        shuffled: list[int] = []

        def alter(graph: openvino.Model, share: float = share, shuffled: list[int] = shuffled) -> None:
            shuffled.append(shuffle_weights(graph, share))

        engine = Engine(model, alter=alter)
        if stages and stages[-1].layers == shuffled[0]:
            continue  # a network of few layers: rounded up, two shares are the same
        maps = [engine.run(film[np.newaxis]).activation[0, at] for film, at in zip(films, answers, strict=True)]
        alike = mean(np.stack(maps))
        stages.append(Stage(shuffled[0], alike.spearman, alike.ssim))
    others = np.roll(activations, 1, axis=0) if len(films) > 1 else np.full_like(activations, np.nan)
    return SanityScores(stages[-1].layers, tuple(stages), mean(others))


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """Return how alike two activations (h, w) are: Spearman's correlation of their values, SSIM of the heat they show.

    The correlation is NaN where one of them is the same everywhere; both are where one is not finite. SSIM takes
    windows of 7 x 7, or what the map has.

    Source: Wang, Bovik, Sheikh, Simoncelli 2004, Image quality assessment: from error visibility to structural
    similarity.
    """
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.nan, math.nan
    first, second = midranks(one.ravel()), midranks(other.ravel())
    deviations = first.std() * second.std()
    spearman = (
        float(((first - first.mean()) * (second - second.mean())).mean() / deviations) if deviations else math.nan
    )
    return spearman, _ssim(_shown(one), _shown(other))


def _weights(graph: openvino.Model) -> list[Any]:
    """Return the weight constants of the layers above `activation`, in the order of computation, each once."""
    above, pending = set(), [graph.output("activation").get_node()]
    while pending:
        node = pending.pop()
        if node.get_friendly_name() not in above:
            above.add(node.get_friendly_name())
            pending.extend(port.get_node() for port in node.input_values())
    found: list[Any] = []
    names: set[str] = set()
    for node in graph.get_ordered_ops():
        if node.get_type_name() not in _LAYERS or node.get_friendly_name() not in above:
            continue
        source = node.input_value(1).get_node()
        while source.get_type_name() in _PASSED_THROUGH:
            source = source.input_value(0).get_node()
        if source.get_type_name() == "Constant" and source.get_friendly_name() not in names:
            names.add(source.get_friendly_name())
            found.append(source)
    return found


def _shown(activation: NDArray[np.float32]) -> NDArray[np.float64]:
    positive = np.maximum(activation, 0).astype(np.float64)
    peak = positive.max()
    return positive / peak if peak > 0 else positive


def _ssim(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    window = (min(_SSIM_WINDOW, one.shape[1]), min(_SSIM_WINDOW, one.shape[0]))

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(values, window, borderType=cv2.BORDER_REFLECT_101))

    first, second = mean(one), mean(other)
    spread = mean(one * one) - first**2 + mean(other * other) - second**2
    shared = mean(one * other) - first * second
    small, smaller = 0.03**2, 0.01**2
    ratio = (
        (2 * first * second + smaller) * (2 * shared + small) / ((first**2 + second**2 + smaller) * (spread + small))
    )
    return float(ratio.mean())
