"""The numbers of an audit, as `figures` of audit.json holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hilum.figures import left_out_if_none
from hilum.judge.intervals import Interval

__all__ = ["AgeGroups", "Association", "AuditFigures", "CueVerdict", "Score", "Telling", "TrivialScore"]

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Score:
    """What a trivial model scores on some films.

    Attributes:
        n: The films.
        accuracy: The share that it gets right, with Wilson's interval.
        macro_f1: The mean over the findings, with the interval of a bootstrap over groups.
        chance: The share of the commonest finding.
    """

    n: int
    accuracy: Interval
    macro_f1: Interval
    chance: float

    @property
    def excess(self) -> float:
        """Return how far the lower limit stands between chance (0) and certainty (1); below chance it is negative."""
        return float(((self.accuracy.low or 0.0) - self.chance) / (1 - self.chance)) if self.chance < 1 else 0.0


@dataclass(frozen=True)
class TrivialScore:
    """What a trivial model scores.

    Attributes:
        title: What it sees.
        num_fitted: The most films that it learned from at a time.
        cross_validation: On the training films; None where a finding has too few films for two folds.
        test: On the test part, after learning from all training films; None without a test part.
    """

    title: str
    num_fitted: int
    cross_validation: Score | None
    test: Score | None


@dataclass(frozen=True)
class Telling:
    """The category of a trait that says most of a finding.

    Attributes:
        category: Its name.
        finding: The finding.
        share: Of the finding's films, those in the category.
        share_of_others: Of all other films, those in the category.
    """

    category: str
    finding: str
    share: float
    share_of_others: float


@dataclass(frozen=True)
class _Contingency:
    """Films counted by category and finding.

    Attributes:
        n: Films counted.
        p: Of the chi-squared test.
        table: Category to finding to number of films.
    """

    n: int
    p: float
    table: Counts


@dataclass(frozen=True)
class Association(_Contingency):
    """How far a trait of the files goes with the finding; one film of each group is counted.

    Attributes:
        trait: Its key.
        title: Its name.
        cramers_v: Bias-corrected, with its interval.
        telling: The category that says most.
    """

    trait: str
    title: str
    cramers_v: Interval
    telling: Telling


@dataclass(frozen=True)
class AgeGroups(_Contingency):
    """How far "child" against "adult" goes with the finding, among training films whose age group is known.

    Attributes:
        n_unknown: Films whose age group is not known.
        cramers_v: Bias-corrected.
    """

    n_unknown: int
    cramers_v: float


@dataclass(frozen=True)
class AuditFigures:
    """The numbers behind the faults of a data set.

    Attributes:
        num_films: Films that could be read.
        num_unreadable: Files that could not.
        num_refused: Files that show no film of a chest.
        num_groups: Groups of twins and of films of one patient.
        num_twin_pairs: Pairs of the same picture.
        films: Split to finding to number of films.
        trivial_models: Name to score; None where the films were not examined.
        traits: The most telling first; None where the films were not examined.
        ages: None where the age of next to no film is known.
    """

    num_films: int = 0
    num_unreadable: int = 0
    num_refused: int = 0
    num_groups: int = 0
    num_twin_pairs: int = 0
    films: Counts = field(default_factory=dict)
    trivial_models: Mapping[str, TrivialScore] | None = left_out_if_none()
    traits: tuple[Association, ...] | None = left_out_if_none()
    ages: AgeGroups | None = None

    @property
    def thumbnail(self) -> Interval | None:
        """Return what a simple model gets right that sees 8 x 8 pixels: of the test part, else in cross-validation."""
        score = (self.trivial_models or {}).get("thumbnail_8")
        scored = (score.test or score.cross_validation) if score else None
        return scored.accuracy if scored else None


@dataclass(frozen=True)
class CueVerdict:
    """What the scores with parts hidden come to.

    Attributes:
        code: "shortcut", "none-found" or "too-few".
        above_chance: The cues from which films are ranked better than chance.
        words: The verdict in sentences.
    """

    code: str
    above_chance: tuple[str, ...]
    words: str
