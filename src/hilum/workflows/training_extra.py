"""The extra `train`: whether it is installed, and loading it. TensorFlow takes seconds to import."""

from __future__ import annotations

import logging
import os

from hilum.console import hushed
from hilum.errors import MissingExtra
from hilum.extras import has_extra
from hilum.run.memory import hold_memory

__all__ = ["check_training", "load_training"]


def check_training() -> None:
    """Say at once that the extra for training is missing; what else can be seen at once is to be said next.

    Raises:
        MissingExtra: The extra `train` is not installed.
    """
    if not has_extra("train"):
        raise MissingExtra("Training", "train")


def load_training() -> None:
    """Import TensorFlow without its start-up lines, its memory held from step to step. It takes seconds.

    Raises:
        MissingExtra: The extra `train` is not whole.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of many networks in one process: folds, sources
    hold_memory()
    try:
        with hushed():
            import hilum.workflows.train  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("Training", "train") from error
