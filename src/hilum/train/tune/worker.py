"""One process's part in a search: it takes trials until none is left, then judges the best of them anew.

A trial is ended after a fold in which it was worse than the best trial so far by two standard errors of the paired
films (a race, as Maron and Moore 1994 have it). The best of many trials looks better than it is, as its luck was chosen
too. So it and the defaults are judged again, on folds and with first weights that the search has not seen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow
from optuna.trial import TrialState

from hilum.console import Console
from hilum.data.folder import FilmRecord
from hilum.data.split import assign_folds, assign_splits
from hilum.errors import ConfigError, InputError
from hilum.film.decode import DECODER_VERSION
from hilum.train.batches import Films, load_films
from hilum.train.config import RunConfig, to_toml
from hilum.train.networks import build_network
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.pretrained import films_seen_before
from hilum.train.trial import Crossed, cross_fit
from hilum.train.tune.gain import Gain, gain_of, macro_f1, mean_loss
from hilum.train.tune.search_space import search_space
from hilum.train.tune.search_store import Claim, SearchStore, lock_file
from hilum.train.tune.settings import TuneSettings
from hilum.version import __version__

__all__ = ["NOISE", "Confirmed", "TuneSettings", "TuneWorker"]

NOISE = 2.0  # standard errors
_SEED_STEP = 1000  # between the draws of folds
_MOST_SIZES = 2  # of films held in memory
_WAIT_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Confirmed:
    """The best trial against the defaults, on folds and with first weights that the search had not seen.

    Attributes:
        number: The trial.
        gain: Of its loss over that of the defaults.
        defaults, best: Answers of each, repeat after repeat.
    """

    number: int
    gain: Gain
    defaults: Crossed
    best: Crossed


class TuneWorker:
    """A process at work on a search; reads the films, opens the trials.

    Args:
        data: What read_dataset takes.
        out: The search's folder.
        base: The settings to start from.
        settings: How long and how carefully.
        overwrite: Whether another search in the folder is replaced.
        console: Where messages and progress go.
        watch: Told what this process is doing, now and then.

    Raises:
        InputError: The data set cannot be used, or the folder holds another search.
    """

    def __init__(
        self,
        data: Path,
        out: Path,
        base: RunConfig,
        settings: TuneSettings,
        *,
        overwrite: bool = False,
        console: Console | None = None,
        watch: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings, self.console, self._watch = settings, console or Console(), watch
        self.space = search_space(base)
        with_lungs = base.augmentation.needs_lungs
        self.prepared = prepare_films(data, base.preprocessing, with_lungs=with_lungs, console=self.console)
        build_network(  # what cannot be built at all is said before a search is begun
            base.backbone,
            num_findings=len(self.prepared.findings),
            size_px=base.preprocessing.size_px,
            weights=base.weights,
            dropout=base.fit.dropout,
        )
        tensorflow.get_logger().setLevel("ERROR")  # it warns of many networks in one process, which is what a search is
        self._by_size = {base.preprocessing.size_px: self.prepared}
        self.splits = assign_splits(
            self.prepared.scan.dataset,
            self.prepared.scan.groups,
            validation_fraction=base.data.validation_fraction,
            test_fraction=base.data.test_fraction,
            seed=base.seed,
        )
        self.seen = films_seen_before(base.weights, self.prepared.scan.fingerprints, self.prepared.scan.groups)
        if not ((np.array(self.splits) != "test") & ~self.seen).any():
            raise InputError(
                "The starting weights were learned from all of these films: no trial could be judged on them.",
                fix="Start from another backbone.",
            )
        self.folds = self._draw_folds(base.seed)
        self.store = SearchStore(out, self.space, self._identity(), overwrite=overwrite)
        self._end = None if settings.minutes is None else time.monotonic() + 60 * settings.minutes

    def work(self) -> None:
        """Judge trials until there are as many as wanted or time is up, then the best of them anew."""
        try:
            while not self._is_over():
                with self.store.claim(self.settings.num_trials) as claim:
                    if claim is not None:
                        self._judge(claim)
                if claim is None:
                    if not self._are_others_at_work():
                        break
                    self._watch("waiting for other processes")
                    time.sleep(_WAIT_SECONDS)
        except _TimeUpError:
            self.console.say("The time is up; the trial that was going on can be gone on with.")
        self._confirm()

    def best(self) -> int | None:
        """Return the number of the trial with the lowest loss; None where none is finished."""
        finished = [trial for trial in self.store.trials() if trial.state == TrialState.COMPLETE]
        return min(finished, key=lambda trial: (trial.value, trial.number)).number if finished else None

    def confirmed(self) -> Confirmed | None:
        """Return the best trial against the defaults, judged anew; None where the defaults are the best."""
        number = self.best()
        if not number:
            return None
        parts: list[tuple[Crossed, Crossed]] = []
        fits: list[np.ndarray] = []
        for repeat in range(self.settings.num_confirmations):
            parts.append((self._judge_anew(0, repeat), self._judge_anew(number, repeat)))
            fold_of = self._draw_folds(self._seed_of(repeat))[parts[-1][0].positions]
            fits.append(fold_of + repeat * self.settings.num_folds)
        defaults, best = (_joined(list(one)) for one in zip(*parts, strict=True))
        return Confirmed(number, gain_of(best, defaults, np.concatenate(fits)), defaults, best)

    def crossed(self, number: int) -> Crossed:
        """Return a finished trial's answers."""
        return cross_fit(
            self.prepared, self.folds, self.space.base, work=self.store.folder / "trials" / f"{number:04d}"
        )

    # --- trials -----------------------------------------------------------------------------------------------------

    def _judge(self, claim: Claim) -> None:
        number = claim.trial.number
        config = self.space.config(claim.values)
        begin = time.monotonic()
        best = self.best()
        rival = self.crossed(best) if best is not None else None

        def after_fold(num_done: int, so_far: Crossed) -> None:
            if num_done not in claim.reported:
                claim.trial.report(mean_loss(so_far), num_done)
            claim.trial.set_user_attr("seconds", claim.seconds + time.monotonic() - begin)
            is_over = number == 0 or num_done == self.settings.num_folds
            if rival is not None and not is_over and gain_of(rival, so_far).beyond(NOISE):
                raise _HopelessError(num_done)

        def progress(stage: str, epoch: int, epochs: int, fraction: float, row: dict[str, Any] | None) -> None:
            self._watch(f"trial {number}: {stage}, epoch {epoch + (row is None)} of {epochs}")
            if number and self._end is not None and time.monotonic() > self._end:
                raise _TimeUpError

        loss, note, f1 = None, "", None
        try:
            crossed = cross_fit(
                self._films(config.preprocessing.size_px),
                self.folds,
                config,
                work=claim.folder,
                after_fold=after_fold,
                progress=progress,
            )
            loss, f1 = mean_loss(crossed), macro_f1(crossed)
        except _HopelessError as ended:
            note = f"worse than trial {best} by more than noise after {ended} of {self.settings.num_folds} folds"
        except (InputError, ConfigError, MemoryError, tensorflow.errors.OpError) as error:
            if number == 0:
                raise
            note = f"cannot be fitted: {error}"
        self.store.finish(
            claim, loss, macro_f1=f1, note=note, seconds=claim.seconds + time.monotonic() - begin, host=platform.node()
        )

    def _is_over(self) -> bool:
        return self._end is not None and time.monotonic() > self._end and self.best() is not None

    def _are_others_at_work(self) -> bool:
        return any(trial.state == TrialState.RUNNING for trial in self.store.trials())

    # --- the best of them -------------------------------------------------------------------------------------------

    def _confirm(self) -> None:
        """Judge the best trial and the defaults anew, side by side with other processes."""
        number = self.best()
        if not number:
            return
        left = [(one, repeat) for repeat in range(self.settings.num_confirmations) for one in (0, number)]
        while left:
            for job in list(left):
                folder = self._folder_anew(*job)
                if all((folder / f"fold-{fold + 1}.npy").exists() for fold in range(self.settings.num_folds)):
                    left.remove(job)
                    continue
                lock = lock_file(folder / "lock")
                if lock is not None:
                    try:
                        self._judge_anew(*job)
                    finally:
                        lock.close()
                    left.remove(job)
            if left:
                self._watch("waiting for other processes")
                time.sleep(_WAIT_SECONDS)

    def _folder_anew(self, number: int, repeat: int) -> Path:
        folder = self.store.folder / "confirmation" / f"{number:04d}-{repeat + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _judge_anew(self, number: int, repeat: int) -> Crossed:
        trial = self.store.trials()[number]
        config = dataclasses.replace(self.space.config(trial.params), seed=self._seed_of(repeat))

        def progress(stage: str, epoch: int, epochs: int, fraction: float, row: dict[str, Any] | None) -> None:
            name = f"trial {number}" if number else "the defaults"
            self._watch(f"judging {name} anew ({repeat + 1}): {stage}, epoch {epoch + (row is None)} of {epochs}")

        return cross_fit(
            self._films(config.preprocessing.size_px),
            self._draw_folds(config.seed),
            config,
            work=self._folder_anew(number, repeat),
            progress=progress,
        )

    def _seed_of(self, repeat: int) -> int:
        return (self.space.base.seed + _SEED_STEP * (repeat + 1)) % 2**32

    # --- films ------------------------------------------------------------------------------------------------------

    def _draw_folds(self, seed: int) -> np.ndarray:
        scan = self.prepared.scan
        left = ["test" if seen else split for seen, split in zip(self.seen, self.splits, strict=True)]
        return assign_folds(scan.dataset, left, scan.groups, num_folds=self.settings.num_folds, seed=seed)

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
                partial_films=resized(prepared.partial_films, prepared.partial.records),
            )
        return self._by_size[size_px]

    def _identity(self) -> dict[str, Any]:
        scan = self.prepared.scan
        films = sorted(
            f"{one.file_sha256} {record.path}"
            for one, record in zip(scan.fingerprints, self.prepared.records, strict=True)
        )
        return {
            "settings": to_toml(self.space.base),
            "folds": self.settings.num_folds,
            "films": hashlib.sha256("\n".join(films).encode("utf-8", "surrogateescape")).hexdigest(),
            "hilum": __version__,
            "decoder": DECODER_VERSION,
        }


class _HopelessError(Exception):
    """A trial is worse than the best by more than noise; its argument is the number of folds that were done."""


class _TimeUpError(Exception):
    """The search's minutes are over; the trial stays where it stands."""


def _joined(parts: list[Crossed]) -> Crossed:
    names = [field.name for field in dataclasses.fields(Crossed)]
    return Crossed(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
