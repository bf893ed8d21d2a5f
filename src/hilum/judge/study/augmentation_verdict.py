"""Which augmentation policy is worth having, by rule, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.study.backbone_verdict import may_be_chosen
from hilum.judge.study.changes import verdict_words
from hilum.text import points, points_range

__all__ = ["choose_policy", "flip_words"]


def choose_policy(backbone: str, rows: Sequence[Mapping[str, Any]], default: str) -> dict[str, Any]:
    """Return {"policy": name or None, "words": sentences} for one backbone.

    A policy replaces the default only where it is better than the default (the whole interval above nothing) on films
    of other sources and no worse here; without other sources, where it is better here. Else the default stays. Where
    neither the default nor a better policy is above chance, nothing is recommended: networks that learned nothing say
    nothing of policies.

    Args:
        backbone: Its name.
        rows: One a policy: ``name``, ``title``, figures ``in_house`` and ``external``, ``against_default`` and
            ``against_none``, each {"in_house": change, "external": change or None}; the default's and none's own
            changes are None.
        default: The default policy's name.
    """
    standing = next((row for row in rows if row["name"] == default), None)
    words = [f"{backbone}:"]
    if standing is not None and standing["against_none"]["in_house"] is not None:
        told = [
            _told(standing["against_none"][part], where) for part, where in _PLACES if standing["against_none"][part]
        ]
        words.append(f"the default policy against none: {'; '.join(told)}.")
    better = []
    for row in rows:
        here, other = row["against_default"]["in_house"], row["against_default"]["external"]
        if here is None or not may_be_chosen(row):
            continue
        wins = here["verdict"] == "better" if other is None else other["verdict"] == "better"
        if wins and (other is None or here["verdict"] in {"better", "no worse", "open"}):
            decisive = other or here
            better.append((decisive["auroc"]["value"], row))
    if not better and standing is not None and not may_be_chosen(standing):
        words.append(
            "Nothing is recommended: with the default the network is not above chance, and no policy is better."
        )
        return {"policy": None, "words": " ".join(words)}
    if not better:
        words.append("No policy is better than the default beyond chance, so the default stays.")
        return {"policy": default, "words": " ".join(words)}
    _, best = max(better, key=lambda pair: pair[0])
    told = [_told(best["against_default"][part], where) for part, where in _PLACES if best["against_default"][part]]
    words.append(f"{best['title']} is better than the default: {'; '.join(told)}.")
    return {"policy": best["name"], "words": " ".join(words)}


def flip_words(change: Mapping[str, Any], where: str) -> str:
    """Return in a sentence whether mirroring films costs anything.

    Args:
        change: From the default without mirroring to the default.
        where: Which films.
    """
    if change.get("identical"):
        return f"Mirroring films had no part in it {where}: the answers with and without are the same."
    told = f"{points(change['auroc']['value'])} points ({points_range(change['auroc'])})"
    if change["verdict"] in {"better", "no worse"}:
        answer = "costs nothing" if change["verdict"] == "no worse" else "helps"
    elif change["verdict"] == "open":
        answer = "may or may not cost something"
    else:
        answer = "costs something"
    return f"Mirroring films {answer} {where}: {told} of AUROC."


_PLACES = (("in_house", "here"), ("external", "on other sources"))


def _told(change: Mapping[str, Any], where: str) -> str:
    auroc = change["auroc"]
    return f"{points(auroc['value'])} points ({points_range(auroc)}) {where}, {verdict_words(change)}"
