"""Two models on the films both have judged: which is better, by how much, or that these films cannot tell.

Films are matched by their path. A difference counts as one only where McNemar's test and the interval of the bootstrap
over groups agree that chance does not explain it; an overlap of two separate intervals would say less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.data.run_tables import PROBABILITY, SavedPredictions
from hilum.data.scan import united
from hilum.errors import InputError
from hilum.judge.metrics import macro_f1
from hilum.judge.paired import (
    Difference,
    DiscordantFilms,
    accuracy_difference,
    delong,
    macro_f1_difference,
    mcnemar,
)
from hilum.judge.parts import PARTS

__all__ = ["SIGNIFICANCE", "Comparison", "Counts", "FindingDifference", "PartComparison", "compare_judged"]

SIGNIFICANCE = 0.05
_FLATTERING = "validation"
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Counts:
    """A number of films of each of the two models."""

    first: int
    second: int


@dataclass(frozen=True)
class FindingDifference:
    """How many films show a finding, and the difference in its AUROC; None where that is undefined."""

    n: int
    auroc: Difference | None


@dataclass(frozen=True)
class PartComparison:
    """What the films of one part say of the difference between two models.

    Attributes:
        n: How many films both have judged.
        num_groups: How many groups they make.
        right: How many films each answers with the true finding.
        accuracy: With McNemar's p-value.
        macro_f1: Without a test.
        auroc_macro: With DeLong's test, over the findings known to both; None where it is undefined.
        mcnemar: Films that only one of the two gets right.
        per_finding: Finding to its difference.
        told_apart: Whether McNemar's test and the interval agree that chance does not explain the difference.
        only_in: How many films only one of the two has judged.
        flattering: Whether training had a part in these films.
        verdict: Sentences for a reader; empty until a report has written them.
    """

    n: int
    num_groups: int
    right: Counts
    accuracy: Difference
    macro_f1: Difference
    auroc_macro: Difference | None
    mcnemar: DiscordantFilms
    per_finding: Mapping[str, FindingDifference]
    told_apart: bool
    only_in: Counts
    flattering: bool
    verdict: str = ""


@dataclass(frozen=True)
class Comparison:
    """What compare.json holds.

    Attributes:
        first: The first model's name.
        second: The second's; differences are second minus first.
        parts: Part to its comparison, the most trustworthy first.
        notes: What a reader must know besides.
        verdict: That of the first part; empty until a report has written it.
    """

    first: str
    second: str
    parts: Mapping[str, PartComparison]
    notes: tuple[str, ...]
    verdict: str = ""


def compare_judged(
    judged: tuple[SavedPredictions, SavedPredictions], names: tuple[str, str], *, seed: int = 0
) -> Comparison:
    """Return what the films that two models have both judged say of their difference.

    Args:
        judged: The answers of both.
        names: What the two are called.
        seed: Decides the draws of the bootstrap.

    Raises:
        InputError: No film is common, or one has different labels in the two.
    """
    notes = _notes(judged, names)
    parts: dict[str, PartComparison] = {}
    for part in PARTS:
        films = [_films(one, part) for one in judged]
        if not all(films):
            continue
        common = sorted(films[0].keys() & films[1].keys())
        if not common:
            notes.append(f"{PARTS[part][0]}: no film is common to both ({len(films[0])} and {len(films[1])} films).")
            continue
        rows = [[one[path] for path in common] for one in films]
        _check_labels(rows, names)
        shared = [name for name in judged[0].findings if name in judged[1].findings]
        only_in = Counts(*(len(one) - len(common) for one in films))
        parts[part] = _compared(part, rows, shared, only_in, groups=_merged_groups(judged, common), seed=seed)
    if not parts:
        raise InputError(
            f"`{names[0]}` and `{names[1]}` have judged no film in common, by path.",
            fix="Compare runs on the same data set, or `hilum evaluate` both models on one.",
        )
    return Comparison(*names, parts, tuple(notes))


def _films(judged: SavedPredictions, part: str) -> dict[str, Mapping[str, str]]:
    films = dict(judged.parts.get("test" if part == "test_clean" else part, {}))
    if part != "test_clean":
        return films
    return {path: row for path, row in films.items() if path in (judged.clean or ())}


def _notes(judged: tuple[SavedPredictions, SavedPredictions], names: tuple[str, str]) -> list[str]:
    notes = []
    if judged[0].findings != judged[1].findings:
        notes.append(
            f"The models know different findings: {', '.join(judged[0].findings)} against "
            f"{', '.join(judged[1].findings)}. AUROC is compared for those known to both."
        )
    for one, name in zip(judged, names, strict=True):
        if not one.groups:
            notes.append(f"{name} has no splits.csv: its clean test films and groups are not known.")
    return notes


def _check_labels(rows: Sequence[Rows], names: tuple[str, str]) -> None:
    differing = [pair for pair in zip(*rows, strict=True) if pair[0]["finding"] != pair[1]["finding"]]
    if differing:
        one, other = differing[0]
        raise InputError(
            f"{len(differing)} of {len(rows[0])} common films have another finding in `{names[0]}` than in "
            f"`{names[1]}`, the first `{one['path']}`: {one['finding']} against {other['finding']}.",
            fix="Judge both models on the same labels: `hilum evaluate` them on one data set.",
        )


def _merged_groups(judged: tuple[SavedPredictions, SavedPredictions], paths: list[str]) -> np.ndarray:
    """Return (n,) groups in which films stand together that do so in either run."""
    pairs = []
    for one in judged:
        first_of: dict[int, int] = {}
        pairs += [(first_of.setdefault(one.groups[path], i), i) for i, path in enumerate(paths) if path in one.groups]
    return united(len(paths), pairs)


def _compared(
    part: str, rows: Sequence[Rows], shared: Sequence[str], only_in: Counts, *, groups: np.ndarray, seed: int
) -> PartComparison:
    """Return the figures of one part."""
    truth_names = [row["finding"] for row in rows[0]]
    numbers: dict[str, int] = {}
    truth = np.array([numbers.setdefault(name, len(numbers)) for name in truth_names])
    answers = [np.array([numbers.setdefault(row["predicted"], len(numbers)) for row in one]) for one in rows]
    right = [one == truth for one in answers]
    discordant = mcnemar(right[0], right[1])
    more_right = accuracy_difference(right[0], right[1], groups, seed=seed)
    higher_f1 = macro_f1_difference(truth, answers[0], answers[1], groups, seed=seed)
    is_apart = (
        more_right.low is not None and more_right.high is not None and (more_right.low > 0 or more_right.high < 0)
    )
    auroc_macro, per_finding = _auroc_differences(rows, shared, groups)
    return PartComparison(
        n=len(truth),
        num_groups=len(np.unique(groups)),
        right=Counts(*(int(one.sum()) for one in right)),
        accuracy=Difference(float(right[0].mean()), float(right[1].mean()), more_right, discordant.p_value),
        macro_f1=Difference(macro_f1(truth, answers[0]), macro_f1(truth, answers[1]), higher_f1, None),
        auroc_macro=auroc_macro,
        mcnemar=discordant,
        per_finding=per_finding,
        told_apart=is_apart and discordant.p_value < SIGNIFICANCE,
        only_in=only_in,
        flattering=part == _FLATTERING,
    )


def _auroc_differences(
    rows: Sequence[Rows], shared: Sequence[str], groups: np.ndarray
) -> tuple[Difference | None, dict[str, FindingDifference]]:
    """Return the difference in macro AUROC, and in the AUROC of each finding that both models know."""
    positive = np.array([[row["finding"] == name for name in shared] for row in rows[0]]).reshape(-1, len(shared))
    first, second = (
        np.array([[float(row[PROBABILITY + name]) for name in shared] for row in one]).reshape(positive.shape)
        for one in rows
    )
    num_with = positive.sum(axis=0)
    usable = np.flatnonzero((num_with > 0) & (num_with < len(positive)))
    macro = delong(positive[:, usable], first[:, usable], second[:, usable], groups) if usable.size else None
    return macro, {
        name: FindingDifference(
            int(num_with[index]), delong(positive[:, index], first[:, index], second[:, index], groups)
        )
        for index, name in enumerate(shared)
    }
