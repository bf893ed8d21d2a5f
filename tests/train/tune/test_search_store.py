"""The trials of a search: none lost, none repeated, and the same whether the search was stopped or not."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import TrialState

from hilum.errors import InputError
from hilum.train.config import default_config
from hilum.train.tune.search_space import search_space
from hilum.train.tune.search_store import SearchStore, held_lock, lock_file

SPACE = search_space(default_config("plain-cnn"))
IDENTITY = {"films": "abc"}


@contextmanager
def opened(folder: Path, **options: Any) -> Iterator[SearchStore]:
    store = SearchStore(folder, SPACE, options.pop("identity", IDENTITY), **options)
    try:
        yield store
    finally:
        store.close()


def loss_of(values: Any) -> float:
    return abs(values["dropout"] - 0.4) + (values["optimiser"] != "lion") * 0.1


def searched(folder: Path, num_trials: int) -> list[tuple[int, str, dict[str, Any]]]:
    """Search to the end in this process; return number, state and values of the trials."""
    with opened(folder) as store:
        while True:
            with store.claim(num_trials) as claim:
                if claim is None:
                    return [(one.number, one.state.name, one.params) for one in store.trials()]
                number = claim.trial.number
                store.finish(claim, None if number % 5 == 3 else loss_of(claim.values))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, dict[str, Any]]]:
    """An uninterrupted search, long enough for the sampler to learn."""
    return searched(tmp_path_factory.mktemp("whole"), 14)


def test_the_first_trial_is_the_start_and_the_others_differ(whole: Any) -> None:
    assert whole[0][2] == SPACE.start
    assert [number for number, _, _ in whole] == list(range(14))
    assert len({json.dumps(values, sort_keys=True) for _, _, values in whole}) == 14


def test_one_seed_gives_the_same_trials_and_another_gives_others(tmp_path: Path, whole: Any) -> None:
    assert searched(tmp_path / "again", 10) == whole[:10]
    other = search_space(dataclasses.replace(default_config("plain-cnn"), seed=1))
    store = SearchStore(tmp_path / "other", other, IDENTITY)
    for _ in range(2):
        with store.claim(2) as claim:
            assert claim is not None
            store.finish(claim, 1.0)
    assert store.trials()[0].params == whole[0][2]
    assert store.trials()[1].params != whole[1][2]
    store.close()


def test_a_search_gone_on_with_makes_the_same_trials(tmp_path: Path, whole: Any) -> None:
    for num_trials in (1, 3, 9, 14):
        assert searched(tmp_path, num_trials) == whole[:num_trials]


def test_a_trial_that_was_let_go_of_is_taken_over_with_its_number_and_values(tmp_path: Path, whole: Any) -> None:
    with opened(tmp_path) as store:
        for number in range(2):
            with store.claim(5) as claim:
                assert claim is not None
                store.finish(claim, float(number))
        with store.claim(5) as claim:
            assert claim is not None
            claim.trial.report(0.5, 1)
            claim.trial.set_user_attr("seconds", 7.5)
    with opened(tmp_path) as store:
        assert not store.is_new
        assert [one.state for one in store.trials()][2] == TrialState.RUNNING
        with store.claim(3) as claim:
            assert claim is not None
            assert (claim.trial.number, dict(claim.values)) == (2, whole[2][2])
            assert (claim.seconds, claim.reported) == (7.5, {1})
            store.finish(claim, 1.0)
        with store.claim(3) as claim:
            assert claim is None


def test_a_kill_while_values_are_drawn_changes_none_of_them(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(tmp_path, 12)
    real, calls = _CachedStorage.set_trial_param, []

    def killed(self: Any, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(self, *arguments)

    monkeypatch.setattr(_CachedStorage, "set_trial_param", killed)
    with opened(tmp_path) as store, pytest.raises(KeyboardInterrupt), store.claim(13):
        pass
    monkeypatch.undo()
    with opened(tmp_path) as store, store.claim(13) as claim:
        assert claim is not None
        assert (claim.trial.number, dict(claim.values)) == (12, whole[12][2])


def test_a_trial_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second, ExitStack() as held:
        one = held.enter_context(first.claim(2))
        other = held.enter_context(second.claim(2))
        assert one is not None
        assert other is not None
        assert {one.trial.number, other.trial.number} == {0, 1}
        with first.claim(2) as none:
            assert none is None  # both are at work, none is left
        held.close()
        with first.claim(2) as claim:
            assert claim is not None  # nobody holds them any more


def test_a_trial_finished_just_before_it_would_be_taken_over_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        listed = []
        with first.claim(1) as claim:
            assert claim is not None
            listed.append(second.trials())  # it still runs
            first.finish(claim, 0.5)
        real = second.trials
        monkeypatch.setattr(second, "trials", lambda: listed.pop() if listed else real())
        with second.claim(1) as none:
            assert none is None
        assert not listed


def test_a_trial_that_ends_its_process_is_given_up(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        numbers = []
        for _ in range(6):
            with store.claim(2) as claim:
                assert claim is not None
                numbers.append(claim.trial.number)
        assert numbers == [0] * 5 + [1]
        failed = store.trials()[0]
        assert failed.state == TrialState.FAIL
        assert "ended the process" in failed.user_attrs["note"]


def test_a_trial_that_gets_on_is_not_given_up(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for attempt in range(9):
            with store.claim(1) as claim:
                assert claim is not None
                assert claim.trial.number == 0
                (claim.folder / f"fold-{attempt + 1}.npy").write_bytes(b"")


def test_what_a_trial_needed_for_a_resume_goes_and_its_answers_stay(tmp_path: Path) -> None:
    with opened(tmp_path) as store, store.claim(1) as claim:
        assert claim is not None
        for name in ("fold-1.npy", "fold-2.npz", "fold-2.partial"):
            (claim.folder / name).write_bytes(b"")
        store.finish(claim, 0.5, macro_f1=0.9)
        assert [path.name for path in sorted(claim.folder.glob("fold*"))] == ["fold-1.npy"]
        assert store.trials()[0].user_attrs["macro_f1"] == 0.9


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
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "keep"
    assert not any((tmp_path / "trials").glob("*"))


def test_a_search_killed_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    searched(tmp_path, 1)
    (tmp_path / "search.db").rename(tmp_path / "search.partial")
    with opened(tmp_path) as store:
        assert store.is_new
        assert [one.state for one in store.trials()] == [TrialState.WAITING]


def test_a_folder_with_odd_characters_will_do(tmp_path: Path) -> None:
    assert len(searched(tmp_path / "a?b=1 #c %20 'd'", 2)) == 2


def test_a_lock_is_held_by_one_and_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_lock(path, 0):
        assert lock_file(path) is None
        with pytest.raises(InputError, match="Another process holds"), held_lock(path, 0.05):
            pass
    lock = lock_file(path)
    assert lock is not None
    lock.close()
    with pytest.raises(InputError, match="Cannot lock"):
        lock_file(tmp_path / "missing" / "lock")


WORKER = """
import sys, time
from pathlib import Path
from hilum.train.config import default_config
from hilum.train.tune.search_space import search_space
from hilum.train.tune.search_store import SearchStore
folder, num_trials = Path(sys.argv[1]), int(sys.argv[2])
store = SearchStore(folder, search_space(default_config("plain-cnn")), {"films": "abc"})
print("ready", flush=True)
while True:
    with store.claim(num_trials) as claim:
        if claim is None:
            break
        time.sleep(0.03)
        loss = abs(claim.values["dropout"] - 0.4) + (claim.values["optimiser"] != "lion") * 0.1
        store.finish(claim, None if claim.trial.number % 5 == 3 else loss)
store.close()
"""


def test_a_search_that_is_killed_loses_and_repeats_nothing(tmp_path: Path, whole: Any) -> None:
    """SIGKILL at random moments, three times; what is finished stays as it was, and the end is that of a whole one."""
    chance, finished = random.Random(0), []
    command = [sys.executable, "-c", WORKER, str(tmp_path), "14"]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.5))
            process.kill()
        with opened(tmp_path) as store:
            now = [one for one in store.trials() if one.state.is_finished()]
        for before, after in zip(finished, now, strict=False):
            assert (before.number, before.values, before.datetime_complete) == (
                after.number,
                after.values,
                after.datetime_complete,
            )
        assert len(now) >= len(finished)
        finished = now
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with opened(tmp_path) as store:
        assert [(one.number, one.state.name, one.params) for one in store.trials()] == whole
