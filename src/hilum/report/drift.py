"""Drift in words: what is different about today's answers, and what could have been seen."""

from __future__ import annotations

from hilum.console import count_of
from hilum.judge.drift import LEAST_FILMS, LEVEL, Drift
from hilum.text import percent_text

__all__ = ["drift_lines"]

_WHAT_NEXT = (
    "A difference does not say why: another mix of findings, other films or another machine all show. "
    "Test the model again on films of today with known findings: `hilum evaluate`."
)
_NAMES = {
    "confidence": "How sure the model is",
    "likeliest": "The findings answered",
    "set_size": "How many findings cannot be excluded",
    "refused": "Films refused",
    "outlier_score": "How unlike the training films they are",
    "exposure": "How bright the films are",
}


def drift_lines(drift: Drift, when: str = "of today") -> list[str]:
    """Return the answer first, then the quantities, then what the test could have found.

    Args:
        drift: The comparison.
        when: When the films came.
    """
    films = f"{count_of(drift.n, 'film')} {when}, {drift.reference_n} to compare with"
    if drift.is_different is None:
        return [f"There are too few films to say: {films}. The comparison needs at least {LEAST_FILMS} of each."]
    if drift.is_different:
        first = f"The films {when} are answered differently. The model may not be as good on them as its figures say."
    else:
        first = f"No difference found between the answers to the films {when} and those to compare with."
    quantities = [
        f"  {_name(one.quantity)}: {'different' if one.is_different else 'no difference found'} (p {_p_text(one.p)})"
        for one in drift.quantities
    ]
    difference = percent_text(drift.found_difference or 0.0, 0)
    return [
        first,
        f"Compared: {films}.",
        *quantities,
        *_not_compared(drift),
        f"If nothing has changed, at most {percent_text(LEVEL, 0)} of comparisons say `different`. So many films show "
        f"a change of {difference} of all films, such as from half of them to {_more(drift)}, 8 times out of 10.",
        _WHAT_NEXT if drift.is_different else "A model can become worse without a difference in its answers.",
    ]


def _more(drift: Drift) -> str:
    return percent_text(min(0.5 + (drift.found_difference or 0.0), 1.0), 0)


def _not_compared(drift: Drift) -> list[str]:
    """Return what could not be compared, a sentence for each side that lacks it."""
    sides = (
        (drift.not_in_reference, "the evaluation holds too few such values, or none if an earlier hilum made it"),
        (drift.not_in_today, "it was counted of too few films, or of none if an earlier hilum counted them"),
    )
    return [
        f"Not compared: {', '.join(name[:1].lower() + name[1:] for name in map(_name, names))} ({why})."
        for names, why in sides
        if names
    ]


def _name(quantity: str) -> str:
    kind, _, finding = quantity.partition(":")
    return f"Probability of {finding}" if kind == "probability" else _NAMES[quantity]


def _p_text(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else "below 0.001"
