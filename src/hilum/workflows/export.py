"""`hilum model export`: a model as one graph for any program that runs ONNX, with answers to check it by."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import helper

from hilum.data.phantom import PHANTOM_FINDINGS, draw_phantom
from hilum.errors import InputError, ModelFileError
from hilum.files import replace_files
from hilum.results import check_file
from hilum.run.classifier import Classifier
from hilum.run.core import openvino_core
from hilum.run.modelfile import ModelFile, read_model_file
from hilum.train.graph_file import read_graph
from hilum.train.pixels_graph import pixels_graph
from hilum.version import __version__

__all__ = ["EXPORT_KEY", "LARGEST_DIFFERENCE", "Exported", "export_model"]

EXPORT_KEY = "hilum_export"  # of the graph's metadata
LARGEST_DIFFERENCE = 1e-3  # in probability, between the exported graph and the model file
_GOLDEN_SIDES_PX = (180, 420, 720, 1000)  # longer sides: films that grow, shrink, and are reduced first


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        golden: The file of pictures and answers beside the graph.
        n: Number of pictures in it.
        largest_difference: In probability, between the graph and the model file on these pictures.
    """

    golden: Path
    n: int
    largest_difference: float


def export_model(model: Path, to: Path) -> Exported:
    """Write a model as a graph ``pixels`` (H, W) uint8 -> ``probabilities`` (K,), ``features`` (D,), and its answers.

    The answers lie beside the graph, in a file of NumPy with the ending .npz: phantoms ``pixels_0``, ``pixels_1``, ...,
    and of them ``probabilities`` (n, K) and ``features`` (n, D), as the model file gives them.

    Args:
        model: A model.onnx, the folder of a run, or the name of a model that ships.
        to: The graph; it must end with .onnx, and neither it nor the answers may exist.

    Raises:
        InputError: A file exists, or has another ending.
        ModelFileError: The model cannot be written as such a graph, or the graph's answers are others.
    """
    if to.suffix.lower() != ".onnx":
        raise InputError(f"Cannot export to `{to}`: expected a file whose name ends with .onnx.", fix="Add the ending.")
    golden = to.with_suffix(".npz")
    for path in (to, golden):
        check_file(path, made_by="hilum model export", is_own=lambda _: False, may_replace=False, reads=[model])
    read = read_model_file(model)
    graph = pixels_graph(read_graph(read.data), read.metadata)
    helper.set_model_props(graph, {EXPORT_KEY: json.dumps(_about(read), ensure_ascii=False)})
    data = graph.SerializeToString(deterministic=True)
    answers = _golden_answers(model)
    difference = _largest_difference(data, answers)
    if not difference <= LARGEST_DIFFERENCE:
        raise ModelFileError(
            f"Not exported: the graph and the model file differ by {difference:.2g} in probability on drawn films; at "
            f"most {LARGEST_DIFFERENCE:g} is allowed.",
            fix="Please report this model's backbone and the versions that `hilum --version` prints.",
        )
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **answers)
    replace_files({golden: packed.getvalue(), to: data})
    return Exported(golden, len(_GOLDEN_SIDES_PX), difference)


def _about(read: ModelFile) -> dict[str, object]:
    """Return what the graph says of itself."""
    metadata = read.metadata
    return {
        "findings": list(metadata.findings),
        "operating_thresholds": dict(metadata.operating_thresholds),
        "model": {"name": metadata.name, "sha256": read.sha256},
        "hilum_version": __version__,
    }


def _golden_answers(model: Path) -> dict[str, np.ndarray]:
    """Return drawn films and what the model file says of them."""
    classifier = Classifier(model)
    films = [
        draw_phantom(PHANTOM_FINDINGS[number % len(PHANTOM_FINDINGS)], np.random.default_rng(number), size_px=side_px)
        for number, side_px in enumerate(_GOLDEN_SIDES_PX)
    ]
    answers = [classifier.predict(film) for film in films]
    return {
        **{f"pixels_{number}": film for number, film in enumerate(films)},
        "probabilities": np.array([list(answer.probabilities.values()) for answer in answers], np.float32),
        "features": np.array([answer.features for answer in answers], np.float32),
        "findings": np.array(classifier.findings),
    }


def _largest_difference(data: bytes, answers: dict[str, np.ndarray]) -> float:
    """Return the largest difference in probability between a graph and the answers."""
    try:
        core = openvino_core()
        compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = [
            compiled({"pixels": answers[f"pixels_{number}"]})["probabilities"]
            for number in range(len(_GOLDEN_SIDES_PX))
        ]
    except RuntimeError as error:
        raise ModelFileError("Not exported: the engine cannot run the graph.") from error
    return float(np.abs(np.array(found) - answers["probabilities"]).max())
