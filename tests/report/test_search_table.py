"""The live table of trials."""

from __future__ import annotations

import csv
import io

import pytest
import rich.console

from hilum.report.search_table import TrialRow, TrialTable, best_row, changes_text, trial_table, trials_csv


def row(number: int, state: str = "finished", loss: float | None = 0.5, **changes: object) -> TrialRow:
    settings: dict[str, object] = {"dropout": 0.2, "optimiser": "adamw"} | changes
    done = 5 if loss is not None else 2
    note = "" if loss is not None else "not among the best quarter after 1 of 5 folds"
    return TrialRow(number, state, loss, loss or 0.7, None if loss is None else 0.9, done, 12.0, settings, note)


ROWS = [
    row(0),
    row(1, loss=0.4, dropout=0.35),
    row(2, "ended early", None, optimiser="sgd"),
    *(row(number, loss=0.6) for number in range(3, 12)),
    row(12, "running", None),
]


def shown(rows: list[TrialRow], **options: int) -> str:
    console = rich.console.Console(file=io.StringIO(), width=120)
    console.print(trial_table(rows, caption="trial 12: backbone, epoch 1 of 40", **options))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_shows_the_trials_and_what_goes_on() -> None:
    text = shown(ROWS)
    assert text.count("0.6000") == 9
    assert "trial 12: backbone, epoch 1 of 40" in text
    best = next(line for line in text.splitlines() if "best" in line)
    assert best.split()[:3] == ["1", "0.4000", "0.900"]
    assert "dropout 0.35" in best
    assert "the starting settings" in next(line for line in text.splitlines() if line.strip().startswith("0 "))


def test_where_there_is_little_room_the_running_the_first_and_the_best_stay() -> None:
    lines = [line.split()[0] for line in shown(ROWS, most_rows=5).splitlines()[3:] if line.strip()]
    assert [number for number in lines if number.isdigit()] == ["0", "1", "10", "11", "12"]


def test_each_trial_that_ended_has_a_line_once() -> None:
    table = TrialTable()
    rows = [ROWS[0], row(1, "running", None)]
    table.rows = lambda: rows
    lines = list(table.lines())
    rows[1:] = ROWS[1:3]
    lines += table.lines()
    assert [line.split(",")[0] for line in lines] == ["Trial 0", "Trial 1", "Trial 2"]
    assert "loss 0.4000, macro-F1 0.900 (dropout 0.35)" in lines[1]
    assert "not among the best" in lines[2]


def test_the_live_table_asks_for_the_trials_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, changes = [0.0], [0], [0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def rows() -> list[TrialRow]:
        asked[0] += 1
        return ROWS

    table = TrialTable()
    table.rows, table.changed = rows, lambda: changes.__setitem__(0, changes[0] + 1)
    for seconds in (0.0, 0.1, 0.4, 0.6, 0.7):
        now[0] = seconds
        table.doing(f"trial 12: at {seconds} s")
    assert asked == changes == [2]
    console = rich.console.Console(file=io.StringIO(), width=120, height=14)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "trial 12: at 0.7 s" in text
    numbers = [line.split()[0] for line in text.splitlines()[3:] if line.strip()]
    assert [number for number in numbers if number.isdigit()] == ["0", "1", "10", "11", "12"]


def test_the_best_is_the_finished_one_with_the_lowest_loss() -> None:
    assert best_row(ROWS) is ROWS[1]
    assert best_row(ROWS[2:3]) is None


def test_changes_name_what_differs() -> None:
    assert changes_text(ROWS[0], ROWS[0]) == "the starting settings"
    assert changes_text(row(3, dropout=0.35, optimiser="sgd"), ROWS[0]) == "dropout 0.35, optimiser sgd"


def test_the_csv_holds_every_trial_with_its_settings() -> None:
    lines = list(csv.DictReader(io.StringIO(trials_csv(ROWS[:3]))))
    assert [line["trial"] for line in lines] == ["0", "1", "2"]
    assert [line["loss"] for line in lines] == ["0.500000", "0.400000", ""]
    assert [line["loss_so_far"] for line in lines] == ["0.500000", "0.400000", "0.700000"]
    assert [line["dropout"] for line in lines] == ["0.2", "0.35", "0.2"]
    assert [line["optimiser"] for line in lines] == ["adamw", "adamw", "sgd"]
    assert lines[2]["note"] == "not among the best quarter after 1 of 5 folds"
    assert lines[1]["seconds"] == "12.0"
    assert trials_csv([]).count("\n") == 1
