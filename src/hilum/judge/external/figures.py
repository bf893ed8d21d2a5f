"""A model on the films of another hospital: whose findings have other names, lack some, or are none of the model's.

What the model does not know is not quietly left out. Films of unknown findings count in no accuracy, but in a hospital
they come all the same: how the model answers them is reported.

Sources:
    Zou, Donner 2008, Construction of confidence limits about effect measures: a general approach (MOVER: the interval
    of a difference from the intervals of its two sides).
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hilum.data.folder import Dataset, FilmRecord
from hilum.data.labels import spelling_key
from hilum.errors import InputError, nearest_name
from hilum.findings import finding_named, standard_name
from hilum.judge.intervals import proportion
from hilum.judge.metrics import performance
from hilum.judge.parts import headline_parts
from hilum.run.answer import Answer

__all__ = ["in_house_comparison", "name_hints", "pneumonia_figures", "rename_findings", "unknown_figures"]

PNEUMONIAS = ("Viral Pneumonia", "Bacterial Pneumonia", "Pneumonia (type not stated)")
NORMAL = "Normal"
_COMPARED = ("auroc", "sensitivity", "specificity")


def rename_findings(dataset: Dataset, mapping: Sequence[str], known: Sequence[str]) -> Dataset:
    """Return a data set in which findings have the model's names.

    Args:
        dataset: The films.
        mapping: Texts "Their name=Our finding". Their name is a folder's or the manifest's; names that stand for the
            same finding (Covid, COVID-19) go together. Names that differ in spelling alone need none.
        known: The model's findings.

    Raises:
        InputError: A text has another form, or names what is not there.
    """
    names = dataset.folder_names
    theirs = {name: finding for finding, found in names.items() for name in (finding, *found)}
    chosen: dict[str, str] = {}
    for text in mapping:
        their, equals, our = (part.strip() for part in text.partition("="))
        if not (their and equals and our):
            raise InputError(
                f"Cannot read the mapping `{text}`. Expected `Their name=Our finding`.",
                fix='For one: --map "Corona=Covid-19"',
            )
        finding = theirs.get(their, standard_name(their))
        if finding not in names:
            raise InputError(f"No film of the data set shows `{their}`.", fix=nearest_name(their, sorted(theirs)))
        target = our if our in known else standard_name(our)
        if target not in known:
            raise InputError(f"The model does not know the finding `{our}`.", fix=nearest_name(our, known))
        if chosen.setdefault(finding, target) != target:
            raise InputError(
                f"`{finding}` is mapped to `{chosen[finding]}` and to `{target}`.", fix="Keep one of the two."
            )
    spellings = {spelling_key(name): name for name in known}
    for finding in names:
        if finding not in known and spelling_key(finding) in spellings:
            chosen.setdefault(finding, spellings[spelling_key(finding)])
    records = tuple(replace(record, finding=chosen.get(record.finding, record.finding)) for record in dataset.records)
    renamed = tuple((chosen.get(finding, finding), name) for finding, found in names.items() for name in found)
    return replace(dataset, records=records, _names=tuple(sorted(set(renamed))))


def name_hints(strange: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return a sentence for each finding that looks like a misspelt one of the model's.

    A name with a meaning of its own is none: Bacterial Pneumonia is near Viral Pneumonia only in its letters.
    """
    hints = []
    for name in strange:
        if finding_named(name) or name.lower() == "abnormal":
            continue
        close = difflib.get_close_matches(name.lower(), [one.lower() for one in known], n=1, cutoff=0.7)
        if close:
            match = next(one for one in known if one.lower() == close[0])
            hints.append(f'If `{name}` means `{match}`, add --map "{name}={match}".')
    return hints


def unknown_figures(records: Sequence[FilmRecord], answers: Sequence[Answer]) -> dict[str, Any]:
    """Return how a model answers films with findings that it does not know.

    Args:
        records: Films of such findings.
        answers: One a film.

    Returns:
        {finding: {"n", "answers": {finding of the model: films}, "accepted": films, "single_finding": I}}. The last is
        the share of films that are accepted with exactly one finding in the conformal set: answered as if all were
        well.
    """
    figures: dict[str, Any] = {}
    for finding in sorted({record.finding for record in records}):
        chosen = [answer for record, answer in zip(records, answers, strict=True) if record.finding == finding]
        single = sum(answer.accepted and len(answer.set) == 1 for answer in chosen)
        figures[finding] = {
            "n": len(chosen),
            "answers": dict(Counter(answer.likeliest for answer in chosen).most_common()),
            "accepted": sum(answer.accepted for answer in chosen),
            "single_finding": proportion(single, len(chosen)),
        }
    return figures


def pneumonia_figures(
    records: Sequence[FilmRecord], answers: Sequence[Answer], known: Sequence[str], groups: np.ndarray
) -> dict[str, Any] | None:
    """Return the figures of pneumonia against normal, where the films' kinds of pneumonia are not the model's.

    The probability of pneumonia is the sum over the model's kinds of it, Covid-19 not among them; a film is answered
    "pneumonia" where that sum is larger than the probability of every other finding.

    Args:
        records: Films of any finding.
        answers: One a film.
        known: The model's findings.
        groups: (n,) int.

    Returns:
        {"kinds": the model's findings that are summed, "pneumonia", "normal": films, "auroc", "sensitivity",
        "specificity": I}; None where the model knows all kinds of pneumonia among the films, or the question cannot
        be asked.
    """
    kinds = [name for name in PNEUMONIAS if name in known]
    strange = [name for name in PNEUMONIAS if name not in known and any(r.finding == name for r in records)]
    if not kinds or not strange or NORMAL not in known:
        return None
    asked = [i for i, record in enumerate(records) if record.finding in PNEUMONIAS or record.finding == NORMAL]
    truth = np.array([int(records[i].finding != NORMAL) for i in asked])
    sums = np.array([sum(answers[i].probabilities[name] for name in kinds) for i in asked])
    others = [name for name in known if name not in kinds]
    rivals = np.array([max(answers[i].probabilities[name] for name in others) for i in asked])
    # Two columns that order the films as the sum does, for the AUROC; and one that exceeds one half where pneumonia is
    # the answer, for sensitivity and specificity.
    ordered, answered = (
        performance(
            truth,
            np.stack((1 - score, score), axis=1),
            ("not pneumonia", "pneumonia"),
            operating_thresholds={"not pneumonia": 0.5, "pneumonia": 0.5},
            groups=groups[asked],
        )["per_finding"]["pneumonia"]
        for score in (sums, (sums > rivals).astype(np.float64))
    )
    return {
        "kinds": kinds,
        "pneumonia": int(truth.sum()),
        "normal": int((truth == 0).sum()),
        "auroc": ordered["auroc"],
        "sensitivity": answered["sensitivity"],
        "specificity": answered["specificity"],
    }


def in_house_comparison(in_house: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the figures in the model file beside those of the films judged now, each with its change.

    Each side is its most trustworthy test part. Accuracy and AUROC depend on which findings there are; where some lack
    here, the recall of the findings present is what can be compared.

    Args:
        in_house: The figures in the model file.
        here: What metrics.json holds of the films judged now.

    Returns:
        {"in_house", "here": {"part", "n"}, "lacking": findings without a film here, "figures": {name: D},
        "per_finding": {finding: {"auroc", "sensitivity", "specificity": D}}} with D = {"in_house", "here", "change":
        I}; None where one of the two has no figures.
    """
    parts = [(headline_parts(side) or [""])[0] for side in (in_house, here)]
    if not all(parts):
        return None
    house, now = in_house[parts[0]], here[parts[1]]
    shared = [
        name
        for name, values in now["per_finding"].items()
        if values["n"] and (house["per_finding"].get(name) or {}).get("n")
    ]
    lacking = [name for name, values in now["per_finding"].items() if not values["n"]]
    figures = {"accuracy": _change(house["accuracy"], now["accuracy"])}
    if shared:
        sides = [[side["per_finding"][name]["recall"] for name in shared] for side in (house, now)]
        figures["recall_mean"] = _change(_mean(sides[0]), _mean(sides[1]))
    if not lacking:
        figures["auroc_macro"] = _change(house["auroc_macro"], now["auroc_macro"])
    return {
        "in_house": {"part": parts[0], "n": house["n"]},
        "here": {"part": parts[1], "n": now["n"]},
        "lacking": lacking,
        "figures": figures,
        "per_finding": {
            name: {
                figure: _change(house["per_finding"][name][figure], now["per_finding"][name][figure])
                for figure in _COMPARED
            }
            for name in shared
        },
    }


def _mean(intervals: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean of figures on separate films, its interval by MOVER."""
    if any(one[key] is None for one in intervals for key in ("value", "low", "high")):
        return {"value": None, "low": None, "high": None}
    value = sum(one["value"] for one in intervals) / len(intervals)
    below = math.sqrt(sum((one["value"] - one["low"]) ** 2 for one in intervals)) / len(intervals)
    above = math.sqrt(sum((one["high"] - one["value"]) ** 2 for one in intervals)) / len(intervals)
    return {"value": value, "low": value - below, "high": value + above}


def _change(house: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return two figures on separate films and their difference, its interval by MOVER."""
    change: dict[str, float | None] = {"value": None, "low": None, "high": None}
    if house["value"] is not None and now["value"] is not None:
        value = float(now["value"] - house["value"])
        change["value"] = value
        if None not in (house["low"], house["high"], now["low"], now["high"]):
            below = math.hypot(now["value"] - now["low"], house["high"] - house["value"])
            above = math.hypot(now["high"] - now["value"], house["value"] - house["low"])
            change |= {"low": value - below, "high": value + above}
    return {"in_house": dict(house), "here": dict(now), "change": change}
