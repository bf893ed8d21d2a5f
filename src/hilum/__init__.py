"""hilum turns a folder of chest radiographs into a classifier people can trust, and puts it where films are read.

    >>> import hilum
    >>> run = hilum.train("films/")  # doctest: +SKIP
    >>> run.metrics.test.accuracy.value  # doctest: +SKIP
    0.96
    >>> run.model.predict("film.png").probabilities  # doctest: +SKIP
    {'Normal': 0.93, 'Covid-19': 0.02, 'Viral Pneumonia': 0.05}

The functions have the words of the command line. They are imported when they are first used; TensorFlow is imported by
`train` and `cross_validate` alone. Research software, not a medical device.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hilum.version import __version__

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # else `import openvino` sends a report

if TYPE_CHECKING:
    from inspect import Signature

    from hilum.api import *

__all__ = [
    "AdaptResult",
    "Answers",
    "AuditResult",
    "Client",
    "CompareResult",
    "DriftResult",
    "EvaluateResult",
    "ExportResult",
    "FilmAnswer",
    "FilmClassifier",
    "Result",
    "TrainResult",
    "__version__",
    "adapt",
    "audit",
    "compare",
    "cross_validate",
    "drift",
    "evaluate",
    "export",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    """Return a name of the API when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module `hilum` has no attribute `{name}`")
    return getattr(import_module("hilum.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _TrainRoom(ModuleType):
    """The room `hilum.train`, made callable: Python binds the room to the name that the function has too."""

    def __call__(self, *arguments: Any, **words: Any) -> TrainResult:
        """Train a model; see `hilum.api.train`."""
        return import_module("hilum.api").train(*arguments, **words)

    @property
    def __signature__(self) -> Signature:
        """The words that it takes, for notebooks."""
        from inspect import signature

        return signature(import_module("hilum.api").train)


import_module("hilum.train")
sys.modules["hilum.train"].__class__ = _TrainRoom
