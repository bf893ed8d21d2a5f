"""The trials of a search: none is lost or there twice, and they are the same whether the search was stopped or not."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import TrialState

from hilum.errors import InputError
from hilum.train.config import default_config
from hilum.train.tune import search_database
from hilum.train.tune.search_space import search_space
from hilum.train.tune.search_store import Claim, SearchStore

SPACE = search_space(default_config("plain-cnn"))
IDENTITY = {"films": "abc"}
Result = tuple[int, str, dict[str, Any]]


class Killed(BaseException):
    """Stands in for SIGKILL: nothing is written down after it."""


@contextmanager
def opened(folder: Path, **options: Any) -> Iterator[SearchStore]:
    store = SearchStore(folder, SPACE, options.pop("identity", IDENTITY), **options)
    try:
        yield store
    finally:
        store.close()


def judge(claim: Claim) -> float:
    if claim.number % 5 == 3:
        raise optuna.TrialPruned
    return float(abs(claim.values["dropout"] - 0.4) + (claim.values["optimiser"] != "lion") * 0.1)


def ends_with(error: type[BaseException]) -> Callable[[Claim], float]:
    def end(_: Claim) -> float:
        raise error

    return end


def results(store: SearchStore) -> list[Result]:
    return [(number, one.state.name, one.params) for number, one in enumerate(store.trials())]


def searched(folder: Path, num_trials: int) -> list[Result]:
    """Search to the end in this process; return number, state and values of the trials."""
    with opened(folder) as store:
        while store.work_on_one(store.study, judge, num_trials):
            pass
        return results(store)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """An uninterrupted search, long enough for the sampler to learn."""
    return searched(tmp_path_factory.mktemp("whole"), 14)


@pytest.fixture
def soon_dead(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what waits until a process without heartbeats counts as dead."""
    monkeypatch.setattr(search_database, "_HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(search_database, "_DEAD_AFTER_SECONDS", 1)
    return lambda: time.sleep(3)


def test_the_first_trial_is_the_start_and_the_others_differ(whole: list[Result]) -> None:
    assert whole[0][2] == SPACE.start
    assert [number for number, _, _ in whole] == list(range(14))
    assert len({json.dumps(values, sort_keys=True) for _, _, values in whole}) == 14


def test_one_seed_gives_the_same_trials_and_another_gives_others(tmp_path: Path, whole: list[Result]) -> None:
    assert searched(tmp_path / "again", 10) == whole[:10]
    other = search_space(dataclasses.replace(default_config("plain-cnn"), seed=1))
    store = SearchStore(tmp_path / "other", other, IDENTITY)
    for _ in range(2):
        assert store.work_on_one(store.study, lambda _: 1.0, 2)
    assert store.trials()[0].params == whole[0][2]
    assert store.trials()[1].params != whole[1][2]
    store.close()


def test_a_search_that_continues_makes_the_same_trials(tmp_path: Path, whole: list[Result]) -> None:
    for num_trials in (1, 3, 9, 14):
        assert searched(tmp_path, num_trials) == whole[:num_trials]


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, Killed])
def test_a_trial_that_was_stopped_continues_with_its_number_and_values(
    tmp_path: Path, whole: list[Result], soon_dead: Callable[[], None], error: type[BaseException]
) -> None:
    def stopped(claim: Claim) -> float:
        claim.trial.report(0.5, 1)
        claim.trial.set_user_attr("seconds", 7.5)
        raise error

    searched(tmp_path, 2)
    with opened(tmp_path) as store, pytest.raises(error):
        store.work_on_one(store.study, stopped, 5)
    if error is Killed:
        soon_dead()
    claims: list[Claim] = []
    with opened(tmp_path) as store:
        assert not store.is_new
        row = store.rows()[2]
        assert (row.state, row.seconds, row.num_folds_done) == ("running" if error is Killed else "stopped", 7.5, 1)

        def judge_once(claim: Claim) -> float:
            claims.append(claim)
            row = store.rows()[2]
            assert (row.state, row.seconds, row.num_folds_done) == ("running", 7.5, 1)
            return judge(claim)

        assert store.work_on_one(store.study, judge_once, 3)
        assert not store.work_on_one(store.study, judge_once, 3)
        assert [(one.number, dict(one.values), one.folder) for one in claims] == [
            (2, whole[2][2], tmp_path / "trials" / "0002")
        ]
        assert results(store) == whole[:3]
    assert searched(tmp_path, 14) == whole


@pytest.mark.parametrize("number", [1, 12])  # drawn at random, and by the trials before it
def test_a_kill_while_values_are_drawn_changes_none_of_them(
    tmp_path: Path, whole: list[Result], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    searched(tmp_path, number)
    real, calls = _CachedStorage.set_trial_param, []

    def killed(self: Any, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise Killed
        real(self, *arguments)

    monkeypatch.setattr(_CachedStorage, "set_trial_param", killed)
    with opened(tmp_path) as store, pytest.raises(Killed):
        store.work_on_one(store.study, judge, number + 1)
    monkeypatch.undo()
    assert searched(tmp_path, number + 1) == whole[: number + 1]  # at once: the lock tells that the process is dead


def test_a_trial_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    numbers: list[int] = []
    with opened(tmp_path) as first, opened(tmp_path) as second:

        def judge_inside(claim: Claim) -> float:
            numbers.append(claim.number)
            assert not first.work_on_one(second.study, judge, 2)  # both are at work, none is left
            return judge(claim)

        def judge_outside(claim: Claim) -> float:
            numbers.append(claim.number)
            assert second.work_on_one(second.study, judge_inside, 2)
            return judge(claim)

        assert first.work_on_one(first.study, judge_outside, 2)
        assert numbers == [0, 1]
        assert [state for _, state, _ in results(second)] == ["COMPLETE"] * 2


def test_a_process_that_seemed_dead_leaves_its_trial_to_the_one_that_took_it_over(
    tmp_path: Path, soon_dead: Callable[[], None]
) -> None:
    with opened(tmp_path) as slow, opened(tmp_path) as other:

        def hang(claim: Claim) -> float:
            other.study.tell(claim.trial.number, state=TrialState.FAIL)  # as Optuna does for lack of heartbeats
            assert other.work_on_one(other.study, judge, 1)
            claim.trial.report(9.0, 1)
            return 9.0

        assert slow.work_on_one(slow.study, hang, 1)
        assert [(row.state, row.loss) for row in slow.rows()] == [("finished", judge_of(SPACE.start))]
        assert not slow.work_on_one(slow.study, judge, 1)


def judge_of(values: Any) -> float:
    return float(abs(values["dropout"] - 0.4) + (values["optimiser"] != "lion") * 0.1)


def test_a_trial_that_ends_its_process_is_given_up(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                store.work_on_one(store.study, ends_with(KeyboardInterrupt), 2)
        assert store.work_on_one(store.study, judge, 2)
        assert not store.work_on_one(store.study, judge, 2)
        assert [row.state for row in store.rows()] == ["failed", "finished"]
        assert store.rows()[0].note == "ended the process that worked on it, 5 times"


def test_a_trial_that_makes_progress_is_not_given_up(tmp_path: Path) -> None:
    def stop(claim: Claim) -> float:
        (claim.folder / f"fold-{len(list(claim.folder.iterdir())) + 1}.npy").write_bytes(b"")
        raise KeyboardInterrupt

    with opened(tmp_path) as store:
        for _ in range(9):
            with pytest.raises(KeyboardInterrupt):
                store.work_on_one(store.study, stop, 1)
        assert [row.state for row in store.rows()] == ["stopped"]
        assert store.work_on_one(store.study, judge, 1)


def test_what_a_trial_needed_to_continue_goes_and_its_answers_stay(tmp_path: Path) -> None:
    def write(claim: Claim) -> float:
        for name in ("fold-1.npy", "fold-2.npz", "fold-2.partial"):
            (claim.folder / name).write_bytes(b"")
        raise optuna.TrialPruned

    with opened(tmp_path) as store:
        assert store.work_on_one(store.study, write, 1)
    assert [path.name for path in sorted((tmp_path / "trials" / "0000").glob("fold*"))] == ["fold-1.npy"]


def test_confirmations_are_queued_once_and_survive_a_stop(tmp_path: Path) -> None:
    numbers, done = (0, 7), []

    def confirm(claim: Claim) -> float:
        if len(done) == 1 and not stopped:
            stopped.append(1)
            raise KeyboardInterrupt
        done.append((claim.trial.user_attrs["trial"], claim.folder.name))
        return 0.5

    stopped: list[int] = []
    with opened(tmp_path) as store:
        assert not store.work_on_one(store.confirmations, confirm)
        for _ in range(2):
            store.queue_confirmations(numbers)
        with pytest.raises(KeyboardInterrupt):
            while store.work_on_one(store.confirmations, confirm):
                pass
    with opened(tmp_path) as store:
        while store.work_on_one(store.confirmations, confirm):
            pass
    assert sorted(done) == [(0, "0000"), (7, "0007")]


def test_another_search_is_refused_and_replaced_only_when_asked(tmp_path: Path) -> None:
    searched(tmp_path, 2)
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    before = (tmp_path / "search.db").read_bytes()
    with pytest.raises(InputError, match="holds a search with other settings") as caught, opened(tmp_path, identity={}):
        pass
    assert "--overwrite" in caught.value.fix
    assert (tmp_path / "search.db").read_bytes() == before
    with opened(tmp_path, identity={}, overwrite=True) as store:
        assert store.is_new
        assert [one.state for one in store.trials()] == [TrialState.WAITING]
        assert store.rows() == []
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "keep"
    assert not any((tmp_path / "trials").glob("*"))


def test_a_search_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    searched(tmp_path, 1)
    (tmp_path / "search.db").rename(tmp_path / "search.partial")
    with opened(tmp_path) as store:
        assert store.is_new
        assert [one.state for one in store.trials()] == [TrialState.WAITING]


def test_a_folder_with_odd_characters_will_do(tmp_path: Path) -> None:
    assert len(searched(tmp_path / "a?b=1 #c %20 'd'", 2)) == 2


WORKER = """
import sys, time
from pathlib import Path
import optuna
from hilum.train.config import default_config
from hilum.train.tune import search_database, search_store
from hilum.train.tune.search_space import search_space
search_database._HEARTBEAT_SECONDS, search_database._DEAD_AFTER_SECONDS = 1, 1
folder, num_trials = Path(sys.argv[1]), int(sys.argv[2])
store = search_store.SearchStore(folder, search_space(default_config("plain-cnn")), {"films": "abc"})
def judge(claim):
    time.sleep(0.03)
    if claim.number % 5 == 3:
        raise optuna.TrialPruned
    return abs(claim.values["dropout"] - 0.4) + (claim.values["optimiser"] != "lion") * 0.1
print("ready", flush=True)
while store.work_on_one(store.study, judge, num_trials):
    print("one trial", flush=True)
store.close()
"""


@pytest.mark.slow
def test_a_search_that_is_killed_loses_and_repeats_nothing(
    tmp_path: Path, whole: list[Result], soon_dead: Callable[[], None]
) -> None:
    """SIGKILL at random moments, three times; what is finished stays as it was, and the end is that of a whole one."""
    chance, finished = random.Random(0), []
    command = [sys.executable, "-c", WORKER, str(tmp_path), "14"]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in ("ready", "one trial"):
                process.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.2))
            process.kill()
        with opened(tmp_path) as store:
            now = [one for one in store.trials() if one.state.is_finished()]
        for before, after in zip(finished, now, strict=False):
            assert (before.number, before.values, before.datetime_complete) == (
                after.number,
                after.values,
                after.datetime_complete,
            )
        assert len(now) > len(finished)
        finished = now
        soon_dead()
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with opened(tmp_path) as store:
        assert results(store) == whole


def test_rows_say_what_became_of_each_trial(tmp_path: Path) -> None:
    def report(claim: Claim) -> float:
        for fold in (1, 2):
            claim.trial.report(0.4 + 0.1 * fold, fold)
        claim.trial.set_user_attr("seconds", 12.25)
        if claim.number == 2:
            claim.trial.set_user_attr("note", "worse, by much")
            raise optuna.TrialPruned
        claim.trial.set_user_attr("macro_f1", 0.9)
        return 0.5 - 0.2 * claim.number

    with opened(tmp_path) as store:
        assert store.rows() == []
        for _ in range(3):
            assert store.work_on_one(store.study, report, 3)
        rows = store.rows()
    assert [(row.number, row.state, row.note) for row in rows] == [
        (0, "finished", ""),
        (1, "finished", ""),
        (2, "ended early", "worse, by much"),
    ]
    assert [row.loss for row in rows] == [0.5, 0.3, None]
    assert [row.macro_f1 for row in rows] == [0.9, 0.9, None]
    assert [(row.loss_so_far, row.num_folds_done, row.seconds) for row in rows] == [(0.6000000000000001, 2, 12.25)] * 3
    assert rows[0].settings == SPACE.settings(SPACE.start)
    assert rows[0].settings["augmentation_strength"] == 1
