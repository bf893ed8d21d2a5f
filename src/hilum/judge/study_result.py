"""What study.json holds: the films, a row for each variant, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hilum.figures import left_out_if_none
from hilum.judge.image_quality import Quality
from hilum.judge.intervals import Interval
from hilum.judge.study import Change, Changes, StudyFigures

__all__ = [
    "AugmentationResult",
    "BackbonesResult",
    "Condition",
    "Conditions",
    "FilmCounts",
    "MethodRow",
    "NetworkRow",
    "NoiseResult",
    "PolicyGroup",
    "PolicyRow",
    "StudyResult",
]


@dataclass(frozen=True, kw_only=True)
class _TrainedRow:
    name: str
    title: str
    in_house: StudyFigures | None = None
    external: StudyFigures | None = None
    minutes: float | None = None
    num_weights: int | None = None
    kept_random: int | None = None

    @property
    def is_proven(self) -> bool:
        """Whether it may be chosen: above chance wherever it was judged, with weights that it learned."""
        return all(one.above_chance is True for one in (self.in_house, self.external) if one) and not self.kept_random

    @property
    def auroc(self) -> Interval:
        """The AUROC that decides: on films of other sources if there are any."""
        figures = self.external or self.in_house
        return figures.auroc if figures else Interval()


@dataclass(frozen=True, kw_only=True)
class PolicyRow(_TrainedRow):
    """An augmentation policy, as study.json has it."""

    words: str
    against_none: Changes
    against_default: Changes


@dataclass(frozen=True, kw_only=True)
class NetworkRow(_TrainedRow):
    """A network, as study.json has it; ``reason`` says why it could not be judged, ``best`` that none beats it."""

    backbone: str
    size_px: int
    start: str
    reason: str = ""
    megabytes: float | None = None
    milliseconds: float | None = None
    best: bool = False
    against_best: Change | None = None
    against_best_external: Change | None = None


@dataclass(frozen=True)
class Condition:
    """A method on films of one dose: its figures, and its change against no method.

    Attributes:
        figures: With the method as an option: films in which little noise is found are left alone.
        option: The change, likewise.
        test_only: The change if the method is applied to every film that is answered.
        both: The change if the head has learned from such films too.
    """

    figures: StudyFigures
    option: Change | None = left_out_if_none()
    test_only: Change | None = left_out_if_none()
    both: Change | None = left_out_if_none()


@dataclass(frozen=True)
class Conditions:
    """A method's conditions by dose, on the study's films and on those of other sources."""

    in_house: Mapping[str, Condition]
    external: Mapping[str, Condition] | None = None


@dataclass(frozen=True, kw_only=True)
class MethodRow(Quality):
    """A way to remove noise, as study.json has it."""

    name: str
    title: str
    settings: str
    kind: str
    served: bool
    changes: Conditions
    shortcuts: Mapping[str, Interval]
    verdict: Mapping[str, object] | None = left_out_if_none()


@dataclass(frozen=True)
class FilmCounts:
    """How many films one set holds.

    Attributes:
        name: The set's name.
        n: Films that are used.
        groups: Groups of twins and of films of one patient.
        findings: Finding to number of films.
        left_out: Reason to number of films that are not used.
    """

    name: str
    n: int
    groups: int
    findings: Mapping[str, int]
    left_out: Mapping[str, int] | None = left_out_if_none()


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What study.json holds of every kind of study.

    Attributes:
        study: Its kind.
        hilum: The version.
        data: The training part of the data set.
        external: Films of other sources; None without such.
        seeds: How often the cross-validation was made.
        folds: Of the cross-validation.
        verdict: ``words``, ``next`` (what to do next), and the names of what was chosen.
        faults: What makes a comparison worthless, in sentences.
        remarks: How the variants were judged, in sentences.
    """

    study: str
    hilum: str
    data: FilmCounts
    external: FilmCounts | None
    folds: int
    verdict: Mapping[str, object]
    seeds: int = 1
    faults: Sequence[str] = ()
    remarks: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class NoiseResult(StudyResult):
    """What study.json holds of a study of noise; shares and noise by set of films and dose."""

    backbone: str
    size_px: int
    doses: Mapping[str, float]
    noise: Mapping[str, Mapping[str, float]]
    share_noisy: Mapping[str, float]
    least_noise: float
    methods: Sequence[MethodRow]
    noise_in_training: Mapping[str, Mapping[str, Change]]


@dataclass(frozen=True, kw_only=True)
class PolicyGroup:
    """The policies of one network, how it was trained, and the verdict on them."""

    how: str
    policies: Sequence[PolicyRow]
    verdict: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class AugmentationResult(StudyResult):
    """What study.json holds of a study of augmentation, by network."""

    backbones: Mapping[str, PolicyGroup]


@dataclass(frozen=True, kw_only=True)
class BackbonesResult(StudyResult):
    """What study.json holds of a study of networks."""

    networks: Sequence[NetworkRow]
