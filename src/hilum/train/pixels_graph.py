"""The graph that takes a picture as it is: ``pixels`` (H, W) uint8 -> ``probabilities`` (K,) and ``features`` (D,).

`hilum.film.preprocess` is written out in ONNX operators before the model's own graph; temperature and softmax follow
it. Resizing adds and rounds in the order of OpenCV, so that the film is the same to the last bit: the histogram is
equalised in 256 levels, and where many pixels lie between two of them, the last bit decides. The histogram is the
product of two matrices: which sixteenth of the grey scale a pixel belongs to, and which of its 16 levels.

The operators are those of ONNX since operator set 13. None repeats or branches.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from hilum.errors import ModelFileError
from hilum.film.preprocess import Preprocessing
from hilum.film.radiograph import LEAST_CONTRAST
from hilum.run.modelfile import Metadata
from hilum.train.graph_file import GraphDraft

__all__ = ["pixels_graph"]

_LEAST_OPSET = 13
_POWERS = [2**power for power in range(13)]
_NIBBLE = 16  # a level of 8 bits is two of them
_UNIT_FROM_BYTE = np.arange(256, dtype=np.float32) / np.float32(255)


def pixels_graph(model: onnx.ModelProto, metadata: Metadata) -> onnx.ModelProto:
    """Return a model ``pixels`` (H, W) uint8, bone bright -> ``probabilities`` (K,), ``features`` (D,) float32.

    Args:
        model: The graph of a model file; not changed. Its metadata are left out.
        metadata: Of the file: preprocessing, temperature and findings.

    Raises:
        ModelFileError: A preprocessing setting cannot be written in ONNX operators, or the graph is too old.
    """
    preprocessing = metadata.preprocessing
    if preprocessing.denoise != "none":
        raise ModelFileError(
            f"This model cannot be exported: its setting `preprocessing.denoise` is `{preprocessing.denoise}`, and "
            "ONNX has no operator for this noise filter.",
            fix='Use the model with hilum, or train one with `preprocessing.denoise = "none"`.',
        )
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _LEAST_OPSET:
        raise ModelFileError(
            f"This model cannot be exported: its graph has operator set {opset}; expected {_LEAST_OPSET} or later.",
            fix="Train the model again with this version of hilum.",
        )
    core = onnx.ModelProto()
    core.CopyFrom(model)
    del core.metadata_props[:]
    depth = next(_depth(port) for port in core.graph.output if port.name == "features")
    before = _preprocess_graph(preprocessing, opset, core.ir_version)
    after = _answer_graph(metadata, depth, opset, core.ir_version)
    judged = compose.merge_models(
        before,
        compose.add_prefix(core, "model/"),
        io_map=[("film", "model/film")],
        outputs=["model/logits", "model/features"],
    )
    made = compose.merge_models(judged, after, io_map=[("model/logits", "logits"), ("model/features", "maps")])
    made.producer_name, made.graph.name = "hilum", "pixels"
    onnx.checker.check_model(made)
    return made


def _depth(port: onnx.ValueInfoProto) -> int | str:
    """Return the size of the last axis of an output, or a name for it where the graph does not state it."""
    axes = port.type.tensor_type.shape.dim
    return axes[-1].dim_value or "D" if axes else "D"


def _preprocess_graph(preprocessing: Preprocessing, opset: int, ir_version: int) -> onnx.ModelProto:
    """Return ``pixels`` (H, W) uint8 -> ``film`` (1, 1, S, S), as `preprocess`."""
    draft, size_px = GraphDraft(), preprocessing.size_px
    add = draft.node
    square = _resized(draft, preprocessing)  # (S, S)
    black, white = (_percentile(draft, square, size_px**2, value) for value in preprocessing.window_percentiles)
    contrast = add("Sub", white, black)
    window = _quotient(draft, add("Sub", square, black), add("Max", contrast, LEAST_CONTRAST))
    window = add("Clip", window, 0.0, 1.0)
    if preprocessing.equalize:
        window = _equalized(draft, window, size_px**2)
    film = add("Where", add("Less", contrast, LEAST_CONTRAST), 0.0, window)
    add("Unsqueeze", film, [0, 1], output="film")
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["H", "W"])
    square_film = helper.make_tensor_value_info("film", TensorProto.FLOAT, [1, 1, size_px, size_px])
    return draft.model("preprocess", [pixels], [square_film], opset, ir_version)


def _resized(draft: GraphDraft, preprocessing: Preprocessing) -> str:
    """Return the film (S, S): reduced; then sides that shrink are averaged, and those that grow interpolated."""
    add = draft.node
    reduced, rows, columns = _reduced(draft, preprocessing.decoded_px)
    size_px, leasts = preprocessing.size_px, []
    for axis, length in ((1, columns), (0, rows)):
        leasts.append(add("Min", length, size_px))  # (1,)
        reduced = _averaged(draft, reduced, axis, length, leasts[-1])
    for axis, least in zip((1, 0), leasts, strict=True):
        reduced = _interpolated(draft, reduced, axis, least, size_px)
    return reduced


def _reduced(draft: GraphDraft, decoded_px: int) -> tuple[str, str, str]:
    """Return the film as means of k x k pixels, k a power of two, as `reduced` does; and its two sides."""
    add = draft.node
    shape = add("Shape", "pixels")  # (2,)
    shortest = add("ReduceMin", shape, keepdims=0)
    rounded_up = add("Add", shortest, [power - 1 for power in _POWERS])
    is_enough = add("GreaterOrEqual", add("Div", rounded_up, _POWERS), decoded_px)
    factor = add("ReduceMax", add("Where", is_enough, _POWERS, 1), keepdims=1)  # (1,): k
    film, sides = "pixels", []
    for axis in (0, 1):
        length = add("Gather", shape, [axis], axis=0)
        sides.append(add("Div", add("Add", length, add("Sub", factor, 1)), factor))
        end = add("Squeeze", add("Mul", sides[axis], factor))
        places = add("Min", add("Range", 0, end, 1), add("Sub", length, 1))  # the film's edge is repeated
        film = add("Gather", film, places, axis=axis)
    grey = add("Gather", _UNIT_FROM_BYTE, draft.cast(film, to=TensorProto.INT32), axis=0)
    blocks = add("Reshape", grey, add("Concat", sides[0], factor, sides[1], factor, axis=0))
    blocks = add("Transpose", blocks, perm=[1, 3, 0, 2])  # (k, k, rows, columns)
    fours = add("Concat", [-1], add("Min", factor, 4), *sides, axis=0)  # OpenCV adds four numbers at a time
    summed = _sum(draft, _sum(draft, add("Reshape", blocks, fours), 1), 0)
    return add("Div", summed, draft.cast(add("Mul", factor, factor))), sides[0], sides[1]


def _sum(draft: GraphDraft, values: str, axis: int) -> str:
    """Return the sum along an axis, added from first to last: other orders round otherwise."""
    return draft.node("Gather", draft.node("CumSum", values, axis), -1, axis=axis)


def _averaged(draft: GraphDraft, film: str, axis: int, length: str, least: str) -> str:
    """Return a film whose axis of ``length`` pixels is ``least`` long, the means of the pixels, as INTER_AREA."""
    add = draft.node
    start = add("Mul", add("Range", 0, add("Squeeze", least), 1), length)  # (least,), in pixels of 1 / least
    most = add("Add", add("Div", add("Add", length, add("Sub", least, 1)), least), 1)  # pixels that one mean is of
    steps = add("Unsqueeze", add("Range", 0, add("Squeeze", most), 1), [1])
    places = add("Add", add("Div", start, least), steps)  # (most, least)
    from_start = add("Mul", places, least)
    end = add("Min", add("Add", from_start, least), add("Add", start, length))
    overlap = add("Max", add("Sub", end, add("Max", from_start, start)), 0)
    weights = _quotient(draft, draft.cast(overlap), draft.cast(length))
    pixels = add("Gather", film, add("Min", places, add("Sub", length, 1)), axis=axis)
    return _sum(draft, add("Mul", pixels, weights if axis else add("Unsqueeze", weights, [2])), axis)


def _interpolated(draft: GraphDraft, film: str, axis: int, length: str, size_px: int) -> str:
    """Return a film whose axis of ``length`` pixels is S long, as INTER_LINEAR; S pixels stay as they are."""
    add = draft.node
    centres = add("Sub", add("Mul", [2 * place + 1 for place in range(size_px)], length), size_px)
    last = add("Sub", length, 1)
    inside = add("Min", add("Max", centres, 0), add("Mul", last, 2 * size_px))  # (S,), in pixels of 1 / (2 S)
    below = add("Div", inside, 2 * size_px)
    shares = add("Sub", inside, add("Mul", below, 2 * size_px))
    weights = add("Gather", np.arange(2 * size_px, dtype=np.float32) / np.float32(2 * size_px), shares, axis=0)
    near, far = (add("Gather", film, place, axis=axis) for place in (below, add("Min", add("Add", below, 1), last)))
    return _sum_with_product(draft, near, add("Sub", far, near), weights if axis else add("Unsqueeze", weights, [1]))


def _percentile(draft: GraphDraft, square: str, num: int, percentile: float) -> str:
    """Return a percentile of the film's grey values, interpolated between two ranks; the nearer end is sorted."""
    add = draft.node
    position = percentile / 100 * (num - 1)
    below, above = math.floor(position), math.ceil(position)
    from_top = position > num / 2
    ranks = [num - 1 - below, num - 1 - above] if from_top else [below, above]
    ordered = add("TopK", add("Reshape", square, [-1]), [max(ranks) + 1], num_outputs=2, axis=0, largest=int(from_top))
    low, high = (add("Gather", ordered, rank, axis=0) for rank in ranks)
    return _sum_with_product(draft, low, add("Sub", high, low), draft.constant(float(position % 1)))


def _quotient(draft: GraphDraft, value: str, divisor: str) -> str:
    """Return value / divisor, rounded once, also where an engine multiplies by the rounded inverse of the divisor."""
    add = draft.node
    near = add("Div", value, divisor)
    rest = _sum_with_product(draft, value, add("Neg", near), divisor)
    return add("Add", near, add("Div", rest, divisor))


def _sum_with_product(draft: GraphDraft, value: str, one: str, other: str) -> str:
    """Return value + one * other, rounded once, in float32: each number is split into halves, whose products are exact.

    Source: Dekker 1971, A floating-point technique for extending the available precision; Knuth, two-sum.
    """
    add = draft.node
    product = add("Mul", one, other)
    (one_high, one_low), (other_high, other_low) = _halves(draft, one), _halves(draft, other)
    lost = add("Sub", add("Mul", one_high, other_high), product)
    for high, low in ((one_high, other_low), (one_low, other_high), (one_low, other_low)):
        lost = add("Add", lost, add("Mul", high, low))
    total = add("Add", product, value)
    share = add("Sub", total, product)
    lost_in_total = add("Add", add("Sub", product, add("Sub", total, share)), add("Sub", value, share))
    return add("Add", total, add("Add", lost_in_total, lost))


def _halves(draft: GraphDraft, value: str) -> tuple[str, str]:
    """Return two numbers of at most 12 bits each that sum to a float32."""
    add = draft.node
    scaled = add("Mul", value, float(2**12 + 1))
    high = add("Sub", scaled, add("Sub", scaled, value))
    return high, add("Sub", value, high)


def _equalized(draft: GraphDraft, window: str, num: int) -> str:
    """Return the film (S, S) in [0, 1] with its histogram equalised, in 256 levels.

    Source: equalizeHist of OpenCV.
    """
    add = draft.node
    levels = draft.cast(add("Round", add("Mul", window, 255.0)), to=TensorProto.INT64)
    column = add("Reshape", levels, [-1, 1])  # (S * S, 1)
    upper = add("Div", column, _NIBBLE)
    lower = add("Sub", column, add("Mul", upper, _NIBBLE))
    is_upper, is_lower = (draft.cast(add("Equal", part, list(range(_NIBBLE)))) for part in (upper, lower))
    joint = add("MatMul", add("Transpose", is_upper, perm=[1, 0]), is_lower)  # (16, 16) numbers of pixels
    counts = add("Reshape", joint, [-1])  # (256,)
    so_far = add("CumSum", counts, 0)
    first = add("ReduceMin", add("Where", add("Greater", counts, 0.0), so_far, float(num)), keepdims=1)
    scale = add("Div", 255.0, add("Max", add("Sub", float(num), first), 1.0))
    table = add("Clip", add("Round", add("Mul", add("Sub", so_far, first), scale)), 0.0, 255.0)
    to_unit = add("Gather", _UNIT_FROM_BYTE, draft.cast(table, to=TensorProto.INT64), axis=0)
    return add("Gather", to_unit, levels, axis=0)


def _answer_graph(metadata: Metadata, depth: int | str, opset: int, ir_version: int) -> onnx.ModelProto:
    """Return ``logits`` (1, K) and ``maps`` (1, D) -> ``probabilities`` (K,) and ``features`` (D,)."""
    draft, num_findings = GraphDraft(), len(metadata.findings)
    scaled = draft.node("Div", "logits", float(metadata.temperature))
    draft.node("Squeeze", draft.node("Softmax", scaled, axis=1), [0], output="probabilities")
    draft.node("Squeeze", "maps", [0], output="features")
    sizes: dict[str, list[int | str]] = {
        "logits": [1, num_findings],
        "maps": [1, depth],
        "probabilities": [num_findings],
        "features": [depth],
    }
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sizes.items()]
    return draft.model("answer", ports[:2], ports[2:], opset, ir_version)
