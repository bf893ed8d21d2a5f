"""Films whose label is contradicted by models that did not learn from them: confident learning.

For each finding, the mean probability that films labelled so get for it is the threshold from which a model is
confident. A film is suspect where a finding that its label does not name reaches its own threshold, and none that the
label names does. The thresholds come from the films themselves, so it does not matter that a model is surer of one
finding than of another. Findings that the models do not know well on these films are neither doubted nor suggested.

Source: Northcutt, Jiang, Chuang 2021, Confident learning: estimating uncertainty in dataset labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from hilum.console import Console, count_of
from hilum.data.fingerprint import seen_films
from hilum.data.folder import FilmRecord
from hilum.data.run_tables import PROBABILITY
from hilum.data.scan import Scan
from hilum.findings import open_kinds
from hilum.judge.audit.check import AuditData, Check, Fault, JudgedFilms, Suggestion
from hilum.judge.predictions import LabelledPredictions, judge_records
from hilum.run.classifier import Classifier

__all__ = ["CHECKS", "SUSPECT", "judge_unseen", "judged_films", "suspect_labels", "trusted_findings"]

SUSPECT = "suspect-label"
_LEAST_FILMS = 5  # of a finding, to say from which probability a model is confident of it
_LEAST_RIGHT = 0.5  # of a finding's films; a model that is right on fewer does not know them
_MOST_PAIRS = 3


def trusted_findings(named: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the findings that models know well enough on these films to doubt a label, (K,) bool.

    Args:
        named: (n, K) bool, the findings that each label names: one, or several where it leaves them open.
        probabilities: (n, K), from models that did not learn from the film.
    """
    alone = _alone(named)
    likeliest = np.eye(named.shape[1], dtype=bool)[probabilities.argmax(axis=1)]
    counts = alone.sum(axis=0)
    return np.asarray((counts >= _LEAST_FILMS) & ((alone & likeliest).sum(axis=0) >= _LEAST_RIGHT * counts))


def suspect_labels(named: np.ndarray, probabilities: np.ndarray) -> list[tuple[int, int]]:
    """Return (film, suggested finding) of the films with a suspect label, the most contradicted first.

    Args:
        named: (n, K) bool, as in `trusted_findings`.
        probabilities: (n, K), likewise.
    """
    alone, trusted = _alone(named), trusted_findings(named, probabilities)
    means = (probabilities * alone).sum(axis=0) / np.maximum(alone.sum(axis=0), 1)
    confident = (probabilities >= means) & trusted
    suggested = np.where(confident, probabilities, -1.0).argmax(axis=1)
    suspect = confident.any(axis=1) & ~(named & (confident | ~trusted)).any(axis=1)
    margins = np.where(named, probabilities, 0.0).max(axis=1) - probabilities.max(axis=1)
    films = np.flatnonzero(suspect)
    return [(film, int(suggested[film])) for film in films[np.argsort(margins[films], kind="stable")].tolist()]


def _alone(named: np.ndarray) -> np.ndarray:
    """Return the labels (n, K) of the films that have one finding; an ambiguous label has nothing."""
    return named & (named.sum(axis=1, keepdims=True) == 1)


def judged_films(scan: Scan, predictions: LabelledPredictions, by: str, *, num_seen: int = 0) -> JudgedFilms:
    """Return what models say of some films of a data set; a film that they refuse counts as not judged.

    Args:
        scan: The n films of the data set.
        predictions: What models say of those of them that they did not learn from.
        by: Who the models are, for the middle of a sentence.
        num_seen: Films that were left out because the models learned from them.
    """
    place = {record.path: position for position, record in enumerate(scan.dataset.records)}
    probabilities = np.full((len(place), len(predictions.findings)), np.nan)
    for record, answer, row in zip(predictions.records, predictions.answers, predictions.probabilities, strict=True):
        if answer.accepted:
            probabilities[place[record.path]] = row
    return JudgedFilms(by, predictions.findings, probabilities, num_seen)


def judge_unseen(
    classifier: Classifier, crossed: Mapping[str, Mapping[str, str]], scan: Scan, *, console: Console
) -> JudgedFilms:
    """Let a model judge the films of a data set that it was not trained on, and whose labels it knows.

    Films that it was trained on, with their twins and the other films of their patients, are judged by the folds of its
    run where these did; else they are left out.

    Args:
        classifier: The model.
        crossed: Path to line of predictions.csv, of the films that the folds of its run judged.
        scan: The films.
        console: Where progress goes.
    """
    records, hashes = scan.dataset.records, classifier.metadata.training_data.get("dhash256")
    seen = seen_films(scan.fingerprints, hashes)
    known = _named_findings(records, classifier.findings).any(axis=1)
    trained = np.zeros(len(records), bool) if seen is None else np.isin(scan.groups, scan.groups[seen])
    chosen = [records[position] for position in np.flatnonzero(known & ~trained)]
    predictions = judge_records(classifier, scan.dataset.root, chosen, known_only=False, console=console)
    left_out = [records[position].path for position in np.flatnonzero(known & trained)]
    by_folds = [path for path in left_out if path in crossed]
    by = f"the model `{classifier.metadata.name}`{' and those of its folds' if by_folds else ''}"
    judged = judged_films(scan, predictions, by, num_seen=len(left_out) - len(by_folds))
    place = {record.path: position for position, record in enumerate(records)}
    for path in by_folds:
        if crossed[path]["accepted"] == "true":
            row = [float(crossed[path][PROBABILITY + name]) for name in classifier.findings]
            judged.probabilities[place[path]] = row
    return judged


def _named_findings(records: Sequence[FilmRecord], findings: Sequence[str]) -> np.ndarray:
    """Return the findings that each label names, (n, K) bool; nothing where it names one that is not among them."""
    names = {*findings, *(record.finding for record in records)}
    named = np.zeros((len(records), len(findings)), dtype=bool)
    for row, record in zip(named, records, strict=True):
        kinds = open_kinds(record.finding, names) or (record.finding,)
        if set(kinds) <= set(findings):
            row[[findings.index(kind) for kind in kinds]] = True
    return named


def _answered(data: AuditData, judged: JudgedFilms) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (m,) of the films that were judged, and which findings their labels name, (m, K) bool."""
    named = _named_findings(data.scan.dataset.records, judged.findings)
    films = np.flatnonzero(named.any(axis=1) & ~np.isnan(judged.probabilities).any(axis=1))
    return films, named[films]


def _suspects(data: AuditData) -> Fault | None:
    """Return the fault that some labels are contradicted, the most contradicted film first."""
    judged, records = data.judged, data.scan.dataset.records
    if judged is None:
        return None
    films, named = _answered(data, judged)
    found = [(int(films[film]), k) for film, k in suspect_labels(named, judged.probabilities[films])]
    if not found:
        return None
    pairs = Counter((records[film].finding, judged.findings[k]) for film, k in found).most_common()
    told = "; ".join(f"{number} labelled {filed} may be {other}" for (filed, other), number in pairs[:_MOST_PAIRS])
    more = f"; and {sum(number for _, number in pairs[_MOST_PAIRS:])} more" if len(pairs) > _MOST_PAIRS else ""
    message = (
        f"{len(found):,} of {count_of(len(films), 'label')} may be wrong, by the answers of {judged.by}: {told}{more}."
    )
    return Fault(
        SUSPECT,
        "warning",
        message + _not_doubted(judged, named, films) + _left_out(judged),
        tuple(records[film].path for film, _ in found),
        len(found),
        {
            records[film].path: Suggestion(judged.findings[k], round(float(judged.probabilities[film, k]), 4))
            for film, k in found
        },
    )


def _not_doubted(judged: JudgedFilms, named: np.ndarray, films: np.ndarray) -> str:
    unknown = named.any(axis=0) & ~trusted_findings(named, judged.probabilities[films])
    names = [name for name, is_unknown in zip(judged.findings, unknown, strict=True) if is_unknown]
    if not names:
        return ""
    return f" Labels of {' and '.join(names)} were not doubted: they are too few, or answered wrongly too often."


def _left_out(judged: JudgedFilms) -> str:
    if not judged.num_seen:
        return ""
    films = "1 film was" if judged.num_seen == 1 else f"{judged.num_seen:,} films were"
    return f" {films} left out: the model was trained on {'it' if judged.num_seen == 1 else 'them'}."


def _needs_answers(data: AuditData) -> str:
    if data.judged is None:
        return "No model has judged the films. `hilum audit --model MODEL` and `hilum train --folds 5` do."
    films, named = _answered(data, data.judged)
    if trusted_findings(named, data.judged.probabilities[films]).sum() >= 2:
        return ""
    return (
        f"It takes two findings with at least {_LEAST_FILMS} films each, of which at least half are answered with "
        f"that finding by {data.judged.by}. {count_of(len(films), 'film')} could be judged.{_left_out(data.judged)}"
    )


CHECKS = (
    Check(
        code=SUSPECT,
        title="Labels that a model contradicts",
        severity="warning",
        meaning="A model that did not learn from these films finds another finding more plausible than the label. The "
        "label may be wrong, or the model.",
        remedy="Look at the films and correct wrong labels. `--repair OUT.csv --drop suspect-label` leaves such films "
        "out.",
        find=_suspects,
        needs=(_needs_answers,),
        shows="films",
    ),
)
