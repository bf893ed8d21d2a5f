"""What a model says of films whose findings are known, and the figures of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.console import Console, count_of
from hilum.data.folder import FilmRecord
from hilum.errors import InconsistentDataset
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Labels, Performance, performance
from hilum.judge.subgroups import PatientGroups, score_patient_groups
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier, judge_films

__all__ = ["LabelledPredictions", "ProbedFilms", "figures_of", "judge_records"]


@dataclass(frozen=True, eq=False)
class LabelledPredictions:
    """What a model says of films whose findings are known.

    Attributes:
        records: The films, n of them.
        findings: The model's findings, K of them.
        truth: (n,) int, index of the true finding.
        logits: (n, K) float32, before calibration.
        probabilities: (n, K) float64.
        answers: One a film.
    """

    records: tuple[FilmRecord, ...]
    findings: tuple[str, ...]
    truth: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    answers: tuple[Answer, ...]

    def part(self, chosen: np.ndarray) -> LabelledPredictions:
        """Return some of the verdicts, by a mask (n,) or by positions."""
        positions = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return LabelledPredictions(
            tuple(self.records[i] for i in positions),
            self.findings,
            self.truth[positions],
            self.logits[positions],
            self.probabilities[positions],
            tuple(self.answers[i] for i in positions),
        )


@dataclass(frozen=True, eq=False)
class ProbedFilms:
    """Films that a model has judged, and what is known of them.

    Attributes:
        root: The folder that the records' paths are relative to.
        predictions: The films and what the model said of them; one at least.
        groups: (n,) films of equal number are not independent.
        traits: Path to what is known of a film, by column, for the subgroups.
        part: The name of these films in metrics.json.
    """

    root: Path
    predictions: LabelledPredictions
    groups: NDArray[np.int64]
    traits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    part: str = "test"

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(n,) the index of the finding answered."""
        return np.asarray(self.predictions.probabilities.argmax(axis=1))

    def paths(self, positions: NDArray[np.int64]) -> list[Path]:
        """Return where some films are."""
        return [self.root / self.predictions.records[at].path for at in positions]

    def patient_groups(self) -> dict[str, PatientGroups] | None:
        """Return the figures by age and by sex; None where neither is known of any film."""
        return score_patient_groups(self.predictions.records, self.predictions.probabilities, self.labels) or None

    @property
    def labels(self) -> Labels:
        """What is known of the films."""
        return Labels(self.predictions.truth, self.groups, self.predictions.findings)

    def activation(self, at: int) -> NDArray[np.float32]:
        """Return (h, w) the activation of the finding answered, of one film."""
        return self.predictions.answers[at].activation[self.predictions.probabilities[at].argmax()]


def judge_records(
    classifier: Classifier,
    root: Path,
    records: Sequence[FilmRecord],
    *,
    known_only: bool = True,
    console: Console | None = None,
    label: str = "",
) -> LabelledPredictions:
    """Let a model judge films that are known to be readable.

    Args:
        classifier: The model.
        root: The folder the records' paths are relative to.
        records: Films whose findings the model knows.
        known_only: Whether a finding that the model does not know is an error; if not, its truth is -1.
        console: Where a progress bar goes; nowhere by default.
        label: Of the bar; "Judging 3 films" by default.

    Raises:
        InconsistentDataset: A finding is none of the model's, or a film can no longer be read.
    """
    findings = classifier.findings
    unknown = sorted({record.finding for record in records} - set(findings))
    if unknown and known_only:
        raise InconsistentDataset(
            f"The model does not know the findings {', '.join(unknown)}; it tells apart {', '.join(findings)}.",
            fix="Leave those films out, or rename the folders.",
        )
    answers, shown = [], console if console and records else Console()
    with shown.bar(label or f"Judging {count_of(len(records), 'film')}", 1.0) as done:
        for answer in judge_films(classifier, (root / record.path for record in records)):
            if isinstance(answer, UnreadFilm):
                raise answer.error
            answers.append(answer)
            done(1 / len(records))
    shape = (len(answers), len(findings))
    return LabelledPredictions(
        tuple(records),
        findings,
        np.array([findings.index(r.finding) if r.finding in findings else -1 for r in records], dtype=np.int64),
        np.array([answer.logits for answer in answers], dtype=np.float32).reshape(shape),
        np.array([list(answer.probabilities.values()) for answer in answers]).reshape(shape),
        tuple(answers),
    )


def figures_of(
    verdicts: LabelledPredictions, groups: np.ndarray, classifier: Classifier, *, seed: int = 0
) -> Performance:
    """Return the figures of one part; refused films count with their likeliest finding."""
    thresholds = {name: classifier.metadata.operating_thresholds.get(name, 0.5) for name in verdicts.findings}
    return performance(
        verdicts.truth,
        verdicts.probabilities,
        verdicts.findings,
        groups=groups,
        operating_thresholds=thresholds,
        bootstrap=Bootstrap(seed=seed),
    )
