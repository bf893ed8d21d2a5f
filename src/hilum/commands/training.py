"""What every command that trains does first."""

from __future__ import annotations

import os

from hilum.console import hushed
from hilum.errors import MissingExtra
from hilum.run.memory import hold_memory

__all__ = ["load_training"]


def load_training() -> None:
    """Import TensorFlow without its start-up lines, its memory held from step to step.

    Raises:
        MissingExtra: The extra `train` is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    hold_memory()
    try:
        with hushed():
            import hilum.train.pipeline  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("Training", "train") from error
