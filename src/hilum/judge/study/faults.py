"""What makes a study's comparison worthless: ways that gave the same answers, and networks that learned nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["faults_text", "study_faults"]


def study_faults(
    rows: Sequence[Mapping[str, Any]], answers: Mapping[str, NDArray[np.float64]], titles: Mapping[str, str]
) -> list[str]:
    """Return the faults of a study, a sentence or two each.

    Args:
        rows: One a way, with ``name`` and ``kept_random``, how many of its networks kept their random weights.
        answers: Name of a way to its probabilities (n, K), on the same films.
        titles: Name of a way to what it is called.
    """
    faults = [
        f"{titles[row['name']]}: {row['kept_random']} of its networks kept the random weights they began with. They "
        "learned nothing, so their figures say nothing of it; train for more epochs."
        for row in rows
        if row.get("kept_random")
    ]
    alike: list[list[str]] = []
    for name, probabilities in answers.items():
        for group in alike:
            if np.array_equal(answers[group[0]], probabilities):
                group.append(name)
                break
        else:
            alike.append([name])
    for group in alike:
        if len(group) > 1:
            listed = f"{', '.join(titles[name] for name in group[:-1])} and {titles[group[-1]]}"
            faults.append(
                f"{listed} gave the same answers to the last digit: what sets them apart had no part in the weights "
                "that were kept, so nothing is known of the difference."
            )
    return faults


def faults_text(faults: Sequence[str]) -> str:
    """Return the faults for the terminal, a line each."""
    return "".join(f"Fault: {fault}\n" for fault in faults)
