"""Sealing a corrected model: the new file is written only if it answers as its parent plus the correction does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hilum.errors import ModelFileError
from hilum.files import replace_file
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, ModelFile, read_model_file
from hilum.train.correction import Correction
from hilum.train.graph_file import corrected_graph, read_graph, write_model

__all__ = ["LARGEST_DIFFERENCE", "seal_corrected"]

LARGEST_DIFFERENCE = 1e-4  # in logits, between the new file and its parent plus the correction


def seal_corrected(
    path: Path, parent: ModelFile, correction: Correction, metadata: Metadata, films: tuple[np.ndarray, np.ndarray]
) -> tuple[float, bool]:
    """Write a corrected model file.

    Args:
        path: Where the file goes; replaced in one step.
        parent: The model as shipped.
        correction: Put into the graph, all but its temperature.
        metadata: What the file says of itself.
        films: Real films to compare on, (N, 1, S, S) float32, and their corrected logits (N, K), by the parent's logits
            and features.

    Returns:
        The largest difference in logits, and whether the heat maps follow the correction.

    Raises:
        ModelFileError: The new file answers otherwise; nothing is written.
    """
    graph, follows = corrected_graph(read_graph(parent.data), correction)
    partial = path.with_suffix(".unchecked")
    write_model(partial, graph, metadata)
    try:
        found = Engine(read_model_file(partial)).run(films[0]).logits
        sealed = partial.read_bytes()
    finally:
        partial.unlink()
    difference = float(np.abs(found - films[1]).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise ModelFileError(
            f"Not sealed: the new file and its parent with the correction differ by {difference:.2g} in logits on "
            f"{len(found)} films; at most {LARGEST_DIFFERENCE:g} is allowed.",
            fix="Please report this model together with the versions of onnx and openvino.",
        )
    replace_file(path, sealed)
    return difference, follows
