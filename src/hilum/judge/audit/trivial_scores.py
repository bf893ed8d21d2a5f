"""What trivial models score, and when that speaks against a data set.

Each is cross-validated on the training films, grouped and stratified, and where there is a test part also trained on
all training films and scored on it. A figure is judged by how far its interval's lower limit stands between chance
(always answering the commonest finding) and certainty: 0 is chance, 1 is certainty. That is its *excess*.

A thumbnail does show the lungs, coarsely: a dense lobe is dense in 8x8 pixels too. So what it scores is held against a
data set only where films without lungs give the finding away as well, or where it comes close to certainty.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from hilum.data.scan import Scan
from hilum.data.split import assign_folds
from hilum.errors import InconsistentDataset, MissingExtra
from hilum.figures import to_json
from hilum.judge.audit.fault import Fault
from hilum.judge.audit.traits import FilmTraits
from hilum.judge.audit.trivial import TRIVIAL_MODELS, TrivialModel
from hilum.judge.intervals import grouped_interval, proportion
from hilum.judge.metrics import f1_columns, macro_f1, mean_f1, occurring

__all__ = ["excess_of", "score_trivial_models", "trivial_faults"]

ERROR_EXCESS = 0.5  # without lungs half of the way to certainty: accuracy on these films says nothing about lungs
WARNING_EXCESS = 0.2
THUMBNAIL_ERROR_EXCESS = 0.9
THUMBNAIL_WARNING_EXCESS = 0.5

NUM_FOLDS = 5
MAX_FITTED = 2000  # films that a support vector machine is fitted on at once: its time grows with their square
_REPEATS = ((1000, 5), (2500, 2))  # up to so many films, so many repeats of the cross-validation; else one


def score_trivial_models(
    scan: Scan,
    splits: Sequence[str],
    traits: Sequence[FilmTraits],
    *,
    seed: int = 0,
    done: Callable[[float], None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Return what each trivial model scores, as audit.json holds it.

    Args:
        scan: The films.
        splits: The split of each.
        traits: Of each.
        seed: Decides the folds.
        done: Called with the share of the work that has been done since the last call.

    Returns:
        Name of the model to {"title", "num_fitted", "cross_validation": S or None, "test": S or None}, S =
        {"n", "accuracy": {"value", "low", "high"}, "macro_f1": the same, "chance"}. cross_validation is None where a
        finding has too few films for two folds; test where there is no test part.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    _scikit_learn()
    labels = np.array([scan.dataset.findings.index(record.finding) for record in scan.dataset.records])
    is_test = np.asarray(splits, dtype=object) == "test"
    folds = _folds(scan, splits, int((~is_test).sum()), seed)
    fits = len(TRIVIAL_MODELS) * (sum(int(one.max()) + 1 for one in folds) + 1)
    scores: dict[str, dict[str, Any]] = {}
    for model in TRIVIAL_MODELS:
        features = model.features(traits)
        rng = np.random.default_rng(seed)
        answers = []
        for drawn in folds:
            answered = np.full(len(labels), -1)
            for fold in range(int(drawn.max()) + 1):
                held = drawn == fold
                answered[held] = _answers(model, features, labels, learnt=~is_test & ~held, asked=held, rng=rng)
                done(1 / fits)
            answers.append(answered[~is_test])
        test = None
        if is_test.any() and len(np.unique(labels[~is_test])) > 1:
            right = _answers(model, features, labels, learnt=~is_test, asked=is_test, rng=rng)
            test = _score(labels[is_test], [right], scan.groups[is_test])
        done(1 / fits)
        scores[model.name] = {
            "title": model.title,
            "num_fitted": min(int((~is_test).sum()), len(labels) if model.is_forest else MAX_FITTED),
            "cross_validation": _score(labels[~is_test], answers, scan.groups[~is_test]) if answers else None,
            "test": test,
        }
    return scores


def excess_of(score: Mapping[str, Any]) -> float:
    """Return how far a score's lower limit stands between chance (0) and certainty (1); below chance it is negative."""
    return float((score["accuracy"]["low"] - score["chance"]) / (1 - score["chance"])) if score["chance"] < 1 else 0.0


def trivial_faults(scores: Mapping[str, Mapping[str, Any]]) -> list[Fault]:
    """Return the faults of trivial models that score what they must not; of thumbnails one, of the better size."""
    excess = {
        model.name: excess_of(scores[model.name]["cross_validation"])
        for model in TRIVIAL_MODELS
        if scores[model.name]["cross_validation"]
    }
    without_lungs = max((excess.get(name, 0.0) for name in ("center_blacked", "border_only")), default=0.0)
    best = max((name for name in excess if name.startswith("thumbnail")), key=excess.__getitem__, default=None)
    faults = []
    for model in TRIVIAL_MODELS:
        severity = None
        if model.kind == "thumbnail":
            if model.name == best:
                severity = _thumbnail_severity(excess[best], without_lungs)
        elif model.kind and excess.get(model.name, 0.0) >= WARNING_EXCESS:
            severity = "error" if excess[model.name] >= ERROR_EXCESS else "warning"
        if severity and model.kind:
            figure = scores[model.name]["cross_validation"]["accuracy"]["value"]
            faults.append(Fault(model.kind, severity, _message(model, scores), (), figure))
    return faults


def _thumbnail_severity(excess: float, without_lungs: float) -> str | None:
    if without_lungs >= WARNING_EXCESS and excess >= THUMBNAIL_WARNING_EXCESS:
        return "error" if excess >= THUMBNAIL_ERROR_EXCESS else "warning"
    return "warning" if excess >= THUMBNAIL_ERROR_EXCESS else None


def _message(model: TrivialModel, scores: Mapping[str, Mapping[str, Any]]) -> str:
    score = scores[model.name]
    crossed, test = score["cross_validation"], score["test"]
    message = (
        f"{crossed['accuracy']['value']:.1%} right (chance {crossed['chance']:.1%}) from {model.sees} alone: grouped "
        f"cross-validation of {crossed['n']} training films, {_said(crossed)}."
    )
    if test:
        right = round(test["accuracy"]["value"] * test["n"])
        message += (
            f" On the test part {right} of {test['n']}, {test['accuracy']['value']:.1%} "
            f"(chance {test['chance']:.1%}), {_said(test)}."
        )
    if model.kind == "thumbnail":
        other = next(one for one in TRIVIAL_MODELS if one.kind == "thumbnail" and one != model)
        less = scores[other.name]["cross_validation"]
        message += f" From {other.title}: {less['accuracy']['value']:.1%}, {_said(less)}."
    if score["num_fitted"] < crossed["n"] * (NUM_FOLDS - 1) / NUM_FOLDS and not model.is_forest:
        message += f" It learnt from {score['num_fitted']:,} films at a time."
    return message


def _said(score: Mapping[str, Any]) -> str:
    accuracy = score["accuracy"]
    return (
        f"95 % interval {100 * accuracy['low']:.1f}-{100 * accuracy['high']:.1f}, "
        f"macro-F1 {score['macro_f1']['value']:.3f}"
    )


def _folds(scan: Scan, splits: Sequence[str], num_films: int, seed: int) -> list[np.ndarray]:
    """Return the folds of each repeat, (n,) int with -1 for the test part; none where the films are too few."""
    if len({record.finding for record, split in zip(scan.dataset.records, splits, strict=True) if split != "test"}) < 2:
        return []
    repeats = next((repeats for most, repeats in _REPEATS if num_films <= most), 1)
    for num_folds in range(NUM_FOLDS, 1, -1):
        try:
            return [
                assign_folds(scan.dataset, splits, scan.groups, num_folds=num_folds, seed=seed + repeat)
                for repeat in range(repeats)
            ]
        except InconsistentDataset:
            continue
    return []


def _answers(
    model: TrivialModel,
    features: np.ndarray,
    labels: np.ndarray,
    *,
    learnt: np.ndarray,
    asked: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return what a model, fitted on some films, answers on others, (m,) int."""
    svm, forest = _scikit_learn()
    positions = np.flatnonzero(learnt)
    if model.is_forest:
        fitted = forest(int(rng.integers(2**31))).fit(features[positions], labels[positions])
        return fitted.predict(features[asked])
    if len(positions) > MAX_FITTED:
        positions = np.sort(rng.choice(positions, MAX_FITTED, replace=False))
    seen = features[positions]
    centre, spread = seen.mean(axis=0), seen.std(axis=0)
    spread[spread == 0] = 1
    fitted = svm().fit((seen - centre) / spread, labels[positions])
    return fitted.predict((features[asked] - centre) / spread)


def _scikit_learn() -> tuple[Callable[[], Any], Callable[[int], Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what libraries warn of while they load is not about the films
            from sklearn.ensemble import RandomForestClassifier
            from sklearn.svm import SVC
    except ImportError as error:
        raise MissingExtra("The audit", "train") from error
    return (
        lambda: SVC(C=10.0, cache_size=500),
        lambda seed: RandomForestClassifier(20, min_samples_leaf=2, random_state=seed),
    )


def _score(truth: np.ndarray, answers: Sequence[np.ndarray], groups: np.ndarray) -> dict[str, Any]:
    """Return the mean over repeats: accuracy with Wilson's interval, macro-F1 with a grouped bootstrap's."""
    right = float(np.mean([(answer == truth).mean() for answer in answers]))
    f1 = float(np.mean([macro_f1(truth, answer) for answer in answers]))
    columns = f1_columns(truth, answers[0])
    drawn = grouped_interval(columns, groups, partial(mean_f1, occurs=occurring(columns)))
    # The first repeat is drawn from, the mean of all is reported: the interval is moved there.
    shift = f1 - macro_f1(truth, answers[0])
    low, high = (float(np.clip((limit or 0.0) + shift, 0, 1)) for limit in (drawn.low, drawn.high))
    return {
        "n": len(truth),
        "accuracy": to_json(proportion(right * len(truth), len(truth))),
        "macro_f1": {"value": f1, "low": min(low, f1), "high": max(high, f1)},
        "chance": float(np.bincount(truth).max() / len(truth)),
    }
