"""A model before and after it was adapted to one place, on the same films, none of which the correction had seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.judge.calibration import Calibration, operating_thresholds, score_counts
from hilum.judge.conformal import LEAST_FINDING_FILMS, cross_conformal_thresholds, set_figures, sparing_thresholds
from hilum.judge.intervals import Interval, proportion
from hilum.judge.metrics import Performance
from hilum.run.modelfile import Metadata

__all__ = [
    "Adaptation",
    "AdaptationMetrics",
    "LeftOut",
    "LevelFigures",
    "MixAdaptation",
    "Parent",
    "ShareFigures",
    "Side",
    "covered_films",
    "local_calibration",
]

_MOST_FALSE_ALARMS = 0.1  # of local films, of a finding that none of them shows


@dataclass(frozen=True)
class Parent:
    """The model that was adapted."""

    name: str
    sha256: str


@dataclass(frozen=True)
class LevelFigures:
    """One level of correction, and its loss on films that it was not fitted on.

    Attributes:
        level: ``as shipped``, ``constants`` or ``linear``.
        penalty: Of a linear correction.
        loss: Mean negative log-likelihood in cross-validation; None where the films are too few, or show one finding.
        error: Standard error of its difference to the best level.
        is_chosen: Whether the model has it.
    """

    level: str
    penalty: float | None
    loss: float | None
    error: float | None
    is_chosen: bool


@dataclass(frozen=True)
class Side:
    """The local films, answered before or after.

    Attributes:
        figures: Refused films count with their likeliest finding.
        loss: Mean negative log-likelihood.
        refused: The share of films that are refused.
        covered: The share of films whose set holds the true finding.
        mean_set_size: The mean number of findings in a set.
    """

    figures: Performance
    loss: float
    refused: Interval
    covered: Interval
    mean_set_size: float


@dataclass(frozen=True)
class LeftOut:
    """How many films were left out, and why.

    Attributes:
        trained_on: Films that the model was trained on, their twins, and films of the same patients.
        unknown: Films of findings that the model does not know.
        test: Films of the test part.
        unread: Films that cannot be read or show no chest.
    """

    trained_on: int = 0
    unknown: int = 0
    test: int = 0
    unread: int = 0


@dataclass(frozen=True)
class _Origin:
    """Which model was adapted, and with which films.

    Attributes:
        parent: The model that was adapted.
        data: Name of the films.
        n: How many films were used.
    """

    parent: Parent
    data: str
    n: int


@dataclass(frozen=True)
class Adaptation(_Origin):
    """How a model was adapted to one hospital: what metrics.json and the model file say of it.

    Attributes:
        num_films: Finding to how many of them show it.
        few: Findings with films, but too few for a linear correction.
        lacking: Findings without a film.
        left_out: Films that were not used.
        level: The level of correction that was chosen.
        penalty: Of the linear correction, if there is one.
        temperature: Before and after.
        coverage: Share of films whose set is made to hold the true finding, before and after.
        constants: Finding to what was added to its logit; of a linear correction, on the mean of the local films.
        levels: All that were tried.
        before: The model as shipped.
        after: Each film by a correction that was chosen and fitted without it.
        accuracy_change: After minus before.
        heatmaps_follow: Whether the heat maps show the correction too.
    """

    num_films: Mapping[str, int]
    few: tuple[str, ...]
    lacking: tuple[str, ...]
    left_out: LeftOut
    level: str
    penalty: float | None
    temperature: tuple[float, float]
    coverage: tuple[float, float]
    constants: Mapping[str, float]
    levels: tuple[LevelFigures, ...]
    before: Side
    after: Side
    accuracy_change: Interval
    heatmaps_follow: bool


@dataclass(frozen=True)
class AdaptationMetrics:
    """What metrics.json of `adapt` holds: the parts of a run's, of which there is one, and how the model was adapted.

    Attributes:
        cross_validation: The figures after.
        adaptation: How it was done, and the figures before.
    """

    cross_validation: Performance
    adaptation: Adaptation
    test: None = None
    test_clean: None = None
    validation: None = None


@dataclass(frozen=True)
class ShareFigures:
    """How often a finding occurs: where the model was calibrated, and among films without labels."""

    before: float
    after: Interval


@dataclass(frozen=True)
class MixAdaptation(_Origin):
    """How a model was adapted to the mix of findings of one hospital, from films without labels.

    Attributes:
        shares: Finding to how often it occurs.
        p_shift: How often a mix as different arises by chance.
        p_fit: How often the probabilities fit the mix as badly by chance; None where that is not known.
        reason: Why the mix is not used; empty where it is.
    """

    shares: Mapping[str, ShareFigures]
    p_shift: float
    p_fit: float | None
    reason: str


def local_calibration(
    probabilities: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    shipped: Metadata,
    temperature: float,
    *,
    least: int,
) -> Calibration:
    """Return thresholds and limits for one place from the probabilities of films that the correction had not seen.

    A finding with fewer films than ``least`` keeps its operating threshold. A finding without a film keeps its
    conformal threshold too, and its operating threshold is raised so far that at most a tenth of the local films, none
    of which shows it, are above.

    Args:
        probabilities: (n, K) after the correction.
        truth: (n,) int, index of the finding.
        folds: (n,) int, the fold that held the film out.
        shipped: Of the model that was adapted.
        temperature: After the correction.
        least: Films of a finding for a threshold of its own.
    """
    names = shipped.findings
    counts = np.bincount(truth, minlength=len(names))
    limits = cross_conformal_thresholds(probabilities, truth, folds, names, shipped.coverage)
    limits = sparing_thresholds(limits, probabilities, truth, names)
    youden = operating_thresholds(probabilities, truth, names)
    thresholds = {}
    for index, name in enumerate(names):
        known = float(shipped.operating_thresholds.get(name, 0.5))
        if not counts[index]:
            limits[name] = dict(shipped.conformal.get(name, limits[name]))
            alarms = np.quantile(probabilities[:, index], 1 - _MOST_FALSE_ALARMS, method="higher")
            known = max(known, float(np.nextafter(alarms, 1.0)))
        thresholds[name] = youden[name] if least <= counts[index] < len(truth) else known
    facts = {"method": "out-of-fold", "n": len(truth), "scores": score_counts(probabilities, truth).tolist()}
    return Calibration(temperature, thresholds, limits, facts)


def covered_films(
    probabilities: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    shipped: Metadata,
) -> tuple[Interval, float]:
    """Return how often sets hold the truth, and their mean size, each by limits from the films of the other folds."""
    num_covered, size = 0, 0.0
    for fold in np.unique(folds):
        rest = folds != fold
        apart = np.arange(int(rest.sum()))  # of two folds only one is left
        made = local_calibration(probabilities[rest], truth[rest], apart, shipped, 1.0, least=LEAST_FINDING_FILMS)
        found = set_figures(probabilities[~rest], truth[~rest], shipped.findings, made.conformal)
        num_covered += found.num_covered
        size += found.mean_size * found.n
    return proportion(num_covered, len(truth)), size / len(truth)
