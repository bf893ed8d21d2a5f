"""Films judged by networks that did not learn from them: the folds of a run, and each source held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilum.console import count_of
from hilum.data.sources import HeldSource
from hilum.judge.external.sources import SourceFacts, source_facts
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Performance, performance
from hilum.judge.predictions import LabelledPredictions, figures_of
from hilum.train.run_networks import NetworkPlan, RunNetworks

__all__ = ["CrossValidated", "JudgedSource", "cross_validate", "judge_sources"]

_SOURCE_SHIFT = 100  # keeps the seeds of the sources' networks apart from those of the folds


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """The films of the folds, each judged by the network of the fold that held it out.

    Attributes:
        predictions: What the networks say.
        figures: The figures of it.
    """

    predictions: LabelledPredictions
    figures: Performance


@dataclass(frozen=True, eq=False)
class JudgedSource:
    """One source, judged by a network that was trained without it.

    Attributes:
        source: Its name.
        figures: The figures of its films; None where no network could be trained without it.
        facts: What metrics.json says of it beside the figures.
        predictions: What the network says of its films; None likewise.
    """

    source: str
    figures: Performance | None
    facts: SourceFacts
    predictions: LabelledPredictions | None


def cross_validate(networks: RunNetworks, folds: np.ndarray, seen: np.ndarray) -> CrossValidated | None:
    """Train one network for each fold and judge it on the films of that fold.

    Args:
        networks: The run's networks; folds that are finished are not trained again.
        folds: (n,) int, the fold of each film; -1 where a film is in none.
        seen: (n,) bool, the films that the starting weights have learned from; they are not judged.

    Returns:
        The judged films; None without folds, or where no film is left to judge.
    """
    if not networks.config.folds:
        return None
    if seen[folds >= 0].all():
        networks.console.say("No cross-validation: the starting weights were learned from all training films.")
        return None
    findings, groups = networks.prepared.findings, networks.prepared.scan.groups
    predictions, positions, thresholds = [], [], []
    for fold in range(networks.config.folds):
        rest = (folds >= 0) & (folds != fold)
        validation = networks.draw_validation(np.flatnonzero(rest), fold)
        plan = NetworkPlan(f"fold-{fold + 1}", rest & ~validation, validation, findings, seed_shift=fold + 1)
        classifier = networks.fit(plan)
        judged = (folds == fold) & ~seen
        predictions.append(networks.judge(classifier, judged))
        positions.append(np.flatnonzero(judged))
        thresholds.append(classifier.metadata.operating_thresholds)
    together = _joined(predictions)
    figures = performance(
        together.truth,
        together.probabilities,
        findings,
        operating_thresholds={name: float(np.mean([one[name] for one in thresholds])) for name in findings},
        groups=groups[np.concatenate(positions)],
        bootstrap=Bootstrap(seed=networks.config.seed),
    )
    return CrossValidated(together, figures)


def judge_sources(networks: RunNetworks, sources: Sequence[HeldSource]) -> list[JudgedSource]:
    """Train one network without each source and judge it on that source.

    Args:
        networks: The run's networks; those that are finished are not trained again.
        sources: From hold_out_sources; may be empty.
    """
    return [_judge_source(networks, one, number) for number, one in enumerate(sources, start=1)]


def _judge_source(networks: RunNetworks, held: HeldSource, number: int) -> JudgedSource:
    if held.reason:
        return JudgedSource(held.source, None, SourceFacts((f"It was not judged: {held.reason}.",)), None)
    networks.console.say(f"Holding out the source {held.source}, {count_of(int(held.held.sum()), 'film')}.")
    shift, groups = _SOURCE_SHIFT + number, networks.prepared.scan.groups
    validation = networks.draw_validation(np.flatnonzero(held.rest), shift)
    plan = NetworkPlan(
        f"source-{number}", held.rest & ~validation, validation, held.findings, shift, without_sources=(held.source,)
    )
    classifier = networks.fit(plan)
    is_taught = np.array([record.finding in held.findings for record in networks.prepared.records])
    known, unknown = held.held & is_taught, held.held & ~is_taught
    predictions = networks.judge(classifier, known)
    others = networks.judge(classifier, unknown, known_only=False)
    figures = figures_of(predictions, groups[known], classifier, seed=networks.config.seed)
    facts = source_facts(predictions, others, np.concatenate((groups[known], groups[unknown])))
    return JudgedSource(held.source, figures, facts, predictions)


def _joined(parts: Sequence[LabelledPredictions]) -> LabelledPredictions:
    """Return the predictions on several sets of films as one."""
    return LabelledPredictions(
        tuple(record for part in parts for record in part.records),
        parts[0].findings,
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        tuple(answer for part in parts for answer in part.answers),
    )
