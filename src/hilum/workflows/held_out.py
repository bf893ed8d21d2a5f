"""One model for each source, trained without it and judged on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hilum.console import count_of
from hilum.data.sources import HeldSource
from hilum.judge.external.sources import SourceFacts, source_facts
from hilum.judge.metrics import Performance
from hilum.judge.predictions import LabelledPredictions, figures_of
from hilum.train.run_networks import FoldTrainer

__all__ = ["judge_held_out"]

_SEED_SHIFT = 100  # apart from the folds'


def judge_held_out(
    trainer: FoldTrainer, sources: Sequence[HeldSource]
) -> tuple[dict[str, Any], list[LabelledPredictions]]:
    """Train one model without each source and judge it on that source; parts that are finished are not repeated.

    Args:
        trainer: Of the run.
        sources: From hold_out_sources; may be empty.

    Returns:
        What metrics.json holds of it (nothing without sources), and the verdicts behind it.
    """
    if not sources:
        return {}, []
    judged: dict[str, Any] = {"leave_one_source_out": {}, "left_out_sources": {}}
    behind: list[LabelledPredictions] = []
    scan, seed = trainer.prepared.scan, trainer.config.seed
    groups, records = scan.groups, scan.dataset.records
    for number, part in enumerate(sources, start=1):
        figures: Performance | None = None
        told: SourceFacts | dict[str, list[str]] = {"notes": [f"It was not judged: {part.reason}."]}
        if not part.reason:
            trainer.console.say(f"Holding out the source {part.source}, {count_of(int(part.held.sum()), 'film')}.")
            shift = _SEED_SHIFT + number
            validation = trainer.draw_validation(np.flatnonzero(part.rest), shift)
            classifier = trainer.fit(
                f"source-{number}",
                part.rest & ~validation,
                validation,
                seed_shift=shift,
                findings=part.findings,
                without_sources=(part.source,),
            )
            known = part.held & np.array([record.finding in part.findings for record in records])
            strange = part.held & ~known
            verdicts = trainer.judge(classifier, known)
            unknown = trainer.judge(classifier, strange, known_only=False)
            figures = figures_of(verdicts, groups[known], classifier, seed=seed)
            told = source_facts(verdicts, unknown, np.concatenate((groups[known], groups[strange])))
            behind.append(verdicts)
        judged["leave_one_source_out"][part.source] = figures
        judged["left_out_sources"][part.source] = told
    return judged, behind
