"""Held-out answers: only of members that had not learned from a film, never of test films, and honest about both."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import InputError
from hilum.judge.calibration import choose_temperature
from hilum.train.ensemble.combination import Combination
from hilum.train.ensemble.members import common_films, read_sources
from hilum.train.ensemble.out_of_bag import HeldOut, check_stack, gather_held_out

WriteRun = Callable[..., Path]


def held_out(folders: list[Path], method: str = "average") -> HeldOut:
    sources = read_sources(folders)
    films = common_films(sources)
    answers = np.stack([films.probabilities(source, source.held_out_part) for source in sources])
    return gather_held_out(films, sources, answers, method)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, write_run: WriteRun) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / f"run-{seed}", seed=seed) for seed in range(2)]


@pytest.fixture(scope="module")
def unfolded(tmp_path_factory: pytest.TempPathFactory, write_run: WriteRun) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / f"run-{seed}", seed=seed, num_folds=0) for seed in range(3)]


def test_out_of_fold_answers_of_all_members_calibrate(runs: list[Path]) -> None:
    held = held_out(runs)
    assert held.crossed.sum() == 36
    assert not held.crossed[held.films.mask("test")].any()
    expected = Combination("average").logits(held.probabilities[:, held.crossed])
    np.testing.assert_allclose(held.logits[held.crossed], expected)
    calibration = held.calibrate(0.9)
    chosen = choose_temperature(expected, held.films.truth[held.crossed], held.films.groups[held.crossed])
    assert calibration.temperature == chosen.value
    facts = dict(calibration.facts)
    assert np.sum(facts.pop("scores")) == 3 * 36  # each film is counted once for each finding
    assert facts == {
        "temperature": chosen.to_dict(),
        "method": "out-of-fold",
        "n": 36,
        "mean_members": 2.0,
        "num_members": 2,
        "is_stand_in": False,
    }
    assert {limit["n"] for limit in calibration.conformal.values()} == {12}


def test_without_folds_each_film_is_answered_by_those_that_had_held_it_out(unfolded: list[Path]) -> None:
    held = held_out(unfolded)
    answered = np.isfinite(held.probabilities[:, :, 0])
    assert not held.crossed.any()
    for source, has in zip(held.sources, answered, strict=True):
        validated = {row.path for row in source.splits if row.split == "validation"}
        assert {row.path for row, one in zip(held.films.rows, has, strict=True) if one} == validated
    alone = np.flatnonzero(answered.sum(axis=0) == 1)[0]
    only = held.probabilities[np.flatnonzero(answered[:, alone])[0], alone]
    np.testing.assert_allclose(np.exp(held.logits[alone]), only)
    facts = held.calibrate(0.9).facts
    assert facts["method"] == "held-out"
    assert facts["is_stand_in"]
    assert 1 <= facts["mean_members"] < 3
    assert held.cross_validation(seed=0) is None


def test_a_shared_validation_part_is_no_stand_in(tmp_path: Path, write_run: WriteRun) -> None:
    folders = [write_run(tmp_path / f"run-{seed}", seed=seed, split_seed=9, num_folds=0) for seed in range(2)]
    facts = held_out(folders).calibrate(0.9).facts
    assert (facts["method"], facts["n"], facts["is_stand_in"]) == ("validation", 9, False)


def test_the_folds_of_one_run_calibrate_on_single_members_and_say_so(runs: list[Path]) -> None:
    facts = held_out(runs[:1]).calibrate(0.9).facts
    assert (facts["method"], facts["n"], facts["mean_members"]) == ("out-of-fold", 36, 1.0)
    assert (facts["num_members"], facts["is_stand_in"]) == (2, True)


@pytest.mark.slow
def test_test_answers_change_nothing(tmp_path: Path, write_run: WriteRun) -> None:
    folders = [write_run(tmp_path / f"run-{seed}", seed=seed) for seed in range(2)]
    before = [held_out(folders, method).calibrate(0.9) for method in ("average", "stack")]
    path = folders[0] / "predictions.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    for row in rows:
        if row[1] == "test":
            row[-3:] = ["0.0", "0.0", "1.0"]
    with path.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(rows)
    after = [held_out(folders, method).calibrate(0.9) for method in ("average", "stack")]
    assert [one.temperature for one in before] == [one.temperature for one in after]
    assert [one.conformal for one in before] == [one.conformal for one in after]


def test_a_stack_is_measured_out_of_fold(runs: list[Path]) -> None:
    held = held_out(runs, "stack")
    inside = held.combination.logits(held.probabilities[:, held.crossed])
    assert np.abs(inside - held.logits[held.crossed]).max() > 1e-3
    crossed = held.cross_validation(seed=0)
    assert crossed is not None
    assert crossed[1].n == 36


def test_a_stack_of_what_has_no_out_of_fold_answers_is_refused(runs: list[Path], unfolded: list[Path]) -> None:
    with pytest.raises(InputError, match="`run-2` has none"):
        check_stack(read_sources([runs[0], unfolded[2]]))
    with pytest.raises(InputError, match="folds of one run"):
        check_stack(read_sources(runs[:1]))
    check_stack(read_sources(runs))
