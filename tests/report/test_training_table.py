"""The live table of a network's training, and its lines where there is no terminal."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import rich.console

from hilum.report.training_table import TrainingTable


class Training:
    """A training of so many epochs, a step every second, shown by a table."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, num_epochs: int, *, pretrained: bool = True) -> None:
        self.now, self.num_epochs, self.pretrained = 100.0, num_epochs, pretrained
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        self.table, self.rows, self.said = TrainingTable("Training small, fold 1"), list[dict[str, Any]](), list[str]()
        self.table.changed = lambda: self.said.extend(self.table.lines())

    def step(self, stage: str, epoch: int, fraction: float) -> None:
        self.now += 1
        self.table(stage, epoch, 1 if stage == "head" else self.num_epochs, fraction, None)

    def row(self, stage: str, epoch: int, loss: float) -> None:
        trained = stage == "backbone"
        row = {
            "stage": stage,
            "epoch": epoch,
            "loss": 0.6 if trained else math.nan,
            "validation_loss": loss,
            "validation_accuracy": 0.9,
            "learning_rate": 3e-4 if trained else math.nan,
            "kept": False,
        }
        self.rows.append(row)
        self.table(stage, epoch, self.num_epochs, 1.0, row)

    def begin(self) -> None:
        if self.pretrained:
            for _ in range(4):
                self.step("head", 0, 0.0)
        self.row("head" if self.pretrained else "start", 0, 0.5)

    def epoch(self, number: int, loss: float) -> None:
        for step in range(10):
            self.step("backbone", number - 1, (step + 1) / 10)
        self.row("backbone", number, loss)

    def end(self) -> None:
        self.rows[-1]["kept"] = True

    def shown(self, width: int = 100, height: int = 40) -> str:
        console = rich.console.Console(file=io.StringIO(), width=width, height=height)
        console.print(self.table)
        return console.file.getvalue()  # type: ignore[attr-defined]


def words(training: Training, **size: int) -> list[str]:
    """Return the lines of the table without the rule under its head, with single spaces."""
    return [" ".join(line.split()) for line in training.shown(**size).splitlines() if "─" not in line]


def test_a_row_an_epoch_and_what_stood_before(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch, 3)
    assert "Before the first epoch: 0 s so far" in training.shown()
    training.begin()
    assert "best so far" not in training.shown()  # of one row
    for number, loss in ((1, 0.6), (2, 0.4)):
        training.epoch(number, loss)
    training.step("backbone", 2, 0.5)
    assert words(training) == [
        "Training small, fold 1",
        "training validation validation learning",
        "epoch loss loss films right rate",
        "before: head on frozen features 0.5000 90.0 %",
        "1 0.6000 0.6000 90.0 % 3.0e-04",
        "2, best so far 0.6000 0.4000 90.0 % 3.0e-04",
        "Epoch 3 of 3, 50 %: 25 s so far, about 4 s to go",
    ]
    for step in range(5, 10):
        training.step("backbone", 2, (step + 1) / 10)
    training.row("backbone", 3, 0.35)
    training.end()
    assert words(training)[-2:] == ["3, kept 0.6000 0.3500 90.0 % 3.0e-04", "3 epochs in 30 s."]


def test_the_time_left_is_that_of_the_whole_network(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch, 20)
    training.begin()
    assert "to go" not in training.shown()  # nobody knows yet
    training.epoch(1, 0.5)
    assert "Epoch 2 of 20, 0 %: 14 s so far, about 3 min 10 s to go" in training.shown()
    training.now += 4
    assert "18 s so far, about 3 min 6 s to go" in training.shown()


def test_of_many_epochs_the_last_dozen_and_the_best_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch, 30, pretrained=False)
    training.begin()
    for number in range(1, 31):
        training.epoch(number, 0.3 if number == 5 else 0.4)
    assert [line.split()[0] for line in words(training)[3:-1]] == ["before:", "5,", *map(str, range(19, 31))]
    assert "5, best so far" in training.shown()
    low = words(training, height=18)
    assert [line.split()[0] for line in low[3:-1]] == ["before:", "5,", *map(str, range(25, 31))]


@pytest.mark.parametrize("num_epochs", [0, 1, 6, 7, 20, 30])
def test_without_a_terminal_a_network_says_at_most_ten_lines(monkeypatch: pytest.MonkeyPatch, num_epochs: int) -> None:
    training = Training(monkeypatch, num_epochs)
    training.begin()
    for number in range(1, num_epochs + 1):
        training.epoch(number, 0.4)
    training.end()
    assert len(training.said) <= 8  # and one says what was kept
    assert training.said[0] == "Training small, fold 1"
    assert training.said[1].startswith("  before: head on frozen features: validation loss 0.5000, 90.0")
    if num_epochs:
        assert training.said[-1].startswith(f"  epoch {num_epochs} of {num_epochs}: training loss 0.6000, validation")
    if num_epochs == 20:
        assert training.said[2].endswith("of validation films right, about 2 min 40 s to go")


def test_a_training_that_goes_on_shows_the_epochs_of_the_first_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch, 4)
    training.row("head", 0, 0.5)
    training.row("backbone", 1, 0.4)
    training.row("backbone", 2, 0.3)
    assert "to go" not in training.shown()  # no step of this attempt yet
    training.epoch(3, 0.35)
    assert "Epoch 4 of 4, 0 %: 10 s so far, about 10 s to go" in training.shown()
    assert training.shown().count("0.6000") == 3
    assert [line.split(":")[0] for line in training.said] == ["Training small, fold 1", "  epoch 3 of 4"]
