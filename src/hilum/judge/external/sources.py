"""Each source judged by a model that saw none of its films, beside the figures in house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hilum.console import count_of
from hilum.figures import left_out_if_none
from hilum.judge.external.figures import PneumoniaFigures, UnknownFinding, pneumonia_figures, unknown_figures
from hilum.judge.metrics import Performance
from hilum.judge.parts import Metrics
from hilum.judge.predictions import LabelledPredictions

__all__ = ["RunMetrics", "SourceFacts", "source_facts"]

_IN_HOUSE = ("cross_validation", "test_clean")


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
