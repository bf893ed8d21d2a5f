"""One process's part in a search; the networks are stood in for by answers that follow from the settings."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from hilum.data.phantom import write_phantoms
from hilum.data.split import assign_splits
from hilum.errors import InputError
from hilum.film.preprocess import Preprocessing
from hilum.train.config import FitSettings, RunConfig, default_config
from hilum.train.tune.search_space import Search, TuneSettings
from hilum.train.tune.search_store import Claim
from hilum.train.tune.worker import TuneWorker

BASE = default_config("plain-cnn")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(
        tmp_path_factory.mktemp("worker") / "films",
        num_per_finding=20,
        num_test_per_finding=2,
        seed=5,
        findings=("Normal", "Covid-19"),
        size_px=64,
    )


def worker(phantoms: Path, out: Path, num_trials: int = 8, base: RunConfig = BASE, **changes: Any) -> TuneWorker:
    settings = TuneSettings(num_trials, changes.pop("minutes", None), num_folds=4)
    return TuneWorker(Search(phantoms, out, base, settings), **changes)


def ended(one: TuneWorker) -> list[tuple[int, str, float | None]]:
    return [(number, trial.state.name, trial.value) for number, trial in enumerate(one.store.trials())]


@pytest.mark.slow
def test_films_that_the_starting_weights_have_seen_judge_no_trial(
    phantoms: Path, tmp_path: Path, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.train.tune.worker.films_seen_before", lambda _, prints, groups: groups == groups[3])
    one = worker(phantoms, tmp_path / "some", num_trials=1)
    one.work()
    assert 3 not in one.crossed(0).positions
    assert len(one.crossed(0).positions) == (one.folds >= 0).sum() > 30
    monkeypatch.setattr("hilum.train.tune.worker.films_seen_before", lambda _, prints, groups: groups >= 0)
    with pytest.raises(InputError, match="learned from all of these films"):
        worker(phantoms, tmp_path / "all")


@pytest.mark.slow
def test_the_best_trial_is_found_ends_others_early_and_is_judged_again(
    phantoms: Path, tmp_path: Path, networks: Any
) -> None:
    one = worker(phantoms, tmp_path)
    one.work()
    states = [state for _, state, _ in ended(one)]
    assert len(states) == 8
    assert states[0] == "COMPLETE"
    assert "PRUNED" in states
    number = one.best()
    dropouts = {trial.number: trial.params["dropout"] for trial in one.store.trials()}
    finished = [trial.number for trial in one.store.trials() if trial.state == TrialState.COMPLETE]
    assert number == min(finished, key=lambda trial: abs(dropouts[trial] - 0.5))
    assert number != 0
    hopeless = [trial for trial in one.store.trials() if trial.state == TrialState.PRUNED]
    assert all("not among the best quarter" in trial.user_attrs["note"] for trial in hopeless)
    assert all(len(trial.intermediate_values) < 4 for trial in hopeless)
    assert sum(len(trial.intermediate_values) == 1 for trial in hopeless) >= 4
    confirmed = one.confirmed()
    assert confirmed is not None
    assert confirmed.is_better
    assert confirmed.best.num_films == confirmed.start.num_films == 40
    one.store.close()
    search, again = networks.fitted[:-8], networks.fitted[-8:]
    assert not {seed for _, seed, _ in search} & {seed for _, seed, _ in again}
    num_fits = len(networks.fitted)
    finished = worker(phantoms, tmp_path)
    finished.work()
    assert finished.confirmed() is not None
    assert len(networks.fitted) == num_fits  # a finished search has nothing left to do
    finished.store.close()


def test_a_test_film_is_never_learned_from_nor_judged(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    one = worker(phantoms, tmp_path, num_trials=2)
    one.work()
    is_test = np.array([record.split == "test" for record in one.prepared.records])
    assert is_test.sum() == 4
    assert not np.isin(one.crossed(0).positions, np.flatnonzero(is_test)).any()
    kept = {film.tobytes() for film in one.prepared.films.pixels[is_test]}
    learned = [pixels for pixels in networks.learned if pixels.shape[1] == BASE.preprocessing.size_px]
    assert learned
    assert not kept & {film.tobytes() for pixels in learned for film in pixels}
    one.store.close()


def test_a_drawn_test_part_is_the_one_that_train_draws(phantoms: Path, tmp_path: Path) -> None:
    one = worker(phantoms / "train", tmp_path)
    scan = one.prepared.scan
    data = BASE.data
    expected = assign_splits(
        scan.dataset,
        scan.groups,
        validation_fraction=data.validation_fraction,
        test_fraction=data.test_fraction,
        seed=BASE.seed,
    )
    assert 4 <= (one.folds < 0).sum() <= 12
    assert ((one.folds < 0) == (np.array(expected) == "test")).all()
    one.store.close()


@pytest.mark.slow
def test_films_of_another_size_keep_their_folds(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    one = worker(phantoms, tmp_path, num_trials=6)
    one.work()
    assert {size for _, _, size in networks.fitted} <= {64, 96, 128}
    assert len({size for _, _, size in networks.fitted}) > 1
    assert one._films(96).films.pixels.shape == (44, 96, 96)
    assert one._films(96).scan is one.prepared.scan
    assert len(one._by_size) <= 3
    assert 64 in one._by_size
    one.prepared = dataclasses.replace(
        one.prepared,
        films=dataclasses.replace(
            one.prepared.films, sources=np.arange(44) % 3, covers=np.arange(44 * 512, dtype=np.uint8).reshape(44, 64, 8)
        ),
    )
    one._by_size.pop(96)
    other = one._films(96)
    assert np.array_equal(other.films.sources, one.prepared.films.sources)
    assert np.array_equal(other.films.covers, one.prepared.films.covers)
    assert other.ambiguous_films.pixels.shape == (0, 96, 96)
    one.store.close()


@pytest.mark.slow
def test_settings_that_cannot_be_fitted_end_their_trial_and_not_the_search(
    phantoms: Path, tmp_path: Path, networks: Any
) -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        if len(calls) == 5:  # the first fold of the second trial
            raise InputError("A logit is not finite.")

    networks.before = fail
    one = worker(phantoms, tmp_path, num_trials=3)
    one.work()
    states = ended(one)
    assert states[1][1] == "PRUNED"
    assert one.store.trials()[1].user_attrs["note"] == "cannot be fitted: A logit is not finite."
    assert len(states) == 3
    one.store.close()


def test_defaults_that_cannot_be_fitted_are_an_error(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    def fail() -> None:
        raise InputError("A logit is not finite.")

    networks.before = fail
    one = worker(phantoms, tmp_path)
    with pytest.raises(InputError, match="not finite"):
        one.work()
    one.store.close()


@pytest.mark.slow
def test_an_interrupted_search_repeats_no_fold_and_ends_as_a_whole_one(
    phantoms: Path, tmp_path: Path, networks: Any
) -> None:
    whole = worker(phantoms, tmp_path / "whole", num_trials=5)
    whole.work()
    fitted, networks.fitted = networks.fitted, []
    for stop_at in (2, 6, 9):

        def stop(limit: int = stop_at) -> None:
            if len(networks.fitted) == limit:
                raise KeyboardInterrupt

        networks.before = stop
        one = worker(phantoms, tmp_path / "stopped", num_trials=5)
        with pytest.raises(KeyboardInterrupt):
            one.work()
        one.store.close()
    networks.before = lambda: None
    one = worker(phantoms, tmp_path / "stopped", num_trials=5)
    one.work()
    assert networks.fitted == fitted
    assert ended(one) == ended(whole)
    assert one.confirmed() is not None
    one.store.close()
    whole.store.close()


@pytest.mark.slow
def test_minutes_end_the_trial_that_goes_on_but_not_the_defaults(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    one = worker(phantoms, tmp_path, minutes=0)
    one.work()
    assert [state for _, state, _ in ended(one)] == ["COMPLETE"]
    one.store.close()
    networks.before = lambda: time.sleep(0.02)
    one = worker(phantoms, tmp_path, num_trials=500, minutes=0.01)
    one.work()
    states = [state for _, state, _ in ended(one)]
    assert set(states[:-1]) <= {"COMPLETE", "PRUNED"}
    assert 1 <= len(states) < 500
    one.store.close()


@pytest.mark.slow
def test_several_processes_share_a_search(phantoms: Path, tmp_path: Path, networks: Any) -> None:
    """While one is in the middle of a trial another takes the next; the second then waits until all is done."""
    second: list[TuneWorker] = []
    state = {"begun": False}

    def join() -> None:
        if not state["begun"] and len(networks.fitted) == 5:
            state["begun"] = True
            other = worker(phantoms, tmp_path, num_trials=3)
            assert other.store.work_on_one(other.store.study, other._judge, 3)
            assert [trial.state.name for trial in other.store.trials()][2] in ("COMPLETE", "PRUNED")
            second.append(other)

    networks.before = join
    one = worker(phantoms, tmp_path, num_trials=3)
    one.work()
    assert second
    assert [number for number, _, _ in ended(one)] == [0, 1, 2]
    assert all(state in ("COMPLETE", "PRUNED") for _, state, _ in ended(one))
    second[0].store.close()
    one.store.close()


@pytest.mark.slow
def test_the_defaults_are_judged_whole_even_where_another_process_has_found_better(
    phantoms: Path, tmp_path: Path, networks: Any
) -> None:
    one, other = (worker(phantoms, tmp_path, num_trials=2) for _ in range(2))

    def judge_good(claim: Claim) -> float:
        return other._judge(dataclasses.replace(claim, values={**claim.values, "dropout": 0.5}))

    def judge_late(claim: Claim) -> float:
        assert other.store.work_on_one(other.store.study, judge_good, 2)
        return one._judge(claim)

    assert one.store.work_on_one(one.store.study, judge_late, 2)
    assert [state for _, state, _ in ended(one)] == ["COMPLETE", "COMPLETE"]
    assert one.best() == 1
    for each in (one, other):
        each.store.close()


@pytest.mark.slow
def test_real_networks_are_fitted_and_answer(phantoms: Path, tmp_path: Path) -> None:
    base = dataclasses.replace(BASE, preprocessing=Preprocessing(size_px=32), fit=FitSettings(epochs=1, batch_size=32))
    one = TuneWorker(Search(phantoms, tmp_path, base, TuneSettings(1, num_folds=2)))
    one.work()
    assert one.best() == 0
    assert one.confirmed() is None
    crossed = one.crossed(0)
    assert len(crossed.positions) == 40
    assert np.isfinite(crossed.logits).all()
    one.store.close()
