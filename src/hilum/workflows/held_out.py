"""Films judged by networks that did not learn from them: the folds of a run, and each source held out.

Cross-validation within a mixture of sources (hospitals, public sets) rewards a model that recognises the source. A
source that is held out completely is the best substitute for films of another hospital.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilum.console import count_of
from hilum.data.folder import FilmRecord
from hilum.errors import InconsistentDataset
from hilum.findings import sorted_findings
from hilum.judge.external import SourceFacts, source_facts
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Performance, performance
from hilum.judge.predictions import LabelledPredictions, figures_of
from hilum.train.run_networks import NetworkPlan, RunNetworks

__all__ = ["CrossValidated", "HeldSource", "JudgedSource", "cross_validate", "hold_out_sources", "judge_sources"]

MIN_GROUPS = 5  # groups that a finding needs, so that train and validation both have it
_SOURCE_SHIFT = 100  # keeps the seeds of the sources' networks apart from those of the folds


@dataclass(frozen=True, eq=False)
class HeldSource:
    """One source held out.

    Attributes:
        source: Its name.
        rest: (n,) bool, films of the other sources, to train and validate on.
        held: (n,) bool, films of the source outside the test part, to evaluate on.
        findings: The findings that a model can learn from the other sources.
        reason: The reason why no model can be trained; empty where one can.
    """

    source: str
    rest: np.ndarray
    held: np.ndarray
    findings: tuple[str, ...]
    reason: str


def hold_out_sources(
    records: Sequence[FilmRecord], splits: Sequence[str], groups: np.ndarray, *, seen: np.ndarray | None = None
) -> list[HeldSource]:
    """Return for each source, by name, the films to train on and those to evaluate on.

    Films of the test part are in neither. Twins of films of the held source are not trained on.

    Args:
        records: The films.
        splits: The split of each film.
        groups: (n,) int, from group_films.
        seen: (n,) bool, the films that the starting weights were trained on, if any; their sources are not held out.

    Raises:
        InconsistentDataset: Films have no source, or all have the same one.
    """
    open_films = np.asarray(splits, dtype=object) != "test"
    nameless = sum(record.source is None for record in records)
    if nameless:
        raise InconsistentDataset(
            f"{nameless} of {len(records)} films have no source, so no source can be held out.",
            fix="Give a CSV manifest with a column `source`, or omit --by-source.",
        )
    source_of = np.array([record.source for record in records], dtype=object)
    finding_of = np.array([record.finding for record in records], dtype=object)
    names = sorted(set(source_of[open_films].tolist()))
    if len(names) < 2:
        raise InconsistentDataset(
            f"All films to train on come from one source ({', '.join(names)}); expected at least two.",
            fix="Add films of another source, or omit --by-source.",
        )
    parts = []
    for name in names:
        held = open_films & (source_of == name)
        rest = open_films & ~held & ~np.isin(groups, groups[held])
        taught = sorted_findings(
            finding
            for finding in set(finding_of[rest].tolist())
            if len(np.unique(groups[rest & (finding_of == finding)])) >= MIN_GROUPS
        )
        rest &= np.isin(finding_of, taught)
        reason = ""
        if len(taught) < 2:
            reason = f"the other sources have enough films of {f'{taught[0]} only' if taught else 'no finding'}"
        elif seen is not None and (held & seen).any():
            reason = f"the starting weights were trained on {(held & seen).sum()} of its {held.sum()} films"
        elif not np.isin(finding_of[held], taught).any():
            own = sorted_findings(finding_of[held].tolist())
            reason = f"the other sources have too few films of its findings ({', '.join(own)})"
        parts.append(HeldSource(name, rest, held, taught, reason))
    return parts


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
