"""Two judged runs on the films both have judged: which is better, by how much, or that these films cannot tell.

Films are matched by their path. A difference counts as one only where McNemar's test and the interval of the bootstrap
over groups agree that chance does not explain it; an overlap of two separate intervals would say less.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.data.split import read_splits
from hilum.errors import InputError
from hilum.judge.compare.paired import Difference, accuracy_difference, delong, macro_f1_difference, mcnemar
from hilum.judge.metrics import macro_f1
from hilum.judge.parts import PARTS
from hilum.text import plain_cell, plain_path

__all__ = ["Judged", "compare_runs", "p_text", "read_judged"]

SIGNIFICANCE = 0.05
_FLATTERING = "validation"
_PREFIX = "probability_"


@dataclass(frozen=True, eq=False)
class Judged:
    """What a folder of `train` or `evaluate` holds of the answers of one model.

    Attributes:
        name: The folder's name.
        findings: The model's findings.
        parts: Part ("test", "validation", "cross_validation") to path to line of predictions.csv.
        groups: Path to group, from splits.csv; empty where there is none.
        clean: Paths of the test films that are clean for this model; None where the folder does not tell.
    """

    name: str
    findings: tuple[str, ...]
    parts: Mapping[str, Mapping[str, Mapping[str, str]]]
    groups: Mapping[str, int]
    clean: frozenset[str] | None


def read_judged(folder: Path) -> Judged:
    """Return the answers that `hilum train` or `hilum evaluate` left in a folder.

    Raises:
        InputError: There is no such folder, or it holds no answers of hilum's.
    """
    if not folder.is_dir():
        raise InputError(
            f"Cannot compare `{folder}`: it is no folder. Expected one that `hilum train` or `hilum evaluate` left.",
            fix="Check the path.",
        )
    path = folder / "predictions.csv"
    fix = "Give a folder of a finished `hilum train` or `hilum evaluate`."
    parts: dict[str, dict[str, dict[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            header = tuple(reader.fieldnames or ())
            if header[:4] != ("path", "part", "finding", "predicted"):
                raise InputError(f"`{path}` is no predictions.csv of hilum's.", fix=fix)
            findings = tuple(name.removeprefix(_PREFIX) for name in header if name.startswith(_PREFIX))
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"line {reader.line_num} is cut short")
                for name in findings if row["part"] in PARTS else ():
                    float(row[_PREFIX + name])
                row["path"] = plain_path(row["path"])
                row["finding"], row["predicted"] = plain_cell(row["finding"]), plain_cell(row["predicted"])
                parts.setdefault(row["part"], {})[row["path"]] = row
    except OSError as error:
        raise InputError(f"Cannot read the answers in `{folder}`: {path.name}: {error.strerror}.", fix=fix) from error
    except (csv.Error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot read `{path}`: {error}.", fix=fix) from error
    groups, clean = _clean_films(folder)
    return Judged(folder.resolve().name, findings, parts, groups, clean)


def _clean_films(folder: Path) -> tuple[dict[str, int], frozenset[str] | None]:
    """Return the groups of a folder's films, and which of its test films are clean."""
    if not (folder / "splits.csv").exists():
        return {}, None
    rows = read_splits(folder / "splits.csv")
    groups = {row.path: row.group for row in rows}
    known = {row.group for row in rows if row.split != "test"}
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        known |= {groups[path] for path in (metrics.get("trained_on") or {}).get("paths", ()) if path in groups}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"Cannot read the figures in `{folder}`: metrics.json: {error}.", fix="Repeat the command that made it."
        ) from error
    return groups, frozenset(row.path for row in rows if row.split == "test" and row.group not in known)


def compare_runs(first: Path, second: Path, *, seed: int = 0) -> dict[str, Any]:
    """Return what the films that two runs have both judged say of their difference: what compare.json holds.

    Args:
        first: A folder left by `hilum train` or `hilum evaluate`.
        second: Another; differences are second minus first.
        seed: Of the bootstrap.

    Returns:
        {"first", "second": names, "parts": {part: C}, "notes": [sentence], "verdict": sentence}. C = {"n",
        "num_groups", "only_in": {"first", "second"}, "flattering", "right": {"first", "second"}, "accuracy",
        "macro_f1", "auroc_macro": D, "mcnemar": {"only_first", "only_second", "p_value", "exact"}, "per_finding":
        {name: {"n", "auroc": D}}, "told_apart", "verdict"} and D = {"first", "second", "difference": I, "p_value"};
        None where undefined.

    Raises:
        InputError: A folder holds no answers, no film is common, or one has different labels in the two.
    """
    judged = read_judged(first), read_judged(second)
    names = tuple(one.name for one in judged)
    if names[0] == names[1]:
        names = str(first), str(second)
    notes = _notes(judged, names)
    parts: dict[str, Any] = {}
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
        only_in = [len(one) - len(common) for one in films]
        parts[part] = _compared(rows, judged, _merged_groups(judged, common), seed) | {
            "only_in": dict(zip(("first", "second"), only_in, strict=True)),
            "flattering": part == _FLATTERING,
        }
        parts[part]["verdict"] = _verdict(parts[part], names)
    if not parts:
        raise InputError(
            f"`{first}` and `{second}` have judged no film in common, by path.",
            fix="Compare runs on the same data set, or `hilum evaluate` both models on one.",
        )
    headline = next(iter(parts))
    verdict = f"{PARTS[headline][0]}: {parts[headline]['verdict']}"
    return {"first": names[0], "second": names[1], "parts": parts, "notes": notes, "verdict": verdict}


def _films(judged: Judged, part: str) -> dict[str, Mapping[str, str]]:
    films = dict(judged.parts.get("test" if part == "test_clean" else part, {}))
    if part != "test_clean":
        return films
    return {path: row for path, row in films.items() if path in (judged.clean or ())}


def _notes(judged: tuple[Judged, Judged], names: tuple[str, ...]) -> list[str]:
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


def _check_labels(rows: list[list[Mapping[str, str]]], names: tuple[str, ...]) -> None:
    differing = [pair for pair in zip(*rows, strict=True) if pair[0]["finding"] != pair[1]["finding"]]
    if differing:
        one, other = differing[0]
        raise InputError(
            f"{len(differing)} of {len(rows[0])} common films have another finding in `{names[0]}` than in "
            f"`{names[1]}`, the first `{one['path']}`: {one['finding']} against {other['finding']}.",
            fix="Judge both models on the same labels: `hilum evaluate` them on one data set.",
        )


def _merged_groups(judged: tuple[Judged, Judged], paths: list[str]) -> np.ndarray:
    """Return (n,) groups in which films stand together that do so in either run."""
    parents = list(range(len(paths)))

    def root_of(film: int) -> int:
        while parents[film] != film:
            parents[film] = parents[parents[film]]
            film = parents[film]
        return film

    for one in judged:
        first_of: dict[int, int] = {}
        for film, path in enumerate(paths):
            if path in one.groups:
                low, high = sorted((root_of(first_of.setdefault(one.groups[path], film)), root_of(film)))
                parents[high] = low
    return np.array([root_of(film) for film in range(len(paths))])


def _compared(
    rows: list[list[Mapping[str, str]]], judged: tuple[Judged, Judged], groups: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return the figures of one part."""
    truth_names = [row["finding"] for row in rows[0]]
    numbers: dict[str, int] = {}
    truth = np.array([numbers.setdefault(name, len(numbers)) for name in truth_names])
    answers = [np.array([numbers.setdefault(row["predicted"], len(numbers)) for row in one]) for one in rows]
    right = [one == truth for one in answers]
    accuracy = accuracy_difference(right[0], right[1], groups, seed=seed)
    f1_difference = macro_f1_difference(truth, answers[0], answers[1], groups, seed=seed)
    shared = [name for name in judged[0].findings if name in judged[1].findings]
    positive = np.array([[name == known for known in shared] for name in truth_names]).reshape(len(truth), len(shared))
    scores = [
        np.array([[float(row[_PREFIX + name]) for name in shared] for row in one]).reshape(positive.shape)
        for one in rows
    ]
    num_with = positive.sum(axis=0)
    usable = np.flatnonzero((num_with > 0) & (num_with < len(truth)))
    macro = delong(positive[:, usable], scores[0][:, usable], scores[1][:, usable], groups) if usable.size else None
    discordant = mcnemar(right[0], right[1])
    is_sure = accuracy["low"] is not None and accuracy["high"] is not None
    return {
        "n": len(truth),
        "num_groups": len(np.unique(groups)),
        "right": {"first": int(right[0].sum()), "second": int(right[1].sum())},
        "accuracy": Difference(float(right[0].mean()), float(right[1].mean()), accuracy, discordant.p_value),
        "macro_f1": Difference(macro_f1(truth, answers[0]), macro_f1(truth, answers[1]), f1_difference, None),
        "auroc_macro": macro,
        "mcnemar": discordant,
        "per_finding": {
            name: {
                "n": int(num_with[index]),
                "auroc": delong(positive[:, index], scores[0][:, index], scores[1][:, index], groups),
            }
            for index, name in enumerate(shared)
        },
        "told_apart": bool(
            discordant.p_value < SIGNIFICANCE and is_sure and (accuracy["low"] > 0 or accuracy["high"] < 0)  # type: ignore[operator]
        ),
    }


def _verdict(part: Mapping[str, Any], names: tuple[str, ...]) -> str:
    right, difference = part["right"], part["accuracy"]["difference"]
    sign = -1 if difference["value"] < 0 else 1
    low, high = sorted(sign * difference[limit] + 0.0 for limit in ("low", "high"))  # -0.0 + 0.0 is 0.0
    evidence = (
        f"{100 * sign * difference['value']:.1f} points, 95 % interval {100 * low:.1f} to {100 * high:.1f}; "
        f"McNemar p {p_text(part['mcnemar']['p_value'])}"
    )
    if part["told_apart"]:
        better, worse = (1, 0) if sign > 0 else (0, 1)
        keys = ("first", "second")
        words = (
            f"{names[better]} is better than {names[worse]} on these {part['n']} films: right on {right[keys[better]]} "
            f"against {right[keys[worse]]} ({evidence})."
        )
    else:
        words = (
            f"{names[0]} and {names[1]} are not told apart by these {part['n']} films: right on {right['first']} and "
            f"{right['second']} ({evidence})."
        )
    auroc = part["auroc_macro"]
    if auroc and auroc["p_value"] is not None and auroc["p_value"] < SIGNIFICANCE:
        higher = names[1] if auroc["difference"]["value"] > 0 else names[0]
        limits = sorted(abs(auroc["difference"][limit]) for limit in ("low", "high"))
        words += (
            f" {higher} has the higher AUROC, by {abs(auroc['difference']['value']):.3f} "
            f"({limits[0]:.3f} to {limits[1]:.3f}; DeLong p {p_text(auroc['p_value'])})."
        )
    if part["flattering"]:
        words += " Both models were stopped and calibrated on validation films, so these flatter both."
    return words


def p_text(p_value: float | None) -> str:
    """Return a p-value with its sign as it is written: "= 0.35", "= 0.016", "< 0.001"; a dash where undefined."""
    if p_value is None:
        return "–"
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}" if p_value < 0.1 else f"= {p_value:.2f}"
