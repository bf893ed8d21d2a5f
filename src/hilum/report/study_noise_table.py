"""`hilum study noise` in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum.report.study_table import change_text, plain_table

__all__ = ["noise_text"]


def noise_text(figures: Mapping[str, Any], *, width: int | None = None) -> str:
    """Return the study's table and verdict, plain text.

    Args:
        figures: As study.json has them.
        width: Characters a line; the terminal's where not given.
    """
    doses = list(figures["doses"])
    heads = ["change in AUROC, points", *(f"{dose} dose" for dose in doses), "forced, clean", "edges %", "ms"]
    if figures["external"]:
        heads.insert(1 + len(doses), "elsewhere, medium")
    rows = []
    for row in figures["methods"][1:]:
        here, other = row["changes"]["in_house"], row["changes"]["external"]
        changes = [here[dose]["option"] for dose in doses]
        if other:
            changes.append(other["medium"]["option"])
        changes.append(here["clean"]["test_only"])
        rows.append(
            [
                row["title"],
                *(change_text(one) for one in changes),
                f"{100 * row['clean']['edges_kept']:.0f}",
                f"{row['milliseconds']:.1f}",
            ]
        )
    return f"{plain_table(heads, rows, width=width)}\n{figures['verdict']['words']}\n"
