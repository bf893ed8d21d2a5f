"""The verdict in three plain sentences: how many films are right, whether to believe it and why, what to do next.

Terminal, report, the page's About and `hilum model show` say the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hilum.figures import from_json
from hilum.judge.metrics import Performance
from hilum.judge.parts import Metrics, Reason, Verdict, headline_parts, judged_parts, parts_from_json
from hilum.judge.verdict import judge_figures
from hilum.text import interval_words, percent_text, range_text

__all__ = ["VerdictWords", "saved_verdict_lines", "verdict_words"]

_NEXT = {
    "nothing": "Give the model films that show findings it knows",
    "chance": "Look at the problems in the data and the worst mistakes, correct labels or add films, and train again",
    "lungs-hidden": "Test the model on films of another hospital (hilum evaluate), and take every finding from the "
    "same places",
    "leak": "Put all copies of a film and all films of a patient on one side (hilum audit DATA --repair LIST.csv), "
    "then train again",
    "data": "Correct the problems in the data (hilum audit DATA --repair LIST.csv removes many), then train again",
    "worse": "Train with films of this kind, or adapt the model to them (hilum adapt)",
    "few-films": "Judge the model on more films: about {n} give an interval of ±5 points",
    "no-test": "Judge the model on films that training had no part in (hilum evaluate)",
    "not-measured": "Judge the model on the films themselves (hilum evaluate)",
    "other-hospital": "Before you rely on the model, test it on films of another hospital (hilum evaluate)",
}
_NEXT |= {"thumbnail": _NEXT["lungs-hidden"], "sources": _NEXT["lungs-hidden"]}
_MOST_REASONS = 4


@dataclass(frozen=True)
class VerdictWords:
    """The verdict in words.

    Attributes:
        believed: Whether the figure may be believed; None where the films cannot say.
        figure: How many films are right.
        belief: Whether to believe it, and why.
        next_step: What to do next.
    """

    believed: bool | None
    figure: str
    belief: str
    next_step: str

    @property
    def lines(self) -> tuple[str, str]:
        """Return two lines for the terminal."""
        return f"{self.figure} {self.belief}".strip(), f"Next: {self.next_step}"


def verdict_words(metrics: Metrics) -> VerdictWords:
    """Return the verdict of metrics.json in words; where it has none, that on its figures alone."""
    return _words(judged_parts(metrics), metrics.verdict or judge_figures(metrics))


def saved_verdict_lines(figures: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the verdict in the figures of a model file, two lines; none of a file that has none or a damaged one."""
    try:
        verdict = from_json(Verdict, figures["verdict"])
        return _words(parts_from_json(figures), verdict).lines
    except (KeyError, ValueError, TypeError):
        return ()


def _words(judged: Mapping[str, Performance], verdict: Verdict) -> VerdictWords:
    reasons = [words for reason in verdict.reasons if (words := _reason(reason, judged))][:_MOST_REASONS]
    told = _listed(reasons[:1] if verdict.next_step == "chance" else reasons)
    if verdict.believed:
        belief = f"You may believe this figure for films like these: {told}."
    elif verdict.believed is None:
        belief = f"These films cannot say whether to believe this figure: {told}." if judged else ""
    elif verdict.next_step == "chance":
        belief = f"Do not use this model: {told}."
    else:
        belief = f"Do not believe this figure yet: {told}."
    n = next((reason.n for reason in verdict.reasons if reason.code == verdict.next_step), None)
    step = _NEXT.get(verdict.next_step, _NEXT["other-hospital"]).format(n=f"{n or 0:,}") + "."
    return VerdictWords(verdict.believed, _figure(judged), belief.replace("..", "."), step)


def _figure(judged: Mapping[str, Performance]) -> str:
    """Return how many films are right."""
    if not judged:
        return "No film was judged, so there is no result."
    part = headline_parts(judged)[0]
    right = {name: f"{one.confusion.num_right} of {one.n}" for name, one in judged.items()}
    if part == "test_clean" and judged["test"].n > judged[part].n:
        return f"The model is right on {right['test']} test films ({right[part]} without those that are also in train)."
    if part.startswith("test"):
        return f"The model is right on {right[part]} test films."
    if part == "cross_validation":
        return f"The model is right on {right[part]} training films in cross-validation."
    return f"The model is right on {right[part]} validation films."


def _reason(reason: Reason, judged: Mapping[str, Performance]) -> str:
    """Return one reason as a part of a sentence; empty where it is not known here."""
    share = percent_text(reason.figure.value, 0) if reason.figure else ""
    n = reason.n or 0
    words: dict[str, Callable[[], str]] = {
        "chance": lambda: _chance_words(judged),
        "lungs-hidden": lambda: f"with the lungs hidden the model is still right on {share} of the films",
        "thumbnail": lambda: f"a simple model that sees only 8 × 8 pixels of each film is right on {share} of them",
        "leak": lambda: f"{n} test {'film is' if n == 1 else 'films are'} also in train (a twin or the same patient)",
        "sources": lambda: "the findings come from different sources, which a model can tell apart",
        "data": lambda: f"the data have {n:,} serious problem{'' if n == 1 else 's'}",
        "worse": lambda: "that is clearly fewer than in house",
        "few-films": lambda: _few_words(reason),
        "no-test": lambda: "training had a part in these films",
        "not-measured": lambda: "it was not measured what is left with the lungs hidden",
        "above-chance": lambda: "the model is better than guessing",
        "needs-lungs": lambda: f"with the lungs hidden it falls to {share}",
    }
    return words[reason.code]() if reason.code in words else ""


def _chance_words(judged: Mapping[str, Performance]) -> str:
    """Return which figures may be those of guessing, each with its interval."""
    figures = judged[headline_parts(judged)[0]]
    chance = 1 / sum(n > 0 for n in figures.confusion.num_with)
    measured = (("balanced accuracy", figures.balanced_accuracy, chance), ("AUROC", figures.auroc_macro, 0.5))
    reached = [one for one in measured if one[1].low is None or one[1].low <= one[2]] or measured
    told = []
    for name, figure, level in reached:
        limits = range_text(figure, 0) or "not known"
        share, guess = percent_text(figure.value, 0), percent_text(level, 0)
        told.append(f"{name} {share}, 95 % interval {limits}; guessing gets {guess}")
    return f"it is not surely better than guessing ({'; '.join(told)})"


def _few_words(reason: Reason) -> str:
    if reason.figure is None:
        return "they are too few"
    return f"they are too few{interval_words(range_text(reason.figure, 0))}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{'; '.join(parts[:-1])}; and {parts[-1]}" if parts else ""
