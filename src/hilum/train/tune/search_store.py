"""The trials of a search on disk: shared by processes and machines, and none lost or repeated where one of them dies.

    DIR/search.json     what the search is of: another one is refused
    DIR/search.db       Optuna's study, SQLite
    DIR/claims          locked while a trial is taken
    DIR/trials/NUMBER/  what cross_fit leaves; `lock` is held by the process that works there

A process that dies lets go of its locks, whatever kills it, so the next that asks takes its trial over and goes on from
its last epoch; there are no leases that run out and no clocks to agree. The locks are SQLite's own: they hold wherever
the database does, on a folder shared by machines too where its file system has locks.

A trial's settings follow from the seed, its number and the finished trials before it alone. So one process makes the
same trials whether it was stopped or not.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import InputError, MissingExtra
from hilum.figures import json_file_text
from hilum.files import replace_file
from hilum.train.tune.search_space import SearchSpace

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.samplers import BaseSampler, TPESampler
    from optuna.trial import FrozenTrial, Trial, TrialState
    from sqlalchemy.pool import NullPool
except ImportError as error:  # pragma: no cover - seen only without the extra
    raise MissingExtra("A search for settings", "train") from error

__all__ = ["Claim", "SearchStore", "held_lock", "lock_file"]

_STUDY = "hilum"
_NUM_RANDOM = 8  # trials before the sampler learns from the others
_PATIENCE_SECONDS = 120.0  # for a lock that is held for moments
_MOST_ATTEMPTS = 5  # at a trial during which nothing came of it: it ends the process that works on it


@dataclass(frozen=True, eq=False)
class Claim:
    """A trial that this process works on.

    Attributes:
        trial: Optuna's.
        values: Its point of the space.
        folder: Where its work goes.
        seconds: What earlier tries spent on it.
        reported: The folds whose results earlier tries have written down.
    """

    trial: Trial
    values: Mapping[str, Any]
    folder: Path
    seconds: float = 0.0
    reported: frozenset[int] = frozenset()


class SearchStore:
    """The trials of one search, opened by one process.

    Args:
        folder: DIR; made where it is not there.
        space: What is varied.
        identity: What the search is of; JSON.
        overwrite: Whether another search in the folder is replaced.

    Raises:
        InputError: The folder holds another search, or cannot be written to.
    """

    def __init__(
        self, folder: Path, space: SearchSpace, identity: Mapping[str, Any], *, overwrite: bool = False
    ) -> None:
        self.folder, self._space = folder, space
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        with held_lock(folder / "claims", _PATIENCE_SECONDS):
            self.is_new = self._begin(dict(identity), overwrite=overwrite)
        self._storage = _storage(folder / "search.db")
        self.study = optuna.load_study(
            study_name=_STUDY, storage=self._storage, sampler=_NumberedSampler(space.base.seed)
        )

    def close(self) -> None:
        """Let go of the database."""
        _close(self._storage)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials there are, by number."""
        return self.study.get_trials(deepcopy=False)

    @contextmanager
    def claim(self, num_trials: int) -> Iterator[Claim | None]:
        """Take a trial to work on: one that a dead process left, else a new one; yield None where there is none.

        It is this process's until the context ends.

        Args:
            num_trials: How many the search may have in all.
        """
        lock: sqlite3.Connection | None = None
        claim: Claim | None = None
        with held_lock(self.folder / "claims", _PATIENCE_SECONDS):
            trials = self.trials()
            for left in trials:
                if left.state == TrialState.RUNNING:
                    lock = lock_file(self._work_of(left.number) / "lock")
                    if lock is not None:
                        claim = self._taken_over(left.number)
                        if claim is not None:
                            break
                        lock.close()
            if claim is None and sum(one.state != TrialState.WAITING for one in trials) < num_trials:
                trial = self.study.ask(dict(self._space.distributions))
                lock = lock_file(self._work_of(trial.number) / "lock")
                claim = Claim(trial, trial.params, self._work_of(trial.number))
        try:
            yield claim
        finally:
            if lock is not None:
                lock.close()

    def finish(self, claim: Claim, loss: float | None, **notes: Any) -> None:
        """Write down a trial's result; of one that was ended early the loss is None.

        Args:
            claim: The trial.
            loss: What the search makes small.
            notes: Whatever else is to be known of the trial, ready for JSON.
        """
        for name, value in notes.items():
            claim.trial.set_user_attr(name, value)
        self.study.tell(claim.trial, loss, TrialState.PRUNED if loss is None else TrialState.COMPLETE)
        for path in (*claim.folder.glob("*.npz"), *claim.folder.glob("*.partial")):
            path.unlink(missing_ok=True)

    def _begin(self, identity: dict[str, Any], *, overwrite: bool) -> bool:
        marker, database = self.folder / "search.json", self.folder / "search.db"
        if marker.exists():
            is_same = json.loads(marker.read_text(encoding="utf-8")) == identity
            if is_same and database.exists() and not overwrite:
                return False
            if not is_same and not overwrite:
                raise InputError(
                    f"`{self.folder}` holds a search with other settings, films or folds; it was not touched.",
                    fix="Repeat its own command to go on with it, choose another folder, or add --overwrite.",
                )
        database.unlink(missing_ok=True)
        for name in ("trials", "confirmation"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        replace_file(marker, json_file_text(identity))
        partial = self.folder / "search.partial"
        partial.unlink(missing_ok=True)
        storage = _storage(partial)
        study = optuna.create_study(study_name=_STUDY, storage=storage, direction="minimize")
        study.enqueue_trial(dict(self._space.start))
        _close(storage)
        partial.replace(database)
        return True

    def _work_of(self, number: int) -> Path:
        folder = self.folder / "trials" / f"{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _taken_over(self, number: int) -> Claim | None:
        """Return a dead process's trial as this one's; None, and failed, where it has ended several.

        Its lock is held, so its state is the last: the process may have finished it and let go of it just now.
        """
        left = self.trials()[number]
        if left.state != TrialState.RUNNING:
            return None
        trial, folder = Trial(self.study, left._trial_id), self._work_of(left.number)
        stamps = [f"{path.name} {path.stat().st_mtime_ns}" for path in sorted(folder.glob("fold-*.np[yz]"))]
        attempts = left.user_attrs.get("attempts", 1) + 1 if left.user_attrs.get("stamps", []) == stamps else 1
        if attempts > _MOST_ATTEMPTS:
            trial.set_user_attr("note", f"ended the process that worked on it, {_MOST_ATTEMPTS} times")
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        trial.set_user_attr("attempts", attempts)
        trial.set_user_attr("stamps", stamps)
        values = {name: _suggested(trial, name, one) for name, one in self._space.distributions.items()}
        seconds = float(left.user_attrs.get("seconds", 0.0))
        return Claim(trial, values, folder, seconds, frozenset(left.intermediate_values))


class _NumberedSampler(BaseSampler):
    """A tree-structured Parzen estimator, made anew for each trial from the seed and the trial's number.

    Source: Bergstra et al. 2011, Algorithms for hyper-parameter optimization; Watanabe 2023, Tree-structured Parzen
        estimator.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _sampler(self, trial: FrozenTrial, name: str = "") -> TPESampler:
        seed = np.random.SeedSequence([self._seed, trial.number, zlib.crc32(name.encode())]).generate_state(1)[0]
        return TPESampler(n_startup_trials=_NUM_RANDOM, seed=int(seed))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler(trial).sample_relative(study, trial, dict(sorted(search_space.items())))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler(trial, param_name).sample_independent(study, trial, param_name, param_distribution)


def _suggested(trial: Trial, name: str, one: BaseDistribution) -> Any:
    """Return a trial's value: the one it has already, else what its number gives."""
    if isinstance(one, CategoricalDistribution):
        return trial.suggest_categorical(name, one.choices)
    if isinstance(one, FloatDistribution):
        return trial.suggest_float(name, one.low, one.high, log=one.log)
    raise TypeError(f"No search has values of the kind {type(one).__name__}.")


@contextmanager
def held_lock(path: Path, patience_seconds: float) -> Iterator[None]:
    """Hold a lock; it is let go with the context, or by the system with the process.

    Args:
        path: The lock's file.
        patience_seconds: How long to wait for it.

    Raises:
        InputError: Another process holds it all that time, or the folder has no locks.
    """
    lock = lock_file(path, patience_seconds)
    if lock is None:
        raise InputError(
            f"Another process holds `{path}`.", fix="Wait until it is done, or look whether one of hilum's hangs."
        )
    try:
        yield
    finally:
        lock.close()


def lock_file(path: Path, patience_seconds: float = 0.0) -> sqlite3.Connection | None:
    """Return a lock that is held until it is closed; None where another process holds it.

    Args:
        path: The lock's file.
        patience_seconds: How long to wait for it.

    Raises:
        InputError: The folder has no locks.
    """
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=patience_seconds, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if connection is not None:
            connection.close()
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return None
        raise InputError(
            f"Cannot lock `{path}`: {error}.", fix="Choose a folder whose file system has locks, and free some space."
        ) from error
    return connection


def _storage(path: Path) -> optuna.storages.RDBStorage:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=_PATIENCE_SECONDS, check_same_thread=False)

    # The path cannot stand in the URL: it may have a question mark.
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool})


def _close(storage: optuna.storages.RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()
