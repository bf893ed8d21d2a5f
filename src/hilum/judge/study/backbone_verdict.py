"""Which network is worth its cost, by rule, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.tables import percent, range_text

__all__ = ["choose_backbone", "figure_of", "mark_frontier"]


def mark_frontier(rows: Sequence[dict[str, Any]]) -> None:
    """Set ``best`` of every row: no other network is as quick and has a higher AUROC (elsewhere where known)."""
    judged = [row for row in rows if not row["reason"]]
    for row in rows:
        row["best"] = row in judged and not any(
            other is not row
            and other["milliseconds"] <= row["milliseconds"]
            and figure_of(other)["value"] > figure_of(row)["value"]
            for other in judged
        )


def choose_backbone(rows: Sequence[Mapping[str, Any]], *, external: bool) -> dict[str, Any]:
    """Return {"network": name, "words": sentences}: the quickest network that is not surely worse than the leading one.

    Args:
        rows: With ``against_best`` and ``against_best_external``; those with a reason were not judged.
        external: Whether films of other sources decide.
    """
    judged = [row for row in rows if not row["reason"]]
    key = "against_best_external" if external else "against_best"
    leading = next(row for row in judged if row["against_best"] is None)
    rivals = [row for row in judged if row is leading or row[key]["verdict"] not in {"worse", "slightly worse"}]
    chosen = min(rivals, key=lambda row: (row["milliseconds"], row["minutes"]))
    where = "on films of other sources" if external else "in cross-validation"
    words = f"{_title(leading)} has the highest AUROC {where}: {_told(leading)}. "
    if chosen is leading:
        words += "No quicker network comes as near as these films can tell."
    else:
        words += (
            f"The quickest that is not surely worse is {_title(chosen)}: {_told(chosen)}, at "
            f"{chosen['milliseconds']:.1f} instead of {leading['milliseconds']:.1f} ms a film."
        )
    if lost := [row for row in rows if row["reason"]]:
        words += f" {len(lost)} of {len(rows)} networks were not judged; their rows say why."
    return {"network": chosen["name"], "leading": leading["name"], "words": words}


def figure_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the AUROC that decides: on films of other sources where there are any."""
    return (row["external"] or row["in_house"])["auroc"]


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['backbone']} at {row['size_px']} px, {row['start']}"


def _told(row: Mapping[str, Any]) -> str:
    return f"{percent(figure_of(row)['value'])} % ({range_text(figure_of(row))})"
