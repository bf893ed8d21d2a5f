"""By how much one way of doing something changes a classifier, on the same films, and whether that is no worse.

No worse: the lower limit of the 95 % interval of the change in macro AUROC lies above minus one point. Better and worse
are said only where the whole interval lies on one side of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.figures import to_json
from hilum.judge.chance import judge_chance
from hilum.judge.compare.paired import accuracy_difference, delong, macro_f1_difference
from hilum.judge.intervals import Interval
from hilum.judge.metrics import performance

__all__ = ["MARGIN", "VERDICTS", "change_of", "figures_of_answers", "judge_change", "verdict_words"]

MARGIN = 0.01  # of macro AUROC: what a change may cost and still count as no worse
VERDICTS = {
    "better": "better",
    "no worse": "no worse",
    "open": "cannot be told",
    "slightly worse": "worse, by less than a point",
    "worse": "worse",
}


def change_of(
    truth: NDArray[np.int64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    groups: NDArray[np.int64],
) -> dict[str, Any]:
    """Return by how much the second way's figures are higher, with its verdict.

    Args:
        truth: (n,) int.
        first: (n, K) probabilities of the way that is compared with.
        second: (n, K) of the way in question, on the same films.
        groups: (n,) films of equal number are not independent.

    Returns:
        {"n", "auroc": I, "accuracy": I, "macro_f1": I, "verdict": a key of VERDICTS, "identical": whether the two gave
        the same probabilities to the last digit}; differences, as fractions.
    """
    present = np.unique(truth)
    positive = truth[:, np.newaxis] == present
    areas = delong(positive, first[:, present], second[:, present], groups)
    auroc = Interval()
    if areas is not None:
        auroc = areas.difference
        if auroc.low is None:  # no film moved: nothing is known beyond that
            auroc = Interval(auroc.value, auroc.value, auroc.value)
    first_right, second_right = first.argmax(axis=1) == truth, second.argmax(axis=1) == truth
    return {
        "n": len(truth),
        "auroc": to_json(auroc),
        "accuracy": to_json(accuracy_difference(first_right, second_right, groups)),
        "macro_f1": to_json(macro_f1_difference(truth, first.argmax(axis=1), second.argmax(axis=1), groups)),
        "verdict": judge_change(auroc),
        "identical": bool(np.array_equal(first, second)),
    }


def judge_change(auroc: Mapping[str, float | None]) -> str:
    """Return the verdict on a change in macro AUROC, a key of VERDICTS."""
    low, high = auroc["low"], auroc["high"]
    if low is None or high is None:
        return "open"
    if low > 0:
        return "better"
    if high < 0:
        return "slightly worse" if low > -MARGIN else "worse"
    return "no worse" if low > -MARGIN else "open"


def verdict_words(change: Mapping[str, Any]) -> str:
    """Return the verdict on a change for a reader; two ways that gave the same answers are told as that."""
    return "the same answers" if change.get("identical") else VERDICTS[change["verdict"]]


def figures_of_answers(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: NDArray[np.int64],
    findings: Sequence[str],
) -> dict[str, Any]:
    """Return {"n", "accuracy": I, "macro_f1": I, "auroc": I, "balanced_accuracy": I, "above_chance"} of answers (n, K).

    "above_chance" is None where the films are too few to say (judge/chance.py).
    """
    thresholds = dict.fromkeys(findings, 0.5)
    judged = performance(
        truth, probabilities, findings, operating_thresholds=thresholds, groups=groups, num_resamples=500
    )
    return {
        "n": judged.n,
        "accuracy": to_json(judged.accuracy),
        "macro_f1": to_json(judged.macro_f1),
        "auroc": to_json(judged.auroc_macro),
        "balanced_accuracy": to_json(judged.balanced_accuracy),
        "above_chance": judge_chance(
            judged.balanced_accuracy, judged.auroc_macro, np.bincount(truth, minlength=len(findings)).tolist()
        ).is_above,
    }
