"""Trials as rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from hilum.train.config import default_config
from hilum.train.tune.search_space import search_space
from hilum.train.tune.search_store import SearchStore
from hilum.train.tune.trial_rows import TrialRow, best_row, changes_text, setting_values, trial_rows, trials_csv

SPACE = search_space(default_config("plain-cnn"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRow]:
    store = SearchStore(tmp_path_factory.mktemp("rows"), SPACE, {})
    for loss in (0.5, 0.3, None):
        with store.claim(4) as claim:
            assert claim is not None
            for fold in (1, 2):
                claim.trial.report(0.4 + 0.1 * fold, fold)
            store.finish(claim, loss, macro_f1=loss, seconds=12.25, note="" if loss else "worse, by much")
    with store.claim(4):
        found = trial_rows(store.trials(), SPACE)
    store.close()
    return found


def test_rows_tell_what_became_of_each_trial(rows: list[TrialRow]) -> None:
    assert [(row.number, row.state) for row in rows] == [
        (0, "finished"),
        (1, "finished"),
        (2, "ended early"),
        (3, "running"),
    ]
    assert [row.loss for row in rows] == [0.5, 0.3, None, None]
    assert [row.loss_so_far for row in rows] == pytest.approx([0.6, 0.6, 0.6, None])
    assert rows[0].settings == setting_values(SPACE.base, SPACE)
    assert rows[0].settings["augmentation_strength"] == 1
    config = SPACE.config({**SPACE.start, "dropout": 0.123456})
    assert setting_values(config, SPACE)["dropout"] == 0.123


def test_the_best_is_the_finished_one_with_the_lowest_loss(rows: list[TrialRow]) -> None:
    assert best_row(rows) is rows[1]
    assert best_row(rows[2:]) is None


def test_changes_name_what_differs(rows: list[TrialRow]) -> None:
    assert changes_text(rows[0], rows[0]) == "the defaults"
    words = changes_text(rows[1], rows[0])
    differing = [name for name, value in rows[1].settings.items() if value != rows[0].settings[name]]
    assert differing
    assert [part.split()[0] for part in words.split(", ")] == differing


def test_the_csv_holds_every_trial_with_its_settings(rows: list[TrialRow]) -> None:
    lines = list(csv.DictReader(io.StringIO(trials_csv(rows))))
    assert [line["trial"] for line in lines] == ["0", "1", "2", "3"]
    assert [line["loss"] for line in lines] == ["0.500000", "0.300000", "", ""]
    assert lines[2]["note"] == "worse, by much"
    assert lines[1]["seconds"] == "12.2"
    assert lines[0]["optimiser"] == "adamw"
    for name, value in rows[1].settings.items():
        shown = lines[1][name]
        assert float(shown) == pytest.approx(value) if isinstance(value, float) else shown == str(value)


def test_a_search_not_begun_has_no_rows(tmp_path: Path) -> None:
    store = SearchStore(tmp_path, SPACE, {})
    assert trial_rows(store.trials(), SPACE) == []
    assert trials_csv([]).count("\n") == 1
    store.close()
