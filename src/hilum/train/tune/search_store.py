"""The trials of a search in Optuna's own storage (search_database.py), shared by processes and machines.

    DIR/search.json     what the search is about; another search is refused
    DIR/search.db       Optuna's studies `hilum` (the trials) and `confirmation`, in SQLite
    DIR/claims          locked while a process takes a trial
    DIR/trials/NUMBER/  what cross_fit leaves
    DIR/confirmation/NUMBER/    the same of trials that are judged again

A process at work on a trial writes a heartbeat to the database. When no heartbeat has come for a minute, Optuna fails
the trial. RetryHeartbeatStaleTrialCallback then queues it again with its values and results. Ctrl-C fails a trial at
once, and the next process that takes a trial queues it. For Optuna the retry is a new trial; here both are one trial
with one number and one folder, so it continues from its last epoch. Only a process that holds the lock `claims` takes
or queues trials, so none is lost and none is there twice. The system frees the lock when a process dies.

A trial's values depend on the seed, on its number and on the finished trials before it, and on nothing else. So one
process makes the same trials whether it was stopped or not.
"""

from __future__ import annotations

import copy
import json
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import InputError, MissingExtra
from hilum.figures import json_file_text
from hilum.files import replace_file
from hilum.report.search_table import TrialRow
from hilum.train.tune.search_database import close_storage, locked, open_storage, without_experimental_warnings
from hilum.train.tune.search_space import SearchSpace

try:
    import optuna
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.samplers import TPESampler
    from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
    from optuna.trial import FrozenTrial, Trial, TrialState
except ImportError as error:  # pragma: no cover - seen only without the extra
    raise MissingExtra("A search for settings", "train") from error

__all__ = ["Claim", "SearchStore"]

_SEARCH, _CONFIRMATION = "hilum", "confirmation"  # the names of Optuna's studies
_NUM_RANDOM = 8  # trials before the sampler learns from the others
_MOST_TRIES = 5  # of a trial that makes no progress: it ends the process that works on it
_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "ended early",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "stopped",
    TrialState.FAIL: "stopped",
}


@dataclass(frozen=True, eq=False)
class Claim:
    """A trial that this process works on.

    Attributes:
        trial: Optuna's.
        number: The trial's number in the search, from 0.
        values: Its point of the space.
        folder: Where its work goes.
    """

    trial: Trial
    number: int
    values: Mapping[str, Any]
    folder: Path


class SearchStore:
    """The trials of one search, opened by one process.

    Args:
        folder: DIR; made where it does not exist.
        space: What is varied.
        identity: What the search is about; JSON.
        overwrite: Whether another search in the folder is replaced.

    Raises:
        InputError: The folder holds another search, or cannot be written to.
    """

    def __init__(
        self, folder: Path, space: SearchSpace, identity: Mapping[str, object], *, overwrite: bool = False
    ) -> None:
        self.folder, self._space = folder, space
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            self.is_new = self._begin(dict(identity), overwrite=overwrite)
        self._storage = open_storage(folder / "search.db")
        self.study, self.confirmations = (
            optuna.load_study(study_name=name, storage=self._storage) for name in (_SEARCH, _CONFIRMATION)
        )

    def close(self) -> None:
        """Close the database."""
        close_storage(self._storage)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number, each as its latest try left it."""
        return [tries[-1] for tries in _tries(self.study)]

    def rows(self) -> list[TrialRow]:
        """Return the trials that a process has taken, by number."""
        return [self._row(number, tries) for number, tries in enumerate(_tries(self.study)) if tries[-1].params]

    def queue_confirmations(self, numbers: Iterable[int]) -> None:
        """Queue trials for `confirmations`, those that are not there yet."""
        with locked(self.folder):
            there = {one.user_attrs["trial"] for one in self.confirmations.get_trials(deepcopy=False)}
            for number in numbers:
                if number not in there:
                    self.confirmations.enqueue_trial({}, user_attrs={"trial": number})

    def work_on_one(self, study: optuna.Study, judge: Callable[[Claim], float], num_trials: int = 0) -> bool:
        """Take a trial, one that was stopped first, and judge it; return False where there is none to take.

        Args:
            study: `study` or `confirmations`.
            judge: Returns a trial's loss, or raises TrialPruned to end it early. Any other error fails the trial, and
                the next process that takes one continues with it.
            num_trials: How many new trials the study may have in all; 0 for those that are queued.

        Raises:
            InputError: The lock cannot be had.
        """
        claims: list[Claim] = []
        is_lost = False
        with ExitStack() as lock:
            lock.enter_context(locked(self.folder))
            number = self._next(study, num_trials)
            if number is None:
                return False
            seed = np.random.SeedSequence([self._space.base.seed, number]).generate_state(1)[0]
            study.sampler = TPESampler(n_startup_trials=_NUM_RANDOM, seed=int(seed))

            def objective(trial: Trial) -> float:
                nonlocal is_lost
                claims.append(self._claim(study, trial, number))
                lock.close()  # other processes may take theirs
                try:
                    return judge(claims[0])
                except UpdateFinishedTrialError:  # no heartbeat for long: another process has taken the trial over
                    is_lost = True
                    raise optuna.TrialPruned from None

            try:
                study.optimize(objective, n_trials=1)
            except ValueError:
                if not is_lost:
                    raise
        if not is_lost:
            for path in (*claims[0].folder.glob("*.npz"), *claims[0].folder.glob("*.partial")):
                path.unlink(missing_ok=True)
        return True

    def _claim(self, study: optuna.Study, trial: Trial, number: int) -> Claim:
        is_search = study is self.study
        name = f"trials/{number:04d}" if is_search else f"confirmation/{trial.user_attrs['trial']:04d}"
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        values = self._space.drawn(trial) if is_search else {}
        found = [f"{path.name} {path.stat().st_mtime_ns}" for path in sorted(folder.glob("fold-*.np[yz]"))]
        trial.set_user_attr("found", found)
        trial.set_user_attr("host", platform.node())
        self._storage.record_heartbeat(trial._trial_id)  # before the lock is free
        trial.set_user_attr("begun", trial.number)
        return Claim(trial, number, values, folder)

    def _next(self, study: optuna.Study, num_trials: int) -> int | None:
        """Queue the trials of dead processes again; return the number of the trial to take, None where there is none.

        The lock is held. So where a running trial has not begun, the process that was taking it is dead.
        """
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get("begun") != trial.number:
                study.tell(trial.number, state=TrialState.FAIL)
        with without_experimental_warnings():
            fail_stale_trials(study)
            retry = RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)
        for tries in _tries(study):
            if tries[-1].state == TrialState.FAIL and not _is_given_up(tries):
                retry(study, tries[-1] if "begun" in tries[-1].user_attrs else _undrawn(tries[-1]))
        all_tries = _tries(study)
        waiting = [number for number, tries in enumerate(all_tries) if tries[-1].state == TrialState.WAITING]
        if waiting:
            return min(waiting, key=lambda number: all_tries[number][-1].number)  # as Optuna takes them
        return len(all_tries) if len(all_tries) < num_trials else None

    def _begin(self, identity: dict[str, object], *, overwrite: bool) -> bool:
        marker, database = self.folder / "search.json", self.folder / "search.db"
        if marker.exists():
            is_same = json.loads(marker.read_text(encoding="utf-8")) == identity
            if is_same and database.exists() and not overwrite:
                return False
            if not is_same and not overwrite:
                raise InputError(
                    f"`{self.folder}` holds a search with other settings, films or folds, or of an earlier hilum. "
                    "Nothing in it was changed.",
                    fix="Repeat the command of that search to continue it, choose another folder, or add --overwrite.",
                )
        database.unlink(missing_ok=True)
        for name in ("trials", "confirmation", "features"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        replace_file(marker, json_file_text(identity))
        partial = self.folder / "search.partial"
        partial.unlink(missing_ok=True)
        storage = open_storage(partial)
        optuna.create_study(study_name=_CONFIRMATION, storage=storage)
        optuna.create_study(study_name=_SEARCH, storage=storage).enqueue_trial(dict(self._space.start))
        close_storage(storage)
        partial.replace(database)
        return True

    def _row(self, number: int, tries: list[FrozenTrial]) -> TrialRow:
        trial, is_given_up = tries[-1], _is_given_up(tries)
        reported, notes = trial.intermediate_values, trial.user_attrs
        note = f"ended the process that worked on it, {_MOST_TRIES} times" if is_given_up else notes.get("note", "")
        is_drawn = set(trial.params) == set(self._space.distributions)
        return TrialRow(
            number=number,
            state="failed" if is_given_up else _STATES[trial.state],
            loss=trial.value if trial.state == TrialState.COMPLETE else None,
            loss_so_far=reported[max(reported)] if reported else None,
            macro_f1=notes.get("macro_f1"),
            num_folds_done=max(reported, default=0),
            seconds=float(notes.get("seconds", 0.0)),
            settings=self._space.settings(trial.params) if is_drawn else {},
            note=str(note),
        )


def _tries(study: optuna.Study) -> list[list[FrozenTrial]]:
    """Return Optuna's trials with the retries of each behind it; the place in the list is the search's number."""
    tries: dict[int, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        tries.setdefault(trial.system_attrs.get("failed_trial", trial.number), []).append(trial)
    return list(tries.values())


def _is_given_up(tries: list[FrozenTrial]) -> bool:
    """Return whether the latest tries of a trial have all failed, and none found more on disk than the one before."""
    latest = tries[-_MOST_TRIES:]
    if len(latest) < _MOST_TRIES or any(one.state != TrialState.FAIL for one in latest):
        return False
    return all(one.user_attrs.get("found") == latest[0].user_attrs.get("found") for one in latest)


def _undrawn(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial without its values. They are drawn in one sequence, so none is kept where some are missing."""
    without = copy.deepcopy(trial)
    without.params, without.distributions = {}, {}
    return without
