"""One variant of a study: settings cross-fitted on the study's folds, and its answers on films of other sources too."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.files import replace_array, replace_file
from hilum.judge.calibrate import fit_temperature
from hilum.judge.study.changes import figures_of_answers
from hilum.run.answer import softmax
from hilum.train.batches import Films
from hilum.train.config import RunConfig
from hilum.train.fit import compute_logits
from hilum.train.networks import Network
from hilum.train.prepared import PreparedFilms
from hilum.train.study.common import SEED, OutsideFilms, Study
from hilum.train.trial import Crossed, cross_fit

__all__ = ["VariantAnswers", "cross_variant"]


@dataclass(frozen=True, eq=False)
class VariantAnswers:
    """What a variant's networks answered.

    Attributes:
        truth: (n,) int, of the study's films.
        probabilities: (n, K), each from a network that saw nothing of the film's group.
        groups: (n,) int.
        outside: (m, C) mean probabilities of all folds on films of other sources; None without such.
        minutes: Processor time that fitting took, of all folds.
        num_weights: Of one network.
        kept_random: How many of its networks kept the random weights they began with.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    outside: np.ndarray | None
    minutes: float
    num_weights: int
    kept_random: int = 0

    def figures(self, findings: Sequence[str], outside: OutsideFilms | None) -> dict[str, Any]:
        """Return {"in_house": F, "external": F or None, "minutes", "num_weights", "kept_random"}.

        F is what figures_of_answers returns.
        """
        other = None
        if outside is not None and self.outside is not None:
            other = figures_of_answers(outside.films.labels, self.outside, outside.groups, outside.findings)
        return {
            "in_house": figures_of_answers(self.truth, self.probabilities, self.groups, findings),
            "external": other,
            "minutes": self.minutes,
            "num_weights": self.num_weights,
            "kept_random": self.kept_random,
        }


class _Answering:
    """Answers the films of a fold, and beside them those of other sources, at the fold's temperature."""

    def __init__(self, outside: OutsideFilms | None, folder: Path) -> None:
        self.outside, self.folder, self.fold = outside, folder, 1
        self.temperature: float | None = None
        self.began = time.process_time()

    def __call__(self, network: Network, films: Films) -> np.ndarray:
        logits = compute_logits(network.model, films)
        if self.temperature is None:  # the validation films come first
            self.temperature = fit_temperature(logits, films.labels)
            self.minutes = (time.process_time() - self.began) / 60
            return logits
        if self.outside is not None:
            answers = compute_logits(network.model, self.outside.films)[:, self.outside.columns] / self.temperature
            replace_array(self.folder / f"outside-{self.fold}.npy", answers)
        facts = {"minutes": self.minutes, "num_weights": int(network.model.count_params())}
        replace_file(self.folder / f"facts-{self.fold}.json", json.dumps(facts))
        return logits

    def next_fold(self, num_done: int, _: Crossed) -> None:
        self.fold, self.temperature, self.began = num_done + 1, None, time.process_time()


def cross_variant(
    study: Study,
    prepared: PreparedFilms,
    outside: OutsideFilms | None,
    config: RunConfig,
    *names: str,
) -> VariantAnswers:
    """Return a variant's answers; folds that an earlier try has finished are not repeated.

    Args:
        study: The study; its folds and its seed are the same for every variant.
        prepared: Its films, read with ``config.preprocessing``.
        outside: Films of other sources, read likewise.
        config: The variant's settings; the study's seed takes the place of theirs.
        names: What the variant is called in the study's folder.

    Raises:
        ConfigError: The network or its weights are not to be had.
    """
    folder, answers, minutes, num_weights, num_random = study.folder(*names), [], 0.0, 0, 0
    answering = _Answering(outside, folder)
    crossed = cross_fit(
        prepared,
        study.folds(prepared),
        dataclasses.replace(config, seed=SEED),
        work=folder,
        answer=answering,
        after_fold=answering.next_fold,
    )
    order = np.argsort(crossed.positions)
    for fold in range(1, study.settings.folds + 1):
        facts = json.loads((folder / f"facts-{fold}.json").read_text(encoding="utf-8"))
        minutes, num_weights = minutes + facts["minutes"], facts["num_weights"]
        num_random += json.loads((folder / f"kept-{fold}.json").read_text(encoding="utf-8"))["kept_random"]
        if outside is not None:
            answers.append(softmax(np.load(folder / f"outside-{fold}.npy", allow_pickle=False)))
    return VariantAnswers(
        truth=crossed.truth[order],
        probabilities=softmax(crossed.logits[order]),
        groups=crossed.groups[order],
        outside=np.mean(answers, axis=0) if answers else None,
        minutes=minutes,
        num_weights=num_weights,
        kept_random=num_random,
    )
