"""One process's part in a search: it judges trials until none is left, then compares the best with the start.

A trial trains for a quarter of its steps. The folds are the rungs of a successive halving (Li, Jamieson, Rostamizadeh,
Gonina, Hardt, Recht, Talwalkar 2020, A system for massively parallel hyperparameter tuning): after each fold only the
best quarter of the trials that came so far goes on, by the loss on the same films, so most end after one fold. Optuna's
SuccessiveHalvingPruner does the same, but counts a trial that was stopped and continued twice.

The best of many trials looks better than it is, as its luck was chosen too. So it and the start are judged again, in
full length on all folds, on folds and with first weights that the search has not seen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence

import numpy as np
import optuna
import tensorflow
from optuna.trial import TrialState

from hilum.console import Console
from hilum.data.folder import FilmRecord
from hilum.data.split import assign_folds, assign_splits
from hilum.errors import ConfigError, InputError
from hilum.film.decode import DECODER_VERSION
from hilum.judge.history import EpochRow
from hilum.report.search_page import Confirmed
from hilum.report.search_table import best_row
from hilum.train.batches import Films, load_films
from hilum.train.config import RunConfig
from hilum.train.config_file import to_toml
from hilum.train.features import frozen_features
from hilum.train.networks import build_network
from hilum.train.prepared import PreparedFilms, films_seen_before, prepare_films
from hilum.train.trial import Crossed, FoldedFilms, cross_fit
from hilum.train.tune.gain import confirmed_of, macro_f1, mean_loss
from hilum.train.tune.search_space import SHORT, Search, search_space, shortened
from hilum.train.tune.search_store import Claim, SearchStore
from hilum.version import __version__

__all__ = ["TuneWorker", "work_on_search"]

_REDUCTION = 4  # of as many trials one goes on
_SEED_STEP = 1000  # between the draws of folds
_MOST_SIZES = 3  # of films held in memory
_WAIT_SECONDS = 1.0


class TuneWorker:
    """A process at work on a search; reads the films, opens the trials.

    Args:
        search: What to search, where, and how long.
        overwrite: Whether another search in the folder is replaced.
        console: Where messages and progress go.
        watch: Gets a line now and then about what this process is doing.

    Raises:
        InputError: The data set cannot be used, or the folder holds another search.
    """

    def __init__(
        self,
        search: Search,
        *,
        overwrite: bool = False,
        console: Console | None = None,
        watch: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.search, self.settings, self.console, self._watch = search, search.settings, console or Console(), watch
        base = search.base
        self.space = search_space(base)
        with_lungs = base.augmentation.needs_lungs
        self.prepared = prepare_films(search.data, base.preprocessing, with_lungs=with_lungs, console=self.console)
        build_network(  # what cannot be built at all is reported before a search begins
            base.backbone,
            num_findings=len(self.prepared.findings),
            size_px=base.preprocessing.size_px,
            weights=base.weights,
            dropout=base.fit.dropout,
        )
        tensorflow.get_logger().setLevel("ERROR")  # it warns of many networks in one process, which is what a search is
        self._by_size = {base.preprocessing.size_px: self.prepared}
        scan = self.prepared.scan
        self.splits = assign_splits(
            scan.dataset,
            scan.groups,
            validation_fraction=base.data.validation_fraction,
            test_fraction=base.data.test_fraction,
            seed=base.seed,
        )
        self.seen = films_seen_before(base.weights, scan.fingerprints, scan.groups)
        if not ((np.array(self.splits) != "test") & ~self.seen).any():
            raise InputError(
                "The starting weights were learned from all of these films, so no trial can be tested on them.",
                fix="Start from another backbone.",
            )
        self.folds = self._draw_folds(base.seed)
        self.store = SearchStore(search.out, self.space, self._identity(), overwrite=overwrite)
        minutes = search.settings.minutes
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def work(self) -> None:
        """Judge trials until there are as many as wanted or time is up, then the best of them again."""
        try:
            self._work_through(self.store.study, self._judge, self.settings.num_trials)
        except _TimeUpError:
            self.console.say("Time is up. The same command continues with the trial that was running.")
        number = self.best()
        if number:
            self.store.queue_confirmations((0, number))
            self._work_through(self.store.confirmations, self._confirm)

    def best(self) -> int | None:
        """Return the number of the trial with the lowest loss; None where none is finished."""
        row = best_row(self.store.rows())
        return None if row is None else row.number

    def confirmed(self) -> Confirmed | None:
        """Return the best trial against the starting settings, judged again; None where trial 0 is the best."""
        number = self.best()
        if not number:
            return None
        start, best = self._judge_again(0), self._judge_again(number)
        fits = self._draw_folds(self._other_seed)[best.positions]
        return confirmed_of(number, start, best, fits, seed=self.space.base.seed)

    def crossed(self, number: int) -> Crossed:
        """Return a finished trial's answers."""
        return cross_fit(
            FoldedFilms(self.prepared, self.folds), self.space.base, work=self.store.folder / "trials" / f"{number:04d}"
        )

    # --- trials -----------------------------------------------------------------------------------------------------

    def _work_through(self, study: optuna.Study, judge: Callable[[Claim], float], num_trials: int = 0) -> None:
        while not (num_trials and self._is_over()):
            if self.store.work_on_one(study, judge, num_trials):
                continue
            if not study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                break
            self._watch("waiting for a trial of another process; a minute if that process is dead")
            time.sleep(_WAIT_SECONDS)

    def _judge(self, claim: Claim) -> float:
        number, trial = claim.number, claim.trial
        config = shortened(self.space.config(claim.values))
        row = self.store.rows()[number]
        begin = time.monotonic() - row.seconds

        def after_fold(num_done: int, so_far: Crossed) -> None:
            trial.set_user_attr("seconds", time.monotonic() - begin)
            if num_done < row.num_folds_done:  # an earlier try went on
                return
            loss = mean_loss(so_far)
            if num_done > row.num_folds_done:  # what an earlier try has reported stays
                trial.report(loss, num_done)
            if number and num_done < self.settings.num_folds and not self._goes_on(number, num_done, loss):
                raise optuna.TrialPruned(
                    f"not among the best quarter after {num_done} of {self.settings.num_folds} folds"
                )

        def progress(stage: str, epoch: int, epochs: int, fraction: float, row: EpochRow | None) -> None:
            self._watch(f"trial {number}: {stage}, epoch {epoch + (row is None)} of {epochs}")
            if number and self._end is not None and time.monotonic() > self._end:
                raise _TimeUpError

        try:
            crossed = cross_fit(
                self._folded(config, self.folds),
                config,
                work=claim.folder,
                after_fold=after_fold,
                progress=progress,
            )
            trial.set_user_attr("macro_f1", macro_f1(crossed))
            return mean_loss(crossed)
        except optuna.TrialPruned as ended:
            trial.set_user_attr("note", str(ended))
            raise
        except (InputError, ConfigError, MemoryError, tensorflow.errors.OpError) as error:
            if number == 0:
                raise
            trial.set_user_attr("note", f"cannot be fitted: {error}")
            raise optuna.TrialPruned from error
        finally:
            trial.set_user_attr("seconds", time.monotonic() - begin)

    def _goes_on(self, number: int, num_done: int, loss: float) -> bool:
        """Return whether a trial is among the best quarter of those that came so far, or better than all of few."""
        reported = {other: trial.intermediate_values.get(num_done) for other, trial in enumerate(self.store.trials())}
        others = [(one, other) for other, one in reported.items() if one is not None and other != number]
        num_better = sum(one < (loss, number) for one in others)
        return num_better < max((len(others) + 1) // _REDUCTION, 1)

    def _is_over(self) -> bool:
        return self._end is not None and time.monotonic() > self._end and self.best() is not None

    # --- the best of them -------------------------------------------------------------------------------------------

    def _confirm(self, claim: Claim) -> float:
        return mean_loss(self._judge_again(claim.trial.user_attrs["trial"]))

    def _judge_again(self, number: int) -> Crossed:
        trial = self.store.trials()[number]
        config = dataclasses.replace(self.space.config(trial.params), seed=self._other_seed)
        work = self.store.folder / "confirmation" / f"{number:04d}"
        work.mkdir(parents=True, exist_ok=True)

        def progress(stage: str, epoch: int, epochs: int, fraction: float, row: EpochRow | None) -> None:
            name = f"trial {number}" if number else "the starting settings"
            self._watch(f"judging {name} again: {stage}, epoch {epoch + (row is None)} of {epochs}")

        folds = self._draw_folds(config.seed)
        return cross_fit(self._folded(config, folds), config, work=work, progress=progress)

    @property
    def _other_seed(self) -> int:
        return (self.space.base.seed + _SEED_STEP) % 2**32

    # --- films ------------------------------------------------------------------------------------------------------

    def _draw_folds(self, seed: int) -> np.ndarray:
        scan = self.prepared.scan
        left = ["test" if seen else split for seen, split in zip(self.seen, self.splits, strict=True)]
        return assign_folds(scan.dataset, left, scan.groups, num_folds=self.settings.num_folds, seed=seed)

    def _folded(self, config: RunConfig, folds: np.ndarray) -> FoldedFilms:
        """Return the films as some settings want them, with the features that their backbone starts from."""
        films = self._films(config.preprocessing.size_px)
        self._watch("computing the features of the starting network")
        return FoldedFilms(films, folds, frozen_features(films, config, self.store.folder / "features"))

    def _films(self, size_px: int) -> PreparedFilms:
        """Return the same films at another size; twins and folds stay those of the first."""
        if size_px not in self._by_size:
            self._watch(f"reading the films at {size_px} px")
            others = [one for one in self._by_size if one != self.space.base.preprocessing.size_px]
            for one in others[: max(0, len(others) - _MOST_SIZES + 2)]:
                del self._by_size[one]
            prepared, preprocessing = self.prepared, dataclasses.replace(self.space.base.preprocessing, size_px=size_px)

            def resized(films: Films, records: Sequence[FilmRecord]) -> Films:
                """What is known of the films beside their pixels does not depend on their size."""
                paths = [prepared.scan.dataset.root / record.path for record in records]
                return dataclasses.replace(films, pixels=load_films(paths, films.labels, preprocessing).pixels)

            self._by_size[size_px] = dataclasses.replace(
                prepared,
                films=resized(prepared.films, prepared.records),
                ambiguous_films=resized(prepared.ambiguous_films, prepared.ambiguous.records),
            )
        return self._by_size[size_px]

    def _identity(self) -> dict[str, object]:
        scan = self.prepared.scan
        films = sorted(
            f"{one.file_sha256} {record.path}"
            for one, record in zip(scan.fingerprints, self.prepared.records, strict=True)
        )
        return {
            "settings": to_toml(self.space.base),
            "folds": self.settings.num_folds,
            "short": SHORT,
            "films": hashlib.sha256("\n".join(films).encode("utf-8", "surrogateescape")).hexdigest(),
            "hilum": __version__,
            "decoder": DECODER_VERSION,
        }


class _TimeUpError(Exception):
    """The search's minutes are over; the trial stays where it is."""


def work_on_search(search: Search) -> None:
    """Be one process of a search; runs in a worker of a cluster."""
    worker = TuneWorker(search)
    try:
        worker.work()
    finally:
        worker.store.close()
