"""The small networks that ship beside the classifiers, from Keras to a file: the gate's, the lung segmenter's."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import onnx

from hilum.console import hushed
from hilum.errors import ModelFileError
from hilum.files import replace_file

__all__ = ["seal_helper"]

_OPSET = 15


def seal_helper(
    model: keras.Model,
    path: Path,
    facts: Mapping[str, Any],
    *,
    key: str,
    difference: Callable[[bytes], float],
    most: float,
    change: Callable[[onnx.ModelProto], object] = lambda _: None,
) -> int:
    """Write a small network's file, unless the engine disagrees with Keras; return its bytes.

    Args:
        model: The trained network.
        path: Where the file goes; replaced in one step.
        facts: What the file says of itself.
        key: Where in the file that stands.
        difference: Returns how far the engine with the file's bytes is from Keras.
        most: How far it may be.
        change: What is done to the graph before.

    Raises:
        ModelFileError: Engine and Keras disagree; nothing is written.
    """
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "helper.onnx"
        with hushed(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="In the future `np.object`", category=FutureWarning)
            model.export(str(exported), format="onnx", opset_version=_OPSET, verbose=False)
        graph = onnx.load(exported)
    change(graph)
    graph.producer_name = "hilum"
    onnx.helper.set_model_props(graph, {key: json.dumps(facts)})
    onnx.checker.check_model(graph)
    data = graph.SerializeToString()
    found = difference(data)
    if not found <= most:
        raise ModelFileError(f"Not sealed: engine and Keras differ by {found:.2g}.")
    replace_file(path, data)
    return len(data)
