"""Chooses among the variants of a study: one rule for every kind.

A variant replaces the reference if it is better than guessing and meets every demand of its kind; of several, the one
with the highest score is chosen. If none does, the reference stays. If the reference is no better than guessing
either, nothing is recommended. What differs between kinds is data: demands, score and sentences. All limits were set
before anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hilum.judge.study import MARGIN, Change
from hilum.judge.study_result import MethodRow, NetworkRow, PolicyRow
from hilum.text import percent_figure, points

__all__ = [
    "AGAIN",
    "DEMANDS",
    "STAYS",
    "Candidate",
    "Choice",
    "choose",
    "judge_methods",
    "mark_frontier",
    "method_candidate",
    "method_demands",
    "network_candidate",
    "policy_candidate",
    "verdict_of",
]

STAYS = "Change no setting."
AGAIN = "Add films, or train for more epochs (--epochs), and repeat the study."
Verdict = Mapping[str, object]  # as study.json has it
_NOISY = ("high", "medium", "low")


@dataclass(frozen=True)
class Candidate:
    """A variant as the rule sees it.

    Attributes:
        name: As study.json has it.
        title: For a reader.
        told: Its figures in words.
        score: The highest is chosen among those that meet every demand.
        unmet: The demands that it does not meet: sentences without a subject or end.
        is_proven: Whether it is better than guessing.
    """

    name: str
    title: str
    told: str = ""
    score: tuple[float, ...] = (0.0,)
    unmet: tuple[str, ...] = ()
    is_proven: bool = True


@dataclass(frozen=True)
class Choice:
    """What the rule chose.

    Attributes:
        chosen: The name of the recommended variant; None if nothing is recommended.
        words: The verdict in one or two sentences.
    """

    chosen: str | None
    words: str


@dataclass(frozen=True)
class _Sentences:
    better: str
    nearly: str  # the reference stays, though another has the higher score
    kept: str
    nothing: str


_SENTENCES = {
    "noise": _Sentences(
        "{best.title} is recommended: {best.told}. It meets every demand.",
        "No method meets every demand, so noise is left in the films. {near.title} comes nearest, but {unmet}.",
        "No method gains anything on noisy films, so noise is left in the films.",
        "Nothing is recommended: on clean films {reference.told} the classifier is no better than guessing, so this "
        "study cannot say what noise does to it.",
    ),
    "augmentation": _Sentences(
        "{best.title} is better than the default ({reference.title}): {best.told}.",
        "{near.title} scored best, but {unmet}; the default ({reference.title}) is kept.",
        "No policy scored better than the default ({reference.title}), which is kept.",
        "Nothing is recommended: with the default ({reference.title}) the network is no better than guessing, and no "
        "policy is better.",
    ),
    "backbones": _Sentences(
        "{best.title} is recommended: {best.told}. {reference.title} scored best ({reference.told}), but it is not "
        "clearly better, and it is slower.",
        "{reference.title} scored best and is recommended: {reference.told}. {near.title} is quicker, but {unmet}.",
        "{reference.title} scored best and is recommended: {reference.told}. No network is quicker.",
        "Nothing is recommended: no network is better than guessing wherever it was judged.",
    ),
}


def choose(kind: str, reference: Candidate, others: Sequence[Candidate]) -> Choice:
    """Return which variant to use, by the rule of this module.

    Args:
        kind: Of the study.
        reference: What stays unless another is better; of backbones the network with the highest AUROC.
        others: The other variants.
    """
    sentences = _SENTENCES[kind]
    fit = [one for one in others if one.is_proven and not one.unmet]
    best = max(fit, key=lambda one: one.score, default=reference)
    near = max(others, key=lambda one: (one.is_proven, -len(one.unmet), one.score), default=reference)
    if not fit and not reference.is_proven:
        words = sentences.nothing
    elif fit:
        words = sentences.better
    else:
        words = sentences.nearly if near.score > reference.score else sentences.kept
    unmet = "; ".join(near.unmet) if near.is_proven else "it is no better than guessing"
    words = words.format(best=best, near=near, reference=reference, unmet=unmet)
    return Choice(best.name if fit or reference.is_proven else None, words)


# --- noise ----------------------------------------------------------------------------------------------------------

DEMANDS: Mapping[str, tuple[str, str]] = {  # what is demanded; what is said of a method that does not meet it
    "clean": (
        "In use it does not make answers to clean films worse by a point of AUROC, here and on other sources.",
        "it may make answers to clean films worse",
    ),
    "helps": (
        "At one dose or more it makes answers to noisy films better here, and no worse on other sources.",
        "it does not clearly help noisy films here without harm on other sources",
    ),
    "never harms": ("At no dose does it make answers to noisy films worse.", "it makes answers to noisy films worse"),
    "edges": ("It keeps nine tenths of a clean film's edges.", "it blurs edges of clean films"),
    "sharpness": ("MTF50 of a noisy edge stays above six tenths.", "it blurs a noisy edge"),
    "ribs": ("Ribs stand out from lung and noise more than without it.", "ribs do not stand out more"),
    "residual": (
        "What it removes does not look like anatomy (likeness at most 0.3).",
        "what it removes looks like anatomy",
    ),
    "shortcuts": (
        "The whole film's lead over its border does not clearly fall.",
        "the model looks at the border more",
    ),
    "served": (
        "It needs only hilum's core packages, and at most 10 ms of one core a film.",
        "it needs more packages or time than serving allows",
    ),
}
_LEAST_NOISY = 0.05  # of the films
_LEAST_EDGES, _LEAST_SHARPNESS, _MOST_LIKENESS, _MOST_MILLISECONDS = 0.9, 0.6, 0.3, 10.0


def method_demands(row: MethodRow, none: MethodRow) -> dict[str, bool]:
    """Return which of `DEMANDS` a method meets.

    Args:
        row: The method.
        none: No method.
    """
    here, elsewhere = row.changes.in_house, row.changes.external or {}
    noisy = [one for dose in _NOISY if dose in here and (one := here[dose].option)]
    outside = [one for dose in _NOISY if dose in elsewhere and (one := elsewhere[dose].option)]
    clean = [one for part in (here, elsewhere) if part and (one := part["clean"].option)]
    fall = row.shortcuts["change"].high
    return {
        "clean": all(_above(change, -MARGIN) for change in clean),
        "helps": any(_above(change, 0.0) for change in noisy) and all(_above(change, -MARGIN) for change in outside),
        "never harms": not any(change.is_loss for change in [*noisy, *outside]),
        "edges": row.clean["edges_kept"] >= _LEAST_EDGES,
        "sharpness": row.structure["mtf50"] >= _LEAST_SHARPNESS * none.structure["mtf50"],
        "ribs": row.structure["rib_contrast"] > none.structure["rib_contrast"],
        "residual": row.residual_likeness <= _MOST_LIKENESS,
        "shortcuts": fall is None or fall >= 0,
        "served": row.served and row.milliseconds <= _MOST_MILLISECONDS,
    }


def method_candidate(row: MethodRow, none: MethodRow) -> Candidate:
    """Return a method, or no method, for the rule: its score is the mean change on noisy films over the doses."""
    parts = (none.changes.in_house, "here"), (none.changes.external, "on other sources")
    at_chance = [where for part, where in parts if part and part["clean"].figures.above_chance is not True]
    if row is none:
        return Candidate(row.name, row.title, " and ".join(at_chance), is_proven=not at_chance)
    changes = [one for dose, each in row.changes.in_house.items() if dose in _NOISY and (one := each.option)]
    gain = sum(change.auroc.value or 0.0 for change in changes) / max(len(changes), 1)
    unmet = tuple(DEMANDS[key][1] for key, is_met in method_demands(row, none).items() if not is_met)
    told = f"{points(gain)} points of AUROC on noisy films, on average over the doses"
    return Candidate(row.name, row.title, told, (gain,), unmet, not at_chance)


def judge_methods(rows: Sequence[MethodRow], share_noisy: Mapping[str, float]) -> tuple[list[MethodRow], Verdict]:
    """Return the methods with their verdicts, and the verdict of the study.

    A method is recommended for every film only where a twentieth of these films are noisy: elsewhere it changes nothing
    but the time taken.

    Args:
        rows: All methods; the first is none.
        share_noisy: By set of films, the share in which noise is found as they are.
    """
    none, *methods = rows
    candidates = {row.name: method_candidate(row, none) for row in methods}
    judged = [none]
    for row in methods:
        one = candidates[row.name]
        words = f"It fails: {'; '.join(one.unmet)}." if one.unmet else "It meets every demand."
        verdict = {"criteria": method_demands(row, none), "gain": one.score[0], "words": words}
        judged.append(replace(row, verdict=verdict))
    others = [candidates[row.name] for row in methods if row.kind == "denoise"]  # CLAHE changes contrast
    choice = choose("noise", method_candidate(none, none), others)
    method, is_needed = choice.chosen or "none", max(share_noisy.values()) >= _LEAST_NOISY
    more, then = "", STAYS if choice.chosen else AGAIN
    if method != "none":
        shares = zip(("these films", "the films of other sources"), share_noisy.values(), strict=False)
        more = f"Noise is found in {' and '.join(f'{100 * share:.1f} % of {name}' for name, share in shares)}."
        setting = f'preprocessing.denoise = "{method}"'
        then = f"Set {setting} and train again." if is_needed else f"{STAYS} Use {setting} only for noisier films."
    return judged, verdict_of(choice.words, more, then, method=method, default=method if is_needed else "none")


def _above(change: Change, limit: float) -> bool:
    return change.auroc.low is not None and change.auroc.low > limit


# --- augmentation ---------------------------------------------------------------------------------------------------


def policy_candidate(row: PolicyRow) -> Candidate:
    """Return a policy for the rule: better than the default where it counts, and not worse on the study's films."""
    here, decisive = row.against_default.in_house, row.against_default.decisive
    if here is None or decisive is None:
        return Candidate(row.name, row.title, is_proven=row.is_proven)
    unmet = []
    if decisive.verdict != "better":
        unmet.append("it is worse than the default" if decisive.is_loss else "the difference is within noise")
    elif here.is_loss:
        unmet.append("it is worse on the study's own films")
    places = zip(("here", "on other sources"), (here, row.against_default.external), strict=True)
    told = "; ".join(f"{change.told} {where}" for where, change in places if change)
    return Candidate(row.name, row.title, told, (decisive.auroc.value or 0.0,), tuple(unmet), row.is_proven)


def verdict_of(headline: str, more: str, then: str, **chosen: object) -> Verdict:
    """Return a verdict as study.json has it: ``words`` are the headline and what more there is to say.

    Args:
        headline: What is recommended.
        more: Further sentences; may be empty.
        then: What to do next.
        chosen: Names of what was chosen, by their keys.
    """
    return {**chosen, "words": f"{headline} {more}".rstrip(), "headline": headline, "more": more, "next": then}


# --- backbones ------------------------------------------------------------------------------------------------------


def network_candidate(row: NetworkRow, leading: NetworkRow) -> Candidate:
    """Return a network for the rule: the quickest is chosen that is not clearly worse than the leading one.

    On the study's own films it must not be worse by a point: a wide interval on a few films of other sources excuses
    nothing.
    """
    decisive = row.against_best_external or row.against_best
    unmet = []
    if decisive is not None and (decisive.is_loss or (row.against_best and row.against_best.verdict == "worse")):
        unmet.append("it is clearly worse")
    score = _quickness(row)
    if row is not leading and score <= _quickness(leading):
        unmet.append("it is not quicker")
    told = f"AUROC {percent_figure(row.auroc)}, {row.milliseconds:.1f} ms a film"
    return Candidate(row.name, row.title, told, score, tuple(unmet), row.is_proven)


def _quickness(row: NetworkRow) -> tuple[float, float]:
    return -(row.milliseconds or 0.0), -(row.minutes or 0.0)


def mark_frontier(rows: Sequence[NetworkRow]) -> list[bool]:
    """Return for each network whether no other is as quick and has a higher AUROC; False of those not judged."""
    judged = [row for row in rows if not row.reason]
    return [
        row in judged
        and not any(
            (other.milliseconds or 0.0) <= (row.milliseconds or 0.0)
            and (other.auroc.value or 0.0) > (row.auroc.value or 0.0)
            for other in judged
        )
        for row in rows
    ]
