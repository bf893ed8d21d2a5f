"""A search for settings: trials judged by grouped cross-validation, the best confirmed, the winner written down.

The defaults are trial 0. They stay the answer unless the best trial beats them, judged anew on other folds and with
other first weights, by two standard errors of the films' paired losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.console import Console
from hilum.errors import HilumError, InputError
from hilum.files import replace_file
from hilum.train.config import RunConfig, to_toml
from hilum.train.tune.cluster import work_on_cluster
from hilum.train.tune.page import SearchResult, search_page, verdict_text
from hilum.train.tune.settings import TuneSettings, check_search
from hilum.train.tune.table import NoTable
from hilum.train.tune.trial_rows import TrialRow, trial_rows, trials_csv
from hilum.train.tune.worker import NOISE, TuneWorker

__all__ = ["Tuned", "tune_settings"]


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
    data: Path,
    out: Path,
    base: RunConfig,
    settings: TuneSettings,
    *,
    cluster: str | None = None,
    num_workers: int | None = None,
    overwrite: bool = False,
    console: Console | None = None,
    table: NoTable | None = None,
) -> Tuned:
    """Search for better settings and leave run.toml, trials.csv and report.html in a folder.

    A search that was stopped goes on where it stood; one that is finished goes on where more trials are asked for. A
    test part, given or drawn as `hilum train` draws it, is neither learned from nor judged.

    Args:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV manifest.
        out: The search's folder.
        base: The settings to start from.
        settings: How long and how carefully.
        cluster: A Ray cluster's address or ``local``; None to judge the trials in this process.
        num_workers: Processes of the cluster.
        overwrite: Whether another search in the folder is replaced.
        console: Where messages go.
        table: Where the trials are shown while the search goes on.

    Raises:
        InputError: The data set or the folder cannot be used, or the disk is full.
        ConfigError: A setting cannot be met.
        MissingExtra: Ray is not installed.
    """
    console, table = console or Console(), table or NoTable()
    try:
        check_search(data, out, base)
        worker = TuneWorker(data, out, base, settings, overwrite=overwrite, console=console, watch=table.doing)
        try:
            if not worker.store.is_new:
                console.say(f"Going on with the search in {out}.")
            table.rows = lambda: trial_rows(worker.store.trials(), worker.space)
            with table:
                if cluster is None:
                    worker.work()
                else:
                    work_on_cluster(
                        data, out, base, settings, address=cluster, num_workers=num_workers, doing=table.doing
                    )
            return _concluded(worker, out)
        finally:
            worker.store.close()
    except OSError as error:
        if isinstance(error, HilumError):
            raise
        raise InputError(
            f"Cannot write into `{out}`: {error.strerror or error}.",
            fix="Free some space or choose another folder; the same command then goes on where it stood.",
        ) from error


def _concluded(worker: TuneWorker, out: Path) -> Tuned:
    """Write the search's files and return its outcome."""
    rows = trial_rows(worker.store.trials(), worker.space)
    if rows[0].loss is None:
        raise InputError(
            f"The defaults could not be judged: {rows[0].note or rows[0].state}.",
            fix="Take other settings or fewer films, and add --overwrite.",
        )
    confirmed = worker.confirmed()
    is_default = confirmed is None or not confirmed.gain.beyond(NOISE)
    chosen = rows[0] if confirmed is None or is_default else rows[confirmed.number]
    config = worker.space.base
    if confirmed is not None and not is_default:
        config = worker.space.config(worker.store.trials()[confirmed.number].params)
    result = SearchResult(
        data_name=worker.prepared.scan.dataset.name,
        findings=worker.prepared.findings,
        rows=rows,
        chosen=chosen,
        first=worker.crossed(0),
        confirmed=confirmed,
        importances=_importances(worker),
        settings=worker.settings,
        base=worker.space.base,
        num_test=int((worker.folds < 0).sum()),
    )
    replace_file(out / "run.toml", to_toml(config))
    replace_file(out / "trials.csv", trials_csv(rows))
    replace_file(out / "report.html", search_page(result))
    return Tuned(out, config, is_default, verdict_text(result), rows, worker.prepared.scan.num_unread)


def _importances(worker: TuneWorker) -> dict[str, float]:
    """Return each setting's share of what the trials' losses differ by; empty where there are too few trials."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    values = {trial.value for trial in worker.store.trials() if trial.state == TrialState.COMPLETE}
    if len(values) < len(worker.space.distributions):
        return {}
    evaluator = FanovaImportanceEvaluator(seed=worker.space.base.seed)
    return get_param_importances(worker.store.study, evaluator=evaluator)
