"""hilum turns a folder of chest radiographs into a classifier people can trust, and puts it where films are read.

    >>> import hilum
    >>> classifier = hilum.load("run/model.onnx")  # doctest: +SKIP
    >>> classifier.predict("film.png").probabilities  # doctest: +SKIP
    {'Normal': 0.93, 'Covid-19': 0.02, 'Viral Pneumonia': 0.05}

Research software, not a medical device.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hilum.version import __version__

if TYPE_CHECKING:
    from hilum.run.classifier import Classifier

__all__ = ["__version__", "load"]


def load(path: str | Path = "chest", *, num_threads: int | None = None) -> Classifier:
    """Return the classifier in a model file; neither Keras nor TensorFlow is imported.

    Args:
        path: A ``model.onnx`` made by ``hilum train``, the folder of its run, or the name of a model that ships with
            hilum.
        num_threads: Threads of the engine; all cores when not given.

    Raises:
        ModelFileError: The file cannot be used; the message says why.
        InputError: What was given is no path.
    """
    from hilum.errors import InputError
    from hilum.run.classifier import Classifier

    if not isinstance(path, str | Path):
        raise InputError(
            f"Cannot load a model from a `{type(path).__name__}`; expected a path, or the name of a model that ships.",
            fix="Give the path of a model.onnx.",
        )
    return Classifier(Path(path), num_threads=num_threads)
