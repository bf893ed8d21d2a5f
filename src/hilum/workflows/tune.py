"""The job of `hilum tune`: search for settings, compare the best trial with the start, write down the winner.

The starting settings are trial 0. They stay the answer unless the best trial beats them, judged again in full length
on other folds and with other first weights, by two standard errors of the films' paired losses.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from optuna import create_study
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from hilum.console import Console
from hilum.errors import ConfigError, HilumError, InputError
from hilum.files import replace_file, writing_into
from hilum.report.search_page import SearchResult, search_page, verdict_text
from hilum.report.search_table import TrialRow, TrialTable, trials_csv
from hilum.run.ray_cluster import LOCAL, Cluster, connect, load_ray
from hilum.train.config import RunConfig
from hilum.train.config_file import to_toml
from hilum.train.tune.gain import figures_of
from hilum.train.tune.search_space import Search, check_search
from hilum.train.tune.worker import TuneWorker, work_on_search

__all__ = ["Tuned", "tune_settings", "work_on_cluster"]

# On a cluster, Ray starts the processes, and starts them again when one dies. They agree on who judges which trial
# through the search's folder, as processes without Ray do. So a cluster needs only that folder and the films, at the
# same path on each machine. Each process has one thread: trials side by side make better use of the cores.

_POLL_SECONDS = 0.5
_MOST_STARTS = 100  # of a process that dies; a trial that ends its process is given up long before
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def work_on_cluster(work: Callable[[], None], cluster: Cluster, doing: Callable[[str], None]) -> None:
    """Run a function in each worker of a Ray cluster and wait until all have returned.

    Args:
        work: The function; it must be importable on every machine.
        cluster: Where; as many workers as there are cores unless it names a number.
        doing: Gets a line now and then about how many workers are at work.

    Raises:
        InputError: The cluster cannot be reached, or a worker cannot read films or folder.
        ConfigError: The number of workers is out of range.
        MissingExtra: Ray is not installed.
    """
    if cluster.num_workers is not None and cluster.num_workers < 1:
        raise ConfigError(f"The number of workers must be 1 or more; received {cluster.num_workers}.")
    if cluster.address == LOCAL and cluster.num_workers is None and hasattr(os, "sched_getaffinity"):
        cluster = Cluster(LOCAL, len(os.sched_getaffinity(0)))
    ray = load_ray(cluster)
    num_workers = connect(ray, cluster, _ONE_THREAD)
    try:
        task = ray.remote(num_cpus=1, max_retries=_MOST_STARTS)(_call)
        left = [task.remote(work) for _ in range(num_workers)]
        while left:
            done, left = ray.wait(left, timeout=_POLL_SECONDS)
            doing(f"{len(left)} of {num_workers} processes at work")
            for one in done:
                _raise_its_error(one, ray)
    finally:
        ray.shutdown()


def _call(work: Callable[[], None]) -> None:
    """Call what is given: Ray makes tasks of functions only, and work may be a partial or a method."""
    work()


def _raise_its_error(task: Any, ray: Any) -> None:
    """Raise what a worker raised as if it had been raised here."""
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, HilumError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise InputError(
            f"A process of the search ended unexpectedly several times: {str(error).splitlines()[0]}",
            fix="Repeat the command without --cluster: it continues the search and shows what is wrong.",
        ) from error


@dataclass(frozen=True, eq=False)
class Tuned:
    """A search's outcome.

    Attributes:
        folder: Where its files are.
        config: The settings to train with.
        is_default: Whether these are the ones that the search started from.
        verdict: Why, in sentences.
        rows: The trials.
        num_unread: Films that could not be read and were left out.
    """

    folder: Path
    config: RunConfig
    is_default: bool
    verdict: str
    rows: Sequence[TrialRow]
    num_unread: int


def tune_settings(
    search: Search,
    *,
    cluster: Cluster | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Tuned:
    """Search for better settings and leave run.toml, trials.csv and report.html in the search's folder.

    A search that was stopped continues where it was; one that is finished continues where more trials are asked for.
    Test films, given or drawn as `hilum train` draws them, are not used.

    Args:
        search: What to search, where, and how long.
        cluster: Where the trials are judged; None for this process.
        overwrite: Whether another search in the folder is replaced.
        console: Where messages go, and the trials while the search goes on.

    Raises:
        InputError: The data set or the folder cannot be used, or the disk is full.
        ConfigError: A setting cannot be met.
        MissingExtra: Ray is not installed.
    """
    console, table = console or Console(), TrialTable()
    with writing_into(search.out, continues=True):
        check_search(search)
        worker = TuneWorker(search, overwrite=overwrite, console=console, watch=table.doing)
        try:
            if not worker.store.is_new:
                console.say(f"Continuing the search in {search.out}.")
            table.rows = worker.store.rows
            with console.live(table, stays=False) as table.changed:
                if cluster is None:
                    worker.work()
                else:
                    there = dataclasses.replace(search, data=search.data.resolve(), out=search.out.resolve())
                    work_on_cluster(partial(work_on_search, there), cluster, table.doing)
            return _concluded(worker)
        finally:
            worker.store.close()


def _concluded(worker: TuneWorker) -> Tuned:
    """Write the search's files and return its outcome."""
    rows, base, out = worker.store.rows(), worker.search.base, worker.search.out
    if not rows or rows[0].loss is None:
        raise InputError(
            f"The starting settings could not be tested: {(rows[0].note or rows[0].state) if rows else 'not tried'}.",
            fix="Use other settings or fewer films, and add --overwrite.",
        )
    confirmed = worker.confirmed()
    number = confirmed.number if confirmed is not None and confirmed.is_better else 0
    config = worker.space.config(worker.store.trials()[number].params) if number else base
    first = worker.crossed(0)
    result = SearchResult(
        data_name=worker.prepared.scan.dataset.name,
        backbone=base.backbone,
        findings=worker.prepared.findings,
        rows=rows,
        chosen=rows[number],
        start=figures_of(first, seed=base.seed),
        confirmed=confirmed,
        importances=_importances(worker),
        num_folds=worker.settings.num_folds,
        seed=base.seed,
        num_groups=len(np.unique(first.groups)),
        num_test=int((worker.folds < 0).sum()),
    )
    replace_file(out / "run.toml", to_toml(config))
    replace_file(out / "trials.csv", trials_csv(rows))
    replace_file(out / "report.html", search_page(result))
    return Tuned(out, config, not number, verdict_text(result), rows, worker.prepared.scan.num_unread)


def _importances(worker: TuneWorker) -> dict[str, float]:
    """Return each setting's share of what the trials differ by after the first fold; empty where they are too few."""
    trials = [trial for trial in worker.store.trials() if 1 in trial.intermediate_values]
    if len({trial.intermediate_values[1] for trial in trials}) < len(worker.space.distributions):
        return {}
    study = create_study()
    for trial in trials:
        one = create_trial(params=trial.params, distributions=trial.distributions, value=trial.intermediate_values[1])
        study.add_trial(one)
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=worker.space.base.seed))
