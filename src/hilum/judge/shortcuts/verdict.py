"""What the scores with parts hidden come to: a shortcut, none that these films show, or too few films to say.

Films are judged by how they are ranked (the AUROC), over the findings that the set has. Hiding a part moves all answers
the same way, so that right answers may vanish while the ranking stands; ranking is what a shortcut feeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hilum.judge.audit.check import AuditData, Check, Fault
from hilum.judge.audit.figures import CueVerdict
from hilum.judge.shortcuts.occlusion import CueFigures
from hilum.judge.verdict import LEAST_FILMS
from hilum.text import percent_text, range_text

__all__ = ["CHECKS", "POSSIBLE_AUROC", "judge_cues"]

POSSIBLE_AUROC = 0.7  # a shortcut that films cannot rule out where an interval reaches up to it
_CHANCE = 0.5
_PLACES = {
    "lungs_hidden": "with both lungs hidden",
    "border_only": "from the border alone",
    "thumbnail_8": "from 8 × 8 pixels",
}


def judge_cues(cues: Mapping[str, CueFigures], counts: Sequence[int]) -> CueVerdict:
    """Return what the scores with parts hidden come to.

    A shortcut: without the lungs, from the border or from a thumbnail the whole interval of the AUROC lies above one
    half. Too few films: fewer than two findings have `LEAST_FILMS` films, or one of these intervals reaches up to
    `POSSIBLE_AUROC`, so that a shortcut cannot be ruled out.

    Args:
        cues: Cue to its figures.
        counts: How many films show each finding.
    """
    areas = {key: cues[key].auroc_macro for key in _PLACES}
    if sum(count >= LEAST_FILMS for count in counts) < 2:
        words = f"These films are too few for a verdict: that takes {LEAST_FILMS} films of each of two findings."
        return CueVerdict("too-few", (), words)
    above = [key for key, area in areas.items() if area.low is not None and area.low > _CHANCE]
    if above:
        told = [f"{_PLACES[key]} (AUROC {percent_text(areas[key].value)}, {range_text(areas[key])})" for key in above]
        listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
        words = (
            f"This model ranks films better than chance {listed}. So part of its score needs no sign of disease, and "
            "need not hold on films that were taken elsewhere."
        )
        return CueVerdict("shortcut", tuple(above), words)
    open_still = [
        f"{_PLACES[key]} it may be as high as {percent_text(area.high)}"
        for key, area in areas.items()
        if area.high is None or area.high >= POSSIBLE_AUROC
    ]
    if open_still:
        words = f"These films are too few for a verdict: no AUROC is surely above chance, but {'; '.join(open_still)}."
        return CueVerdict("too-few", (), words)
    whole = cues["whole"].auroc_macro
    if whole.low is None or whole.low <= _CHANCE:
        words = (
            f"These films say nothing of shortcuts: the model ranks whole films no better than chance (AUROC "
            f"{percent_text(whole.value)}, {range_text(whole) or 'interval not known'}), so it has no score that could "
            "rest on one."
        )
        return CueVerdict("none-found", (), words)
    words = (
        "With the lungs hidden, from the border alone and from a thumbnail, the model ranks films no better than "
        "chance, as far as these films can tell. That is what one wants to see."
    )
    return CueVerdict("none-found", (), words)


def _shortcut(data: AuditData) -> Fault | None:
    verdict = data.shortcut
    return Fault("shortcut", "warning", verdict.words) if verdict and verdict.code == "shortcut" else None


def _needs_a_verdict(data: AuditData) -> str:
    if data.shortcut is None:
        return "It needs a model: `hilum evaluate --shortcuts` measures it."
    return data.shortcut.words if data.shortcut.code == "too-few" else ""


CHECKS = (
    Check(
        code="shortcut",
        title="The model does not need the lungs",
        severity="warning",
        meaning="The model still ranks these films better than chance where it cannot see the lungs. So part of its "
        "score needs no sign of disease, and need not hold on films of another hospital.",
        remedy="Run `hilum audit` on the films that it was trained on, and test it on films of another hospital.",
        find=_shortcut,
        needs=(_needs_a_verdict,),
    ),
)
