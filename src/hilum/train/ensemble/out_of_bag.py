"""What an ensemble is calibrated on and measured by before any test: answers to films that no answering model knew.

Members of different seeds have different validation films, so a film may be in train for one and held out for another.
A film's held-out answer is the combination of those members that had not learned from it, as for the out-of-bag films
of a bagged model. With the out-of-fold answers of every member that is all of them, on every film of train and
validation; without, it is fewer, and then the calibration is a stand-in: fewer members are less sure than all, so
probabilities come out too cautious rather than too bold. Test films are never among these.

Source: Breiman 1996, Out-of-bag estimation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hilum.data.split import grouped_folds
from hilum.errors import InputError
from hilum.judge.calibration import Calibration, choose_temperature, fit_calibration, operating_thresholds
from hilum.judge.gains import Gains, MemberFigures, paired_gain
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Performance, performance
from hilum.run.answer import softmax
from hilum.train.ensemble.combination import Combination, fit_stack, stack_out_of_fold
from hilum.train.ensemble.members import Films, Source

__all__ = ["HeldOut", "check_stack", "gather_held_out"]

_LEAST_FILMS = 10  # of each finding, to be content with the films that every run has held out


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out answers of the runs behind an ensemble.

    Attributes:
        films: All n films.
        sources: The S runs.
        probabilities: (S, n, K), NaN where a run has no held-out answer.
        combination: How the members are combined.
        logits: (n, K) of the combination, NaN where no run has an answer; of a stack each from one that was fitted on
            other films.
        crossed: (n,) bool, the films with an out-of-fold answer of every run.
    """

    films: Films
    sources: tuple[Source, ...]
    probabilities: np.ndarray
    combination: Combination
    logits: np.ndarray
    crossed: np.ndarray

    def calibrate(self, coverage: float) -> Calibration:
        """Return the ensemble's calibration."""
        films, chosen, method = self.films, self._calibrating(), "held-out"
        if self.crossed[chosen].all() and chosen.any():
            method = "out-of-fold"
        elif films.mask("validation")[chosen].all() and chosen.any():
            method = "validation"
        num_members = sum(len(source.members) for source in self.sources)
        voices = np.isfinite(self.probabilities[:, chosen, 0]).sum(axis=0)
        mean_members = float(voices.mean()) if chosen.any() else 0.0
        made = fit_calibration(
            self.logits[chosen],
            films.truth[chosen],
            films.findings,
            groups=films.groups[chosen],
            coverage=coverage,
        )
        more = {
            "mean_members": round(mean_members, 3),
            "num_members": num_members,
            "is_stand_in": mean_members < num_members,
        }
        return replace(made, facts={**made.facts, "method": method, **more})

    def _calibrating(self) -> np.ndarray:
        """Return the films to calibrate on (n,): those that all runs have held out, or where too few, that any has."""
        answered = np.isfinite(self.probabilities[:, :, 0])
        complete = answered.all(axis=0) & np.isfinite(self.logits[:, 0])
        counts = np.bincount(self.films.truth[complete], minlength=len(self.films.findings))
        if counts.min() >= _LEAST_FILMS or self.combination.method == "stack":
            return complete
        return answered.any(axis=0)

    def gains(self, alone: np.ndarray, *, seed: int) -> Gains:
        """Return what the runs get right of the films that every run has answered out of fold, and what is gained.

        The ensemble is compared with the run that is best on these very films, which is to that run's advantage.

        Args:
            alone: (S, n, K) what the runs say alone.
            seed: Of the bootstraps.
        """
        members = [MemberFigures(source.name, source.backbone, source.seed) for source in self.sources]
        chosen = np.flatnonzero(self.crossed)
        if not chosen.size:
            return Gains(tuple(members), None)
        truth, groups, bootstrap = self.films.truth[chosen], self.films.groups[chosen], Bootstrap(seed=seed)
        scores = []
        for at, probabilities in enumerate(alone[:, chosen]):
            found = performance(truth, probabilities, self.films.findings, groups=groups, bootstrap=bootstrap)
            members[at] = replace(members[at], n=found.n, accuracy=found.accuracy, macro_f1=found.macro_f1)
            scores.append(found.macro_f1.value or 0.0)
        if len(members) < 2:
            return Gains(tuple(members), None)
        best, ours = int(np.argmax(scores)), self.logits[chosen]
        gain = paired_gain(truth, alone[best, chosen], ours, groups, name=members[best].name, seed=seed)
        return Gains(tuple(members), gain)

    def cross_validation(self, *, seed: int) -> tuple[np.ndarray, Performance] | None:
        """Return probabilities (m, K) and figures on the m films that every run has answered out of fold.

        Temperature and operating thresholds come from other films than they are used on, by grouped folds.
        """
        chosen = np.flatnonzero(self.crossed)
        if not chosen.size:
            return None
        logits, truth, groups = self.logits[chosen], self.films.truth[chosen], self.films.groups[chosen]
        probabilities, thresholds = np.full(logits.shape, np.nan), []
        for held in grouped_folds(truth, groups, seed=seed):
            temperature = choose_temperature(logits[~held], truth[~held], groups[~held]).value
            probabilities[held] = softmax(logits[held], temperature)
            others = softmax(logits[~held], temperature)
            thresholds.append(operating_thresholds(others, truth[~held], self.films.findings))
        if not thresholds:
            return None
        mean_thresholds = {name: float(np.mean([one[name] for one in thresholds])) for name in self.films.findings}
        figures = performance(
            truth,
            probabilities,
            self.films.findings,
            operating_thresholds=mean_thresholds,
            groups=groups,
            bootstrap=Bootstrap(seed=seed),
        )
        return probabilities, figures


def check_stack(sources: Sequence[Source]) -> None:
    """Refuse, before any film is read, a stack that cannot be had.

    Raises:
        InputError: A run has no out-of-fold answers, folds are members, or no film was answered by all.
    """
    for source in sources:
        if source.is_folds:
            raise InputError(
                f"The folds of one run (`{source.name}`) cannot be stacked: each film has an out-of-fold "
                "answer of only "
                "one of them, but a stack learns from the answers of all members.",
                fix="Use --method average, or several runs.",
            )
        if not source.has_folds:
            raise InputError(
                f"A stack learns from out-of-fold answers, but `{source.name}` has none.",
                fix="Train it with --folds 5, or use --method average.",
            )
    answered = [set(source.judged.parts[source.held_out_part]) for source in sources]
    if not set.intersection(*answered):
        raise InputError(
            "A stack learns from films for which every member has an out-of-fold answer, but there are no such films.",
            fix="Train the members on the same split of the same data set.",
        )


def gather_held_out(
    films: Films, sources: Sequence[Source], probabilities: np.ndarray, method: str, *, seed: int = 0
) -> HeldOut:
    """Return the held-out answers of runs, combined.

    Args:
        films: All n films.
        sources: The S runs.
        probabilities: (S, n, K), NaN where a run has no held-out answer.
        method: One of `METHODS`; a stack is known to be possible, see check_stack.
        seed: Of a stack's folds.
    """
    crossed = np.isfinite(probabilities[:, :, 0]).all(axis=0)
    crossed &= all(source.has_folds for source in sources)
    if method == "stack":
        stacked = probabilities[:, crossed], films.truth[crossed], films.groups[crossed]
        logits = np.full(probabilities.shape[1:], np.nan)
        logits[crossed] = stack_out_of_fold(*stacked, seed=seed)
        return HeldOut(films, tuple(sources), probabilities, fit_stack(*stacked, seed=seed), logits, crossed)
    combination = Combination(method)
    logits = np.full(probabilities.shape[1:], np.nan)
    answered = np.isfinite(probabilities[:, :, 0]).any(axis=0)
    weights = [len(source.members) for source in sources]
    logits[answered] = combination.logits(probabilities[:, answered], weights)
    return HeldOut(films, tuple(sources), probabilities, combination, logits, crossed)
