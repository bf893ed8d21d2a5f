"""What the course of a training says, alike wherever it is said."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hilum.judge.history import (
    count_epochs,
    figures_words,
    kept_random,
    kept_row,
    kept_words,
    stage_words,
    weights_of,
)


def history(first: str, num_epochs: int, kept: int) -> list[dict[str, Any]]:
    return [
        {
            "stage": "backbone" if epoch else first,
            "epoch": epoch,
            "validation_loss": 0.5,
            "validation_accuracy": 0.9 + epoch / 100,
            "kept": epoch == kept,
        }
        for epoch in range(num_epochs + 1)
    ]


def test_what_was_kept_is_named_with_its_own_figure() -> None:
    rows = history("head", 3, 0)
    assert kept_words(rows) == (
        "Kept: epoch 0, the head on frozen features, of 3 epochs run; "
        "90.0\N{NO-BREAK SPACE}% of validation films right."
    )
    assert (
        kept_words(history("head", 3, 2))
        == "Kept: epoch 2, of 3 epochs run; 92.0\N{NO-BREAK SPACE}% of validation films right."
    )
    assert kept_words(history("start", 1, 1)).startswith("Kept: epoch 1, of 1 epoch run;")
    assert kept_row(rows) is rows[0]


def test_a_row_has_the_same_words_in_every_list_of_epochs() -> None:
    rows = history("head", 1, 0)
    assert [stage_words(row) for row in rows] == ["before: head on frozen features", "1"]
    assert stage_words({"stage": "start", "epoch": 0}) == "before: random weights"
    assert stage_words({"stage": "mean", "epoch": 1}) == "mean of the weights before and after training"
    figures = "validation loss 0.5000, 91.0\N{NO-BREAK SPACE}% of validation films right"
    assert figures_words({**rows[1], "loss": 0.25}) == f"training loss 0.2500, {figures}"
    assert figures_words({**rows[1], "loss": math.nan}) == figures


@pytest.mark.parametrize(
    ("first", "num_epochs", "kept", "is_random"),
    [("start", 2, 0, True), ("start", 2, 1, False), ("head", 2, 0, False), ("start", 0, 0, False)],
)
def test_random_weights_that_were_kept_are_told(first: str, num_epochs: int, kept: int, is_random: bool) -> None:
    rows = history(first, num_epochs, kept)
    assert kept_random(rows) == is_random
    assert ("nothing was learned" in kept_words(rows)) == is_random
    assert count_epochs(rows) == num_epochs


def test_a_history_that_does_not_say_is_not_guessed_at() -> None:
    rows = [{**row, "kept": False} for row in history("head", 2, 0)]
    assert kept_words(rows) == ""
    assert kept_row(rows) is None
    assert not kept_random([])
    assert weights_of(rows[2]) == "epoch 2"
