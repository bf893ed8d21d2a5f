"""What a model's score rests on: the same films with the lungs hidden, with only their border left, as a thumbnail.

A part is hidden *after* preprocessing, under the one grey 0.5. Blackening it before would also shift the equalised
histogram, so that every pixel still shown changed its value, and the size of the black part would tell the film's
exposure; hidden afterwards, what is still shown is exactly what the model saw in the whole film, and the grey says
nothing. The two masks that are known from the literature are given black before preprocessing as well, for comparison.

The lungs are hidden under the convex hull of each, a little enlarged: a consolidation is bright, the segmenter may take
it for no lung, and it must not stay in view. What the hull's outline says (a child's lungs are small) does stay.

Nothing is trained again, and a model that was never shown half a film answers it oddly: hiding a part moves the logits
of all films alike, often so far that all are answered with one finding. A shift that all films share tells no film from
another, so it is removed before answers are counted: the mean logits are moved back to where they are for the whole
films. Labels have no part in that. Counted as answered, a model would be praised for being brittle: its border seems to
say nothing while it still ranks the films. A high score without the lungs proves a shortcut; a low one does not prove
that there is none.

Sources:
    Maguolo, Nanni 2021, A critic evaluation of methods for COVID-19 automatic detection from X-ray images (the same
    score with the lungs blacked out).
    DeGrave, Janizek, Lee 2021, AI for radiographic COVID-19 detection selects shortcuts over signal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import Interval, grouped_mean, proportion
from hilum.judge.metrics import Labels, Performance, performance
from hilum.judge.paired import delong
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.lungs import lung_mask

__all__ = [
    "CUES",
    "FILL",
    "AsAnswered",
    "Cue",
    "CueFigures",
    "Guessing",
    "centre_of",
    "chance_of",
    "cue_films",
    "judge_variants",
    "lung_cover",
    "score_cues",
    "share_in_border",
    "without_shift",
]

# One film shown to a model in many ways: parts hidden, resolution taken away, noise added.
#
# Every way is a graph input made from the decoded film; the model's own engine, temperature and preprocessing judge it.

_AT_ONCE = 16  # inputs of one film in the engine: bounds the memory that a thread takes


def judge_variants(
    classifier: Classifier,
    paths: Sequence[Path],
    make: Callable[[int, Radiograph], NDArray[np.float32]],
    *,
    done: Callable[[float], None] = lambda _: None,
) -> NDArray[np.float64]:
    """Return what a model says of every variant of every film; one film at a time is in memory for each thread.

    Args:
        classifier: The model.
        paths: n films that can be read.
        make: Called in a thread with the film's position and the film; returns its V variants, (V, 1, S, S) float32.
        done: Called after each film with the share of all films it makes up.

    Returns:
        (n, V, K) float64, logits divided by the temperature: their softmax is the calibrated probability.

    Raises:
        UndecodableFilm, UnsupportedFilm: A film can no longer be read.
    """

    def judge(position: int) -> NDArray[np.float64]:
        films = make(position, classifier.read(paths[position]))
        logits = [classifier.engine.run(films[at : at + _AT_ONCE]).logits for at in range(0, len(films), _AT_ONCE)]
        done(1 / len(paths))
        return np.concatenate(logits).astype(np.float64) / classifier.metadata.temperature  # (V, K)

    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        return np.stack(list(pool.map(judge, range(len(paths)))))


CENTRE_FRACTION = 0.81  # of each side: the border is the third of the film outside it
FILL = np.float32(0.5)
_GROWN_FRACTION = 0.03  # of the side, around the hull of a lung


@dataclass(frozen=True)
class Cue:
    """One way of showing less than the whole film.

    Attributes:
        key: As shortcuts.json has it.
        name: As the report has it.
        meaning: What is shown, in a few words.
    """

    key: str
    name: str
    meaning: str


CUES = (
    Cue("whole", "Whole film", "as it is served"),
    Cue("lungs_hidden", "Lungs hidden", "everything but the lungs"),
    Cue("lungs_only", "Lungs only", "everything but the lungs hidden"),
    Cue("border_only", "Border only", "the central 81 % × 81 % hidden"),
    Cue("centre_only", "Centre only", "the border hidden"),
    Cue("thumbnail_16", "Thumbnail 16 × 16", "reduced to 256 pixels and enlarged again"),
    Cue("thumbnail_8", "Thumbnail 8 × 8", "reduced to 64 pixels and enlarged again"),
    Cue("lungs_blackened", "Lungs blackened first", "black before preprocessing, as published"),
    Cue("border_only_blackened", "Border only, blackened first", "the centre black before preprocessing"),
)


def cue_films(radiograph: Radiograph, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return one film in each of the ways of CUES, ready for the graph.

    Args:
        radiograph: The film.
        preprocessing: The model's.

    Returns:
        (V, 1, S, S) float32 in [0, 1], in the order of CUES.
    """
    size = preprocessing.size_px
    cover = lung_cover(radiograph)
    whole = preprocess(radiograph, preprocessing)[0]  # (S, S)
    lungs = cv2.resize(cover.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST).astype(bool)
    centre = centre_of((size, size))
    films = (
        whole,
        np.where(lungs, FILL, whole),
        np.where(lungs, whole, FILL),
        np.where(centre, FILL, whole),
        np.where(centre, whole, FILL),
        *(preprocess(_with(radiograph, _thumbnail(radiograph.pixels, side)), preprocessing)[0] for side in (16, 8)),
        *(
            preprocess(_with(radiograph, np.where(hidden, np.float32(0), radiograph.pixels)), preprocessing)[0]
            for hidden in (cover, centre_of(radiograph.pixels.shape))
        ),
    )
    return np.stack(films)[:, np.newaxis]  # (V, 1, S, S)


def lung_cover(radiograph: Radiograph) -> NDArray[np.bool_]:
    """Return what must be hidden so that no lung is in view: (H, W) bool, the hull of each lung, enlarged."""
    mask = lung_mask(radiograph).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.fillPoly(mask, [cv2.convexHull(outline) for outline in outlines], 1)
    reach = 2 * max(1, round(_GROWN_FRACTION * min(mask.shape))) + 1
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))).astype(bool)


@dataclass(frozen=True)
class AsAnswered:
    """The right answers as the model gives them, over all its findings, and how many more whole films get right."""

    accuracy: Interval
    excess: Interval


@dataclass(frozen=True)
class CueFigures:
    """The figures of one cue, over the findings that the films show.

    Attributes:
        accuracy: Without the shift that all films share.
        balanced_accuracy: Without that shift.
        excess: How many films more the whole film gets right, as a fraction, on the same films, without that shift.
        as_answered: With that shift and over all the model's findings.
        auroc_macro: How films are ranked.
        auroc_excess: By how much the whole film's AUROC is higher; undefined where the films show one finding.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    excess: Interval
    as_answered: AsAnswered
    auroc_macro: Interval
    auroc_excess: Interval


@dataclass(frozen=True)
class Guessing:
    """What an answer reaches without looking at the film: always the most frequent finding."""

    accuracy: float
    balanced_accuracy: float
    auroc_macro: float = 0.5


def score_cues(logits: NDArray[np.float64], labels: Labels) -> dict[str, CueFigures]:
    """Return the figures of every cue, over the findings that these films have.

    A model may know findings that no film of the set shows. What hiding a part does to those says nothing of the films,
    so they are left out before films are ranked and answers are counted; "as_answered" alone leaves them in.

    Args:
        logits: (n, V, K), calibrated, in the order of CUES.
        labels: Of these films.
    """
    truth, groups, findings = labels.truth, labels.groups, labels.findings
    present, known = np.unique(truth, return_inverse=True)
    names = [findings[index] for index in present]
    seen = logits[:, :, present]  # (n, V, C)
    shifted = without_shift(seen)
    right = shifted.argmax(axis=2) == known[:, np.newaxis]  # (n, V)
    answered = logits.argmax(axis=2) == truth[:, np.newaxis]

    def excess(hits: NDArray[np.bool_], position: int) -> Interval:
        if position == 0:
            return Interval(0.0, 0.0, 0.0)
        return grouped_mean(hits[:, 0].astype(float) - hits[:, position], groups, limits=(-1, 1))

    def ranked_better(position: int) -> Interval:
        if position == 0:
            return Interval(0.0, 0.0, 0.0)
        positive = known[:, np.newaxis] == np.arange(len(names))
        areas = delong(positive, softmax(seen[:, position]), softmax(seen[:, 0]), groups) if len(names) > 1 else None
        return areas.difference if areas else Interval()

    def figures(values: NDArray[np.float64]) -> Performance:
        return performance(known, softmax(values), names, groups=groups)

    def as_answered(position: int) -> AsAnswered:
        hits = answered[:, position]
        return AsAnswered(proportion(int(hits.sum()), len(hits)), excess(answered, position))

    scores = {}
    for position, cue in enumerate(CUES):
        aligned, plain = figures(shifted[:, position]), figures(seen[:, position])
        scores[cue.key] = CueFigures(
            accuracy=aligned.accuracy,
            balanced_accuracy=aligned.balanced_accuracy,
            excess=excess(right, position),
            as_answered=as_answered(position),
            auroc_macro=plain.auroc_macro,
            auroc_excess=ranked_better(position),
        )
    return scores


def without_shift(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logits (n, V, K) whose mean over the films is, for every cue, that of the first one: the whole films'."""
    centred = logits - logits.mean(axis=2, keepdims=True)  # what all findings share changes no answer
    means = centred.mean(axis=0, keepdims=True)  # (1, V, K)
    return np.asarray(centred - means + means[:, :1])


def share_in_border(radiograph: Radiograph) -> float:
    """Return how much of the lungs lies in the border of the film; NaN where there are none."""
    lungs = lung_mask(radiograph)
    return float((lungs & ~centre_of(lungs.shape)).sum() / lungs.sum()) if lungs.any() else float("nan")


def chance_of(truth: NDArray[np.int64], num_findings: int) -> Guessing:
    """Return what an answer reaches that does not look: the most frequent finding's share, and 1 / K."""
    most = float(np.bincount(truth, minlength=num_findings).max() / max(truth.size, 1))
    present = int(np.count_nonzero(np.bincount(truth, minlength=num_findings)))
    return Guessing(most, 1 / max(present, 1))


def centre_of(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where a film's central 81 % x 81 % lies: bool, of the shape (H, W)."""
    inside = np.zeros(shape, dtype=bool)
    rows, columns = (round(side * (1 - CENTRE_FRACTION) / 2) for side in shape)
    inside[rows : shape[0] - rows, columns : shape[1] - columns] = True
    return inside


def _thumbnail(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, pixels.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large, 0, 1), np.float32)


def _with(radiograph: Radiograph, pixels: NDArray[np.float32]) -> Radiograph:
    return replace(radiograph, pixels=np.ascontiguousarray(pixels, np.float32))
