"""An adapted model shown: a page with before and after, lines for the terminal, a section of the model card."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hilum.console import count_of
from hilum.judge.adaptation import Adaptation, AdaptationMetrics, MixAdaptation
from hilum.judge.intervals import Interval
from hilum.report.page import render
from hilum.text import percent_figure, percent_text, points, points_range

__all__ = [
    "adaptation_card",
    "adaptation_lines",
    "adaptation_page",
    "adaptation_toml",
    "level_words",
    "mix_card",
    "mix_lines",
    "mix_page",
    "mix_words",
    "verdict_words",
]

_FIGURES = {
    "accuracy": "Films right",
    "balanced_accuracy": "Mean recall",
    "macro_f1": "Macro F1",
    "auroc_macro": "AUROC",
}
_LEVELS = {
    "as shipped": "As shipped",
    "constants": "Constants and temperature",
    "linear": "Constants, temperature and a linear correction",
}


def verdict_words(made: Adaptation) -> str:
    """Return what came of it, in one or two sentences."""
    return " ".join(_verdict(made))


def _verdict(made: Adaptation) -> tuple[str, str]:
    """Return what came of it in a sentence, and the figures behind it."""
    before, after, change = made.before.figures.accuracy, made.after.figures.accuracy, made.accuracy_change
    there = [name for name, count in made.num_films.items() if count]
    if len(there) == 1:
        alarms = [1 - (one.value or 0.0) for one in (before, after)]
        return (
            f"Of your {there[0]} films, {percent_text(alarms[0])} were answered with another finding as shipped, and "
            f"{percent_text(alarms[1])} are now.",
            "How many films of other findings are found is unknown: you gave none.",
        )
    if made.level == "as shipped":
        return (
            f"No correction is better than the model as shipped on your {made.n} films, so its answers stay.",
            "Its thresholds are now set on your films.",
        )
    if _has_gain(made):
        lead = "The adapted model is better on films like yours."
    elif (change.high or 0.0) < 0:
        lead = "The adapted model gets fewer films right: use the model as shipped."
    elif _is_useful(made):
        lead = (
            "The probabilities of the adapted model fit your films better, but these films cannot say whether it gets "
            "more of them right."
        )
    else:
        lead = "These films show no gain: use the model as shipped, or adapt it with more films."
    evidence = (
        f"{percent_text(before.value)} of {made.n} films are right as shipped, {percent_text(after.value)} adapted "
        f"({points(change.value)} points, 95 % interval {points_range(change)}). The correction had not seen the "
        "films that it was judged on."
    )
    return lead, evidence


def _has_gain(made: Adaptation) -> bool:
    return (made.accuracy_change.low or 0.0) > 0


def _is_useful(made: Adaptation) -> bool:
    """Return whether the new model is better than the shipped one in any way that these films show."""
    is_worse = (made.accuracy_change.high or 0.0) < 0
    return made.level == "as shipped" or _has_gain(made) or (made.after.loss < made.before.loss and not is_worse)


def level_words(made: Adaptation) -> str:
    """Return what was fitted."""
    words = {
        "as shipped": "thresholds only; the answers stay as they are",
        "constants": "a constant for each finding and a temperature",
        "linear": "a constant for each finding, a temperature and a small linear correction on the model's features",
    }[made.level]
    if made.level == "constants" and made.temperature[0] == made.temperature[1]:
        return "one constant"
    return words


def adaptation_lines(made: Adaptation) -> list[str]:
    """Return what the terminal shows: the verdict, what was fitted, and the figures beside each other."""
    lines = [verdict_words(made), f"Fitted: {level_words(made)}."]
    lines += [
        f"  {name}: {percent_figure(before)} as shipped, {percent_figure(after)} adapted"
        for name, before, after in _rows(made)
    ]
    return lines


def adaptation_page(metrics: AdaptationMetrics, notes: Sequence[str]) -> str:
    """Return the page with before and after; all names are escaped.

    Args:
        metrics: What metrics.json holds.
        notes: What the reader must know, a sentence each.
    """
    made = metrics.adaptation
    change = made.accuracy_change
    page = render(
        "adaptation.html.j2",
        title=f"{made.parent.name} adapted to {made.data}",
        kicker="hilum adapt",
        made=made,
        verdict=_verdict(made),
        is_bad=(change.high or 0.0) < 0 and made.level != "as shipped",
        is_useful=_is_useful(made),
        is_single=len(made.num_films) - len(made.lacking) == 1,
        fitted=level_words(made),
        notes=notes,
        rows=_rows(made),
        sides={"As shipped": made.before, "Adapted": made.after},
        recalls=_recalls(made),
        levels=[(_level_name(one.level, one.penalty), one) for one in made.levels],
        num_left_out=count_of(made.left_out.trained_on, "film"),
    )
    return str(page)


def adaptation_card(metrics: AdaptationMetrics) -> str:
    """Return the section that an adapted model's card gets, in Markdown."""
    made = metrics.adaptation
    rows = _rows(made)
    return str(render("adaptation.md.j2", made=made, verdict=verdict_words(made), fitted=level_words(made), rows=rows))


def adaptation_toml(made: Adaptation, ignored: Sequence[str]) -> str:
    """Return config.toml: what was adapted to what."""
    values = {
        "parent": made.parent.name,
        "parent_sha256": made.parent.sha256,
        "data": made.data,
        "num_films": made.n,
        "level": made.level,
        "coverage": made.coverage[1],
        "ignore": list(ignored),
    }
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def mix_words(made: MixAdaptation) -> str:
    """Return what came of films without labels, in two sentences."""
    if made.reason:
        return f"No model was written: the mix of findings among these {made.n} films would not help. {made.reason}"
    name, share = max(made.shares.items(), key=lambda one: abs((one[1].after.value or 0.0) - one[1].before))
    more = "more" if (share.after.value or 0.0) > share.before else "less"
    return (
        f"{name} is {more} frequent among your {made.n} films than where the model was calibrated: "
        f"{percent_text(share.after.value, 0)} against {percent_text(share.before, 0)}. The new model uses this. "
        "Nobody has checked its answers on your films: they have no findings."
    )


def mix_lines(made: MixAdaptation) -> list[str]:
    """Return what the terminal shows of films without labels."""
    shares = [
        f"  {name}: {percent_text(one.before)} before, {percent_figure(one.after)} here"
        for name, one in made.shares.items()
    ]
    return [mix_words(made), *shares]


def mix_page(made: MixAdaptation) -> str:
    """Return the page of a model that was adapted to a mix of findings; all names are escaped."""
    title = f"{made.parent.name} adapted to {made.data}"
    return str(render("mix.html.j2", title=title, kicker="hilum adapt", made=made, verdict=mix_words(made)))


def mix_card(made: MixAdaptation) -> str:
    """Return the section that such a model's card gets, in Markdown."""
    rows = [(name, percent_text(one.before), one.after) for name, one in made.shares.items()]
    return str(render("mix.md.j2", made=made, verdict=mix_words(made), rows=rows))


def _rows(made: Adaptation) -> list[tuple[str, Interval, Interval]]:
    """Return each figure's name, and the figure before and after."""
    before, after = made.before, made.after
    rows = [(name, getattr(before.figures, key), getattr(after.figures, key)) for key, name in _FIGURES.items()]
    return [
        *(row for row in rows if row[1].value is not None),
        ("Truth in the set", before.covered, after.covered),
        ("Refused", before.refused, after.refused),
    ]


def _recalls(made: Adaptation) -> list[tuple[str, int, Interval, Interval]]:
    """Return finding, films, and the share of them answered with it before and after, of findings with films."""
    sides = (made.before.figures.per_finding, made.after.figures.per_finding)
    return [
        (name, count, sides[0][name].recall, sides[1][name].recall) for name, count in made.num_films.items() if count
    ]


def _level_name(level: str, penalty: float | None) -> str:
    return _LEVELS[level] + (f", penalty {penalty:g}" if penalty is not None else "")
