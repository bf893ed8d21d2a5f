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
from hilum.judge.audit.check import AuditData, Check, Fault, Films, needs_films
from hilum.judge.audit.figures import Score, TrivialScore
from hilum.judge.audit.trivial import TRIVIAL_MODELS, TrivialModel
from hilum.judge.intervals import Interval, grouped_interval, proportion
from hilum.judge.metrics import f1_columns, macro_f1, occurring
from hilum.judge.tally import mean_f1
from hilum.text import percent_text, range_text

__all__ = ["CHECKS", "needs_trivial_models", "score_trivial_models", "severity_of", "trivial_faults"]

ERROR_EXCESS = 0.5  # without lungs half of the way to certainty: accuracy on these films says nothing about lungs
WARNING_EXCESS = 0.2
THUMBNAIL_ERROR_EXCESS = 0.9
THUMBNAIL_WARNING_EXCESS = 0.5

NUM_FOLDS = 5
MAX_FITTED = 2000  # films that a support vector machine is fitted on at once: its time grows with their square
_REPEATS = ((1000, 5), (2500, 2))  # up to so many films, so many repeats of the cross-validation; else one


def score_trivial_models(
    films: Films,
    *,
    done: Callable[[float], None] = lambda _: None,
) -> dict[str, TrivialScore]:
    """Return what each trivial model scores, by its name.

    Args:
        films: The films whose finding is stated, with their traits.
        done: Called with the share of the work that has been done since the last call.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    _scikit_learn()
    scan, splits = films.scan, films.splits
    labels = np.array([scan.dataset.findings.index(record.finding) for record in scan.dataset.records])
    is_test = np.asarray(splits, dtype=object) == "test"
    folds = _folds(scan, splits, int((~is_test).sum()))
    fits = len(TRIVIAL_MODELS) * (sum(int(one.max()) + 1 for one in folds) + 1)
    scores: dict[str, TrivialScore] = {}
    for model in TRIVIAL_MODELS:
        features = model.features(films.traits)
        rng = np.random.default_rng(0)
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
        scores[model.name] = TrivialScore(
            title=model.title,
            num_fitted=min(int((~is_test).sum()), len(labels) if model.is_forest else MAX_FITTED),
            cross_validation=_score(labels[~is_test], answers, scan.groups[~is_test]) if answers else None,
            test=test,
        )
    return scores


def severity_of(name: str, scores: Mapping[str, TrivialScore]) -> str | None:
    """Return the severity of what a trivial model scores; None where it is no fault.

    Of the two thumbnails only the one that scores better can be a fault.

    Args:
        name: The model's.
        scores: Of all models, as `score_trivial_models` returns them.
    """
    model = next(model for model in TRIVIAL_MODELS if model.name == name)
    excess = {one: score.cross_validation.excess for one, score in scores.items() if score.cross_validation}
    if model.kind is None or name not in excess:
        return None
    if model.kind == "thumbnail":
        best = max((one for one in excess if one.startswith("thumbnail")), key=excess.__getitem__)
        without_lungs = max((excess.get(one, 0.0) for one in ("center_blacked", "border_only")), default=0.0)
        return _thumbnail_severity(excess[name], without_lungs) if name == best else None
    if excess[name] < WARNING_EXCESS:
        return None
    return "error" if excess[name] >= ERROR_EXCESS else "warning"


def trivial_faults(kind: str, scores: Mapping[str, TrivialScore]) -> list[Fault]:
    """Return the faults of one kind of the trivial models that score what they must not."""
    faults = []
    for model in TRIVIAL_MODELS:
        severity = severity_of(model.name, scores) if model.kind == kind else None
        crossed = scores[model.name].cross_validation if severity else None
        if severity and crossed:
            faults.append(Fault(kind, severity, _message(model, crossed, scores), (), crossed.accuracy.value))
    return faults


def _thumbnail_severity(excess: float, without_lungs: float) -> str | None:
    if without_lungs >= WARNING_EXCESS and excess >= THUMBNAIL_WARNING_EXCESS:
        return "error" if excess >= THUMBNAIL_ERROR_EXCESS else "warning"
    return "warning" if excess >= THUMBNAIL_ERROR_EXCESS else None


def _message(model: TrivialModel, crossed: Score, scores: Mapping[str, TrivialScore]) -> str:
    score = scores[model.name]
    test, accuracy = score.test, crossed.accuracy
    message = (
        f"A simple model that sees only {model.sees} gets {_whole(accuracy.value)} right; guessing would get "
        f"{_whole(crossed.chance)}. That is on {crossed.n} training films in cross-validation; the 95 % interval "
        f"is {range_text(accuracy, 0)}."
    )
    if test:
        right = round((test.accuracy.value or 0.0) * test.n)
        message += (
            f" On the test part it gets {right} of {test.n} right, {_whole(test.accuracy.value)}; guessing "
            f"would get {_whole(test.chance)}."
        )
    if model.kind == "thumbnail":
        other = next(one for one in TRIVIAL_MODELS if one.kind == "thumbnail" and one != model)
        if less := scores[other.name].cross_validation:
            message += f" With {other.title} a film it gets {_whole(less.accuracy.value)} right."
    if score.num_fitted < crossed.n * (NUM_FOLDS - 1) / NUM_FOLDS and not model.is_forest:
        message += f" It learned from {score.num_fitted:,} films at a time."
    return message


def _whole(fraction: float | None) -> str:
    return percent_text(fraction or 0.0, 0)


def _folds(scan: Scan, splits: Sequence[str], num_films: int) -> list[np.ndarray]:
    """Return the folds of each repeat, (n,) int with -1 for the test part; none where the films are too few."""
    if len({record.finding for record, split in zip(scan.dataset.records, splits, strict=True) if split != "test"}) < 2:
        return []
    repeats = next((repeats for most, repeats in _REPEATS if num_films <= most), 1)
    for num_folds in range(NUM_FOLDS, 1, -1):
        try:
            return [
                assign_folds(scan.dataset, splits, scan.groups, num_folds=num_folds, seed=repeat)
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


def _score(truth: np.ndarray, answers: Sequence[np.ndarray], groups: np.ndarray) -> Score:
    """Return the mean over repeats: accuracy with Wilson's interval, macro-F1 with a grouped bootstrap's."""
    right = float(np.mean([(answer == truth).mean() for answer in answers]))
    f1 = float(np.mean([macro_f1(truth, answer) for answer in answers]))
    columns = f1_columns(truth, answers[0])
    drawn = grouped_interval(columns, groups, partial(mean_f1, occurs=occurring(columns)))
    # The first repeat is drawn from, the mean of all is reported: the interval is moved there.
    shift = f1 - macro_f1(truth, answers[0])
    low, high = (float(np.clip((limit or 0.0) + shift, 0, 1)) for limit in (drawn.low, drawn.high))
    return Score(
        n=len(truth),
        accuracy=proportion(right * len(truth), len(truth)),
        macro_f1=Interval(f1, min(low, f1), max(high, f1)),
        chance=float(np.bincount(truth).max() / len(truth)),
    )


# --- checks ----------------------------------------------------------------------------------------------------------


def needs_trivial_models(data: AuditData) -> str:
    """Ask for what trivial models score in cross-validation."""
    scores = data.figures.trivial_models
    if scores is None:
        return "Simple models were not fitted on these films."
    if not any(score.cross_validation for score in scores.values()):
        return "There are too few films: cross-validation needs at least two groups of films of each finding."
    return ""


def _trivial_check(code: str, title: str, meaning: str, remedy: str) -> Check:
    """Return the check for what one trivial model scores."""

    def find(data: AuditData) -> list[Fault]:
        return trivial_faults(code, data.figures.trivial_models or {})

    return Check(code, title, "error", meaning, remedy, find, (needs_films, needs_trivial_models))


CHECKS = (
    _trivial_check(
        "thumbnail",
        "A few grey values are nearly enough",
        "No radiologist can read a film of so few pixels. What shows the finding there is exposure, framing or age.",
        "Whenever you quote a model's accuracy on these films, quote this figure beside it.",
    ),
    _trivial_check(
        "border-only",
        "The edge of the film shows the finding",
        "There is no lung in the outermost strip of a film. What a model reads there is no disease.",
        "Crop the films to the chest, take each finding from several sources, and test on films of another hospital.",
    ),
    _trivial_check(
        "center-blacked",
        "Films without lungs still show the finding",
        "A model sees the finding even where the lungs are blacked out. So a good accuracy on these films does not "
        "show that a model reads lungs.",
        "Take each finding from several sources, and test on films of another hospital.",
    ),
)
