"""Which network is worth its cost, by rule, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.chance import is_above_chance
from hilum.text import percent, range_text

__all__ = ["choose_backbone", "figure_of", "mark_frontier", "may_be_chosen"]


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
    """Return {"network": name or None, "leading": name, "words": sentences}: the quickest as good as the leading one.

    Only networks that may be recommended take part: above chance in cross-validation and, where there are any, on films
    of other sources, and with weights that were learned. A rival must not be surely worse on films of other sources,
    nor worse by more than a point in cross-validation: a wide interval of few foreign films alone excuses nothing.

    Args:
        rows: With ``against_best`` and ``against_best_external``; those with a reason were not judged.
        external: Whether films of other sources decide.
    """
    judged = [row for row in rows if not row["reason"]]
    leading = next(row for row in judged if row["against_best"] is None)
    where = "on films of other sources" if external else "in cross-validation"
    words = f"{_title(leading)} has the highest AUROC {where}: {_told(leading)}. "
    chosen = None
    if may_be_chosen(leading):
        key = "against_best_external" if external else "against_best"
        rivals = [
            row
            for row in judged
            if row is leading
            or (
                may_be_chosen(row)
                and row[key]["verdict"] not in {"worse", "slightly worse"}
                and row["against_best"]["verdict"] != "worse"
            )
        ]
        chosen = min(rivals, key=lambda row: (row["milliseconds"], row["minutes"]))
    if chosen is None:
        words += "No network is recommended: none is above chance"
        words += " both in cross-validation and on films of other sources." if external else " in cross-validation."
    elif chosen is leading:
        words += "No quicker network comes as near as these films can tell."
    else:
        words += (
            f"The quickest that is not surely worse is {_title(chosen)}: {_told(chosen)}, at "
            f"{chosen['milliseconds']:.1f} instead of {leading['milliseconds']:.1f} ms a film."
        )
    if lost := [row for row in rows if row["reason"]]:
        words += f" Not judged: {len(lost)} of {len(rows)} networks; the table says why."
    return {"network": chosen["name"] if chosen else None, "leading": leading["name"], "words": words}


def may_be_chosen(row: Mapping[str, Any]) -> bool:
    """Return whether a network may be recommended: above chance wherever it was judged, with weights it learned."""
    parts = (row.get("in_house"), row.get("external"))
    return all(is_above_chance(part) for part in parts if part) and not row.get("kept_random")


def figure_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the AUROC that decides: on films of other sources where there are any."""
    return (row["external"] or row["in_house"])["auroc"]


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['backbone']} at {row['size_px']} px, {row['start']}"


def _told(row: Mapping[str, Any]) -> str:
    return f"{percent(figure_of(row)['value'])} % ({range_text(figure_of(row))})"
