"""Films of other hospitals, whose findings the model lacks in part: how it answers them, and each source held out.

What the model does not know is not quietly left out. Films of unknown findings count in no accuracy, but in a hospital
they come all the same: how the model answers them is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hilum.console import count_of
from hilum.data.folder import FilmRecord
from hilum.figures import left_out_if_none
from hilum.findings import NORMAL
from hilum.judge.intervals import Interval, proportion
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics
from hilum.judge.predictions import LabelledPredictions
from hilum.run.answer import Answer

__all__ = [
    "PneumoniaFigures",
    "RunMetrics",
    "SourceFacts",
    "UnknownFinding",
    "pneumonia_figures",
    "source_facts",
    "unknown_figures",
]

PNEUMONIAS = ("Viral Pneumonia", "Bacterial Pneumonia", "Pneumonia (type not stated)")


@dataclass(frozen=True)
class UnknownFinding:
    """How a model answers films of one finding that it does not know.

    Attributes:
        n: How many films there are.
        answers: The model's findings to how many films are answered with them, the commonest first.
        accepted: How many films are accepted.
        single_finding: The share of films that are accepted with exactly one finding in the conformal set: answered as
            if all were well.
    """

    n: int
    answers: Mapping[str, int]
    accepted: int
    single_finding: Interval


@dataclass(frozen=True)
class PneumoniaFigures:
    """Pneumonia of any kind against normal.

    Attributes:
        kinds: The model's findings whose probabilities are summed.
        pneumonia: How many films show pneumonia.
        normal: How many are normal.
        auroc: Of the sum.
        sensitivity: A film is answered "pneumonia" where the sum is larger than the probability of any other finding.
        specificity: The same.
    """

    kinds: tuple[str, ...]
    pneumonia: int
    normal: int
    auroc: Interval
    sensitivity: Interval
    specificity: Interval


@dataclass(frozen=True)
class SourceFacts:
    """What metrics.json says of a held-out source beside its figures.

    Attributes:
        notes: Sentences for a reader.
        unknown_findings: The same as in an evaluation.
        pneumonia: The same as in an evaluation.
    """

    notes: tuple[str, ...]
    unknown_findings: Mapping[str, UnknownFinding] = field(default_factory=dict)
    pneumonia: PneumoniaFigures | None = None


@dataclass(frozen=True)
class RunMetrics(Metrics):
    """What metrics.json holds of a run.

    Attributes:
        leave_one_source_out: The figures of each source held out; None for a source that could not be judged.
        left_out_sources: What else there is to say of each source held out.
    """

    leave_one_source_out: Mapping[str, Performance | None] | None = left_out_if_none()
    left_out_sources: Mapping[str, SourceFacts] | None = left_out_if_none()


def unknown_figures(records: Sequence[FilmRecord], answers: Sequence[Answer]) -> dict[str, UnknownFinding]:
    """Return how a model answers films with findings that it does not know, by finding.

    Args:
        records: Films of such findings.
        answers: One a film.
    """
    figures = {}
    for finding in sorted({record.finding for record in records}):
        chosen = [answer for record, answer in zip(records, answers, strict=True) if record.finding == finding]
        single = sum(answer.accepted and len(answer.set) == 1 for answer in chosen)
        figures[finding] = UnknownFinding(
            n=len(chosen),
            answers=dict(Counter(answer.likeliest for answer in chosen).most_common()),
            accepted=sum(answer.accepted for answer in chosen),
            single_finding=proportion(single, len(chosen)),
        )
    return figures


def pneumonia_figures(
    records: Sequence[FilmRecord], answers: Sequence[Answer], known: Sequence[str], groups: np.ndarray
) -> PneumoniaFigures | None:
    """Return the figures of pneumonia against normal, where the films' kinds of pneumonia are not the model's.

    The probability of pneumonia is the sum over the model's kinds of it, Covid-19 not among them; a film is answered
    "pneumonia" where that sum is larger than the probability of every other finding.

    Args:
        records: Films of any finding.
        answers: One a film.
        known: The model's findings.
        groups: (n,) int.

    Returns:
        The figures; None where the model knows all kinds of pneumonia among the films, or the question cannot be asked.
    """
    kinds = [name for name in PNEUMONIAS if name in known]
    strange = [name for name in PNEUMONIAS if name not in known and any(r.finding == name for r in records)]
    if not kinds or not strange or NORMAL not in known:
        return None
    asked = [i for i, record in enumerate(records) if record.finding in PNEUMONIAS or record.finding == NORMAL]
    truth = np.array([int(records[i].finding != NORMAL) for i in asked])
    sums = np.array([sum(answers[i].probabilities[name] for name in kinds) for i in asked])
    others = [name for name in known if name not in kinds]
    rivals = np.array([max(answers[i].probabilities[name] for name in others) for i in asked])
    # Two columns that order the films as the sum does, for the AUROC; and one that exceeds one half where pneumonia is
    # the answer, for sensitivity and specificity.
    ordered, answered = (
        performance(
            truth,
            np.stack((1 - score, score), axis=1),
            ("not pneumonia", "pneumonia"),
            groups=groups[asked],
        ).per_finding["pneumonia"]
        for score in (sums, (sums > rivals).astype(np.float64))
    )
    return PneumoniaFigures(
        kinds=tuple(kinds),
        pneumonia=int(truth.sum()),
        normal=int((truth == 0).sum()),
        auroc=ordered.auroc,
        sensitivity=answered.sensitivity,
        specificity=answered.specificity,
    )


def source_facts(verdicts: LabelledPredictions, unknown: LabelledPredictions, groups: np.ndarray) -> SourceFacts:
    """Return what metrics.json says of a held-out source beside its figures.

    Args:
        verdicts: Of its films with findings that the model without it knows.
        unknown: Of its other films.
        groups: (n,) int, of both, in this order.
    """
    present = {record.finding for record in verdicts.records}
    lacking = [name for name in verdicts.findings if name not in present]
    notes = [f"It has no film of {', '.join(lacking)}."] if lacking else []
    untaught = sorted({record.finding for record in unknown.records})
    if untaught:
        notes.append(
            f"The other sources do not teach {', '.join(untaught)}: {count_of(len(unknown.records), 'film')} "
            f"{'counts' if len(unknown.records) == 1 else 'count'} in no figure."
        )
    return SourceFacts(
        notes=tuple(notes),
        unknown_findings=unknown_figures(unknown.records, unknown.answers),
        pneumonia=pneumonia_figures(
            (*verdicts.records, *unknown.records), (*verdicts.answers, *unknown.answers), verdicts.findings, groups
        ),
    )
