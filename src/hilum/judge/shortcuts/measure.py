"""The shortcuts of a trained model: what its score rests on, where its heat maps lie, what breaks it, and for whom.

All of it is measured through the runtime plane on the films that `evaluate` judges, the clean ones where there are any.
Large sets are sampled at random, with a fixed seed; every figure comes with the number of films behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.console import Console
from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import grouped_mean
from hilum.judge.predictions import LabelledPredictions
from hilum.judge.shortcuts.faithfulness import order_films, score_mass, score_orders, share_in_lungs
from hilum.judge.shortcuts.occlusion import chance_of, cue_films, score_cues, share_in_border
from hilum.judge.shortcuts.robustness import damaged_films, score_damages
from hilum.judge.shortcuts.sanity import score_sanity
from hilum.judge.shortcuts.variants import judge_variants
from hilum.judge.shortcuts.verdict import judge_cues
from hilum.judge.subgroups import score_subgroups
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import read_model_file

__all__ = ["Example", "FilmCounts", "Shortcuts", "find_shortcuts"]

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


@dataclass(frozen=True, eq=False)
class Shortcuts:
    """What was found: the figures as shortcuts.json holds them, and films to look at."""

    figures: dict[str, Any]
    examples: tuple[Example, ...]


def find_shortcuts(
    classifier: Classifier,
    model: Path,
    root: Path,
    verdicts: LabelledPredictions,
    *,
    groups: NDArray[np.int64],
    traits: Mapping[str, Mapping[str, str]],
    part: str = "test",
    counts: FilmCounts | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> Shortcuts:
    """Measure the shortcuts of a model on films that it has judged.

    Args:
        classifier: The model.
        model: Its file, read again for the shuffled weights.
        root: The folder that the records' paths are relative to.
        verdicts: The films and what the model said of them; one at least.
        groups: (n,) films of equal number are not independent.
        traits: Path to what is known of a film, by column, for the subgroups.
        part: The name of these films in metrics.json.
        counts: The most films that each part looks at.
        seed: Of every sample and every random order.
        console: Where progress goes; nowhere by default.

    Returns:
        The figures and examples.

    Raises:
        InputError: A film can no longer be read.
        ModelFileError: The model file can no longer be read.
    """
    console, counts = console or Console(), counts or FilmCounts()
    order = np.random.default_rng(seed).permutation(len(verdicts.records))
    predicted = verdicts.probabilities.argmax(axis=1)
    preprocessing, findings = classifier.metadata.preprocessing, verdicts.findings
    with console.bar(f"Looking for shortcuts in {min(len(order), counts.cues)} films", 4.0) as done:
        shown = np.sort(order[: counts.cues])
        shares, bordering = np.zeros((len(shown), 2)), np.zeros(len(shown))
        places = _places_of_examples(verdicts, shown)
        kept: dict[int, NDArray[np.float32]] = {}

        def show(position: int, radiograph: Radiograph) -> NDArray[np.float32]:
            at = shown[position]
            answer = verdicts.answers[at]
            shares[position] = share_in_lungs(radiograph, answer.activation[predicted[at]])
            bordering[position] = share_in_border(radiograph)
            films = cue_films(radiograph, preprocessing)
            if position in places:
                kept[position] = films[:, 0]
            return films

        cues = judge_variants(classifier, _paths(root, verdicts, shown), show, done=done)
        bruised = np.sort(order[: counts.robustness])
        damages = judge_variants(
            classifier,
            _paths(root, verdicts, bruised),
            lambda position, radiograph: damaged_films(radiograph, preprocessing, seed + position),
            done=done,
        )
        pointed = np.sort(order[: counts.faithfulness])
        curves = _orders(classifier, root, verdicts, pointed, seed=seed, done=done)
        tried = np.sort(order[: counts.sanity])
        films = np.stack([classifier.preprocess(classifier.read(path)) for path in _paths(root, verdicts, tried)])
        activations = np.stack([verdicts.answers[at].activation[predicted[at]] for at in tried])
        sanity = score_sanity(read_model_file(model), films, activations, predicted[tried], groups[tried])
        done(1.0)

    truth = verdicts.truth
    scores = score_cues(cues, truth[shown], groups[shown], findings)
    examples = tuple(
        Example(
            verdicts.records[shown[position]].path,
            verdicts.records[shown[position]].finding,
            kept[position],
            tuple((findings[row.argmax()], float(row.max())) for row in softmax(cues[position])),
        )
        for position in places
    )
    figures = {
        "part": part,
        "films": {
            "judged": len(order),
            "cues": len(shown),
            "robustness": len(bruised),
            "faithfulness": len(pointed),
            "sanity": len(tried),
        },
        "chance": chance_of(truth[shown], len(findings)),
        "verdict": judge_cues(scores, np.bincount(truth[shown], minlength=len(findings)).tolist()),
        "excess_over_border": scores["border_only"]["excess"],
        "auroc_excess_over_border": scores["border_only"]["auroc_excess"],
        "lung_in_border": grouped_mean(bordering, groups[shown]),
        "cues": scores,
        "heatmap": score_mass(shares, truth[shown], predicted[shown], groups[shown], findings),
        "order": score_orders(curves, groups[pointed]),
        "sanity": sanity,
        "robustness": {
            "chance": chance_of(truth[bruised], len(findings)),
            **score_damages(softmax(damages), truth[bruised], groups[bruised], findings),
        },
        "subgroups": score_subgroups(
            verdicts.records, traits, truth, verdicts.probabilities, groups=groups, findings=findings
        ),
    }
    return Shortcuts(figures, examples)


def _places_of_examples(verdicts: LabelledPredictions, shown: NDArray[np.int64]) -> list[int]:
    """Return positions in ``shown``: the first film of each finding, of four findings at most."""
    truth = verdicts.truth[shown]
    return [int(np.flatnonzero(truth == index)[0]) for index in np.unique(truth)[:_EXAMPLES]]


def _paths(root: Path, verdicts: LabelledPredictions, positions: NDArray[np.int64]) -> list[Path]:
    return [root / verdicts.records[at].path for at in positions]


def _orders(
    classifier: Classifier,
    root: Path,
    verdicts: LabelledPredictions,
    positions: NDArray[np.int64],
    *,
    seed: int,
    done: Callable[[float], None],
) -> NDArray[np.float64]:
    """Return deletion and insertion of some films, (n, 2, 3, 13)."""
    predicted = verdicts.probabilities.argmax(axis=1)
    curves = []
    for at, path in zip(positions, _paths(root, verdicts, positions), strict=True):
        film = classifier.preprocess(classifier.read(path))
        activation = verdicts.answers[at].activation[predicted[at]]
        temperature = classifier.metadata.temperature
        answer = int(predicted[at])
        curve = order_films(classifier.engine, film, activation, answer, temperature=temperature, seed=seed + int(at))
        curves.append(curve)
        done(1 / len(positions))
    return np.stack(curves)
