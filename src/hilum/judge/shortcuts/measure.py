"""The shortcuts of a trained model: what its score rests on, where its heat maps lie, what breaks it, and for whom.

All of it is measured through the runtime plane on the films that `evaluate` judges, the clean ones where there are any.
Large sets are sampled at random, with a fixed seed; every figure comes with the number of films behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.console import Console
from hilum.film.radiograph import Radiograph
from hilum.judge.audit.figures import CueVerdict
from hilum.judge.intervals import Interval, grouped_mean
from hilum.judge.predictions import LabelledPredictions, ProbedFilms
from hilum.judge.shortcuts.faithfulness import (
    HeatMapMass,
    OrderScores,
    order_films,
    score_mass,
    score_orders,
    share_in_lungs,
)
from hilum.judge.shortcuts.occlusion import (
    CueFigures,
    Guessing,
    chance_of,
    cue_films,
    judge_variants,
    score_cues,
    share_in_border,
)
from hilum.judge.shortcuts.robustness import Robustness, damaged_films, score_damages
from hilum.judge.shortcuts.sanity import SanityScores, score_sanity
from hilum.judge.shortcuts.verdict import judge_cues
from hilum.judge.subgroups import Subgroup, score_subgroups
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import read_model_file

__all__ = ["Example", "FilmCounts", "FilmNumbers", "ShortcutFigures", "Shortcuts", "find_shortcuts"]

_EXAMPLES = 4


@dataclass(frozen=True)
class FilmCounts:
    """The most films that each part looks at; a sample is drawn from larger sets.

    Attributes:
        cues: For the scores with parts hidden, and the share of heat maps inside the lungs.
        robustness: For the damages, 37 inputs a film.
        faithfulness: For deletion and insertion, 69 inputs a film.
        sanity: For the shuffled weights.
    """

    cues: int = 400
    robustness: int = 100
    faithfulness: int = 40
    sanity: int = 24


@dataclass(frozen=True, eq=False)
class Example:
    """One film as each cue shows it to the network.

    Attributes:
        path: Relative to the data set.
        finding: The true finding.
        films: (V, S, S) float32 in [0, 1], in the order of CUES.
        answers: V pairs of finding and probability.
    """

    path: str
    finding: str
    films: NDArray[np.float32]
    answers: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class FilmNumbers:
    """How many films were judged, and how many each part looked at."""

    judged: int
    cues: int
    robustness: int
    faithfulness: int
    sanity: int


@dataclass(frozen=True)
class ShortcutFigures:
    """What shortcuts.json holds.

    Attributes:
        part: The name of the films in metrics.json.
        films: How many of them each part looked at.
        chance: What an answer reaches that does not look.
        verdict: What the scores with parts hidden come to.
        excess_over_border: How many films more the whole film gets right than its border, as a fraction.
        auroc_excess_over_border: By how much the whole film's AUROC is higher than its border's.
        lung_in_border: How much of the lungs lies in the border.
        cues: The scores with parts hidden.
        heatmap: How much of the heat maps lies inside the lungs.
        order: Deletion and insertion.
        sanity: Heat maps with shuffled weights.
        robustness: Damaged films.
        subgroups: Column to the figures of each of its values.
    """

    part: str
    films: FilmNumbers
    chance: Guessing
    verdict: CueVerdict
    excess_over_border: Interval
    auroc_excess_over_border: Interval
    lung_in_border: Interval
    cues: Mapping[str, CueFigures]
    heatmap: HeatMapMass
    order: OrderScores
    sanity: SanityScores
    robustness: Robustness
    subgroups: Mapping[str, tuple[Subgroup, ...]]


@dataclass(frozen=True, eq=False)
class Shortcuts:
    """What was found: the figures, and films to look at."""

    figures: ShortcutFigures
    examples: tuple[Example, ...]


@dataclass(frozen=True, eq=False)
class _Shown:
    """What was measured on the films that are shown with parts hidden, m of them.

    Attributes:
        logits: (m, V, K), in the order of CUES.
        shares: (m, 2), as share_in_lungs returns them.
        bordering: (m,) how much of the lungs lies in the border.
        films: Position to (V, S, S), of the examples.
    """

    logits: NDArray[np.float64]
    shares: NDArray[np.float64]
    bordering: NDArray[np.float64]
    films: Mapping[int, NDArray[np.float32]]


def find_shortcuts(
    classifier: Classifier,
    model: Path,
    films: ProbedFilms,
    *,
    counts: FilmCounts | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> Shortcuts:
    """Measure the shortcuts of a model on films that it has judged.

    Args:
        classifier: The model.
        model: Its file, read again for the shuffled weights.
        films: The films.
        counts: The most films that each part looks at.
        seed: Decides every sample and every random order.
        console: Where progress goes; nowhere by default.

    Raises:
        InputError: A film can no longer be read.
        ModelFileError: The model file can no longer be read.
    """
    console, counts = console or Console(), counts or FilmCounts()
    order = np.random.default_rng(seed).permutation(len(films.groups))
    shown, damaged, pointed, tried = (
        np.sort(order[:most]) for most in (counts.cues, counts.robustness, counts.faithfulness, counts.sanity)
    )
    with console.bar(f"Looking for shortcuts in {len(shown)} films", 4.0) as done:
        hidden = _show(classifier, films, shown, done)
        damages = _damage(classifier, films, damaged, seed, done)
        curves = _reorder(classifier, films, pointed, seed, done)
        sanity = _shuffle(classifier, model, films, tried)
        done(1.0)
    labels = films.labels
    truth, groups, findings = labels.truth, labels.groups, labels.findings
    cues = score_cues(hidden.logits, labels.of(shown))
    figures = ShortcutFigures(
        part=films.part,
        films=FilmNumbers(len(order), *(len(one) for one in (shown, damaged, pointed, tried))),
        chance=chance_of(truth[shown], len(findings)),
        verdict=judge_cues(cues, np.bincount(truth[shown], minlength=len(findings)).tolist()),
        excess_over_border=cues["border_only"].excess,
        auroc_excess_over_border=cues["border_only"].auroc_excess,
        lung_in_border=grouped_mean(hidden.bordering, groups[shown]),
        cues=cues,
        heatmap=score_mass(hidden.shares, films.predicted[shown], labels.of(shown)),
        order=score_orders(curves, groups[pointed]),
        sanity=sanity,
        robustness=score_damages(softmax(damages), labels.of(damaged)),
        subgroups=score_subgroups(films.predictions.records, films.traits, films.predictions.probabilities, labels),
    )
    return Shortcuts(figures, _examples(films.predictions, shown, hidden))


def _show(
    classifier: Classifier, films: ProbedFilms, shown: NDArray[np.int64], done: Callable[[float], None]
) -> _Shown:
    """Return what the model says of films with parts hidden, and where lungs and heat maps lie."""
    shares, bordering = np.zeros((len(shown), 2)), np.zeros(len(shown))
    places = _places_of_examples(films.predictions, shown)
    kept: dict[int, NDArray[np.float32]] = {}

    def show(position: int, radiograph: Radiograph) -> NDArray[np.float32]:
        shares[position] = share_in_lungs(radiograph, films.activation(shown[position]))
        bordering[position] = share_in_border(radiograph)
        cues = cue_films(radiograph, classifier.metadata.preprocessing)
        if position in places:
            kept[position] = cues[:, 0]
        return cues

    logits = judge_variants(classifier, films.paths(shown), show, done=done)
    return _Shown(logits, shares, bordering, kept)


def _damage(
    classifier: Classifier, films: ProbedFilms, chosen: NDArray[np.int64], seed: int, done: Callable[[float], None]
) -> NDArray[np.float64]:
    """Return the logits (m, 1 + strengths, K) of damaged films."""

    def damage(position: int, radiograph: Radiograph) -> NDArray[np.float32]:
        return damaged_films(radiograph, classifier.metadata.preprocessing, seed + position)

    return judge_variants(classifier, films.paths(chosen), damage, done=done)


def _reorder(
    classifier: Classifier, films: ProbedFilms, chosen: NDArray[np.int64], seed: int, done: Callable[[float], None]
) -> NDArray[np.float64]:
    """Return deletion and insertion of some films, (m, 2, 3, 13)."""
    temperature, curves = classifier.metadata.temperature, []
    for at, path in zip(chosen.tolist(), films.paths(chosen), strict=True):
        film, answer = classifier.preprocess(classifier.read(path)), int(films.predicted[at])
        activation = films.activation(at)
        curve = order_films(classifier.engine, film, activation, answer, temperature=temperature, seed=seed + at)
        curves.append(curve)
        done(1 / len(chosen))
    return np.stack(curves)


def _shuffle(classifier: Classifier, model: Path, films: ProbedFilms, chosen: NDArray[np.int64]) -> SanityScores:
    """Return how alike the heat maps of some films stay where weights are shuffled."""
    inputs = np.stack([classifier.preprocess(classifier.read(path)) for path in films.paths(chosen)])
    activations = np.stack([films.activation(at) for at in chosen])
    return score_sanity(read_model_file(model), inputs, activations, films.predicted[chosen], films.groups[chosen])


def _examples(predictions: LabelledPredictions, shown: NDArray[np.int64], hidden: _Shown) -> tuple[Example, ...]:
    return tuple(
        Example(
            predictions.records[shown[position]].path,
            predictions.records[shown[position]].finding,
            hidden.films[position],
            tuple((predictions.findings[row.argmax()], float(row.max())) for row in softmax(hidden.logits[position])),
        )
        for position in _places_of_examples(predictions, shown)
    )


def _places_of_examples(predictions: LabelledPredictions, shown: NDArray[np.int64]) -> list[int]:
    """Return positions in ``shown``: the first film of each finding, of four findings at most."""
    truth = predictions.truth[shown]
    return [int(np.flatnonzero(truth == index)[0]) for index in np.unique(truth)[:_EXAMPLES]]
