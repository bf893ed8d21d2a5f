"""The course of a training in words: which weights were kept, and how many epochs were run.

Epoch 0 is what stands before the first epoch: a pretrained network's fitted head, or random weights. It is named and
counted alike in the terminal, the report, the claim and history.csv.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from hilum.text import percent_text

__all__ = [
    "EpochRow",
    "Row",
    "count_epochs",
    "figures_words",
    "kept_random",
    "kept_row",
    "kept_words",
    "stage_words",
    "weights_of",
]

Row = Mapping[str, Any]


class EpochRow(TypedDict):
    """One row of a history as training writes it.

    Attributes:
        stage: ``head`` (the fitted head of a pretrained network), ``start`` (random weights), ``backbone``, or ``mean``
            (the mean of the weights before the first epoch and after the last).
        epoch: 0 for the weights before the first epoch.
        loss: On the training films; NaN of epoch 0, as is the learning rate.
        validation_loss: At the temperature and constants that suit the validation films best.
        validation_accuracy: In [0, 1].
        learning_rate: At the end of the epoch.
        kept: Whether these weights were kept.
        penalty: Of the fitted head.
    """

    stage: str
    epoch: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    kept: bool
    penalty: NotRequired[float]


_BEFORE = {"head": "the head on frozen features", "start": "random weights"}
_MEAN = "mean of the weights before and after training"


def weights_of(row: Row) -> str:
    """Return what a row's weights are: "epoch 3", "epoch 0, the head on frozen features", "the mean of ..."."""
    if row.get("stage") == "mean":
        return f"the {_MEAN}"
    before = _BEFORE.get(str(row.get("stage")))
    return f"epoch {row.get('epoch', 0)}" + (f", {before}" if before else "")


def stage_words(row: Row) -> str:
    """Return a row's name in a list of epochs: "3", "before: head on frozen features"."""
    stage = str(row.get("stage"))
    if stage == "mean":
        return _MEAN
    return f"before: {_BEFORE[stage].removeprefix('the ')}" if stage in _BEFORE else str(row.get("epoch", 0))


def figures_words(row: Row) -> str:
    """Return a row's losses and how many validation films its weights get right."""
    loss = row.get("loss", math.nan)
    training = f"training loss {loss:.4f}, " if math.isfinite(loss) else ""
    return f"{training}validation loss {row['validation_loss']:.4f}, {_right(row)}"


def count_epochs(history: Sequence[Row]) -> int:
    """Return how many epochs were run; epoch 0 is none."""
    return sum(row.get("stage") == "backbone" for row in history)


def kept_row(history: Sequence[Row]) -> Row | None:
    """Return the row whose weights were kept; None where the history does not say."""
    return next((row for row in history if row.get("kept")), None)


def kept_random(history: Sequence[Row]) -> bool:
    """Return whether random weights were kept although epochs were run: nothing was learned."""
    row = kept_row(history)
    return row is not None and row.get("stage") == "start" and count_epochs(history) > 0


def kept_words(history: Sequence[Row]) -> str:
    """Return in a sentence or two which weights were kept; empty where the history does not say."""
    row = kept_row(history)
    if row is None:
        return ""
    num = count_epochs(history)
    words = f"Kept: {weights_of(row)}, of {num} epoch{'' if num == 1 else 's'} run; {_right(row)}."
    if kept_random(history):
        words += " The trained network is no better than the random weights it began with: nothing was learned."
    return words


def _right(row: Row) -> str:
    return f"{percent_text(row['validation_accuracy'])} of validation films right"
