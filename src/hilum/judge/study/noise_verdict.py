"""Which way of taking out noise is worth having, by rule, in words.

A method earns its place where it helps noisy films, costs clean ones nothing, keeps anatomy, feeds no shortcut, and can
be served everywhere. Every criterion is a number against a limit that was set before anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hilum.judge.chance import is_above_chance
from hilum.judge.study.changes import MARGIN

__all__ = ["CRITERIA", "Criterion", "choose_method", "judge_method"]

_LEAST_EDGES = 0.9
_LEAST_SHARPNESS = 0.6  # of the noisy edge's own
_MOST_LIKENESS = 0.3
_MOST_MILLISECONDS = 10.0
_NOISY = ("high", "medium", "low")


@dataclass(frozen=True)
class Criterion:
    """One demand on a method.

    Attributes:
        key: As study.json has it.
        words: What is demanded.
    """

    key: str
    words: str


CRITERIA = (
    Criterion("clean", "as an option, clean films are answered no worse (one point of AUROC), here and elsewhere"),
    Criterion("helps", "at one dose or more, noisy films are answered better here, and no worse elsewhere"),
    Criterion("never harms", "at no dose are noisy films answered worse"),
    Criterion("edges", "nine tenths of a clean film's edges are kept"),
    Criterion("sharpness", "MTF50 of a noisy edge stays above six tenths"),
    Criterion("ribs", "ribs stand out from lung and noise more than without it"),
    Criterion("residual", "what is taken out does not look like anatomy (likeness at most 0.3)"),
    Criterion("shortcuts", "the whole film's lead over its border does not surely fall"),
    Criterion("served", "it needs only the core dependencies, and at most 10 ms of a core a film"),
)


def judge_method(row: Mapping[str, Any], none: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"criteria": {key: bool}, "gain": mean change of AUROC on noisy films, "words": a sentence}.

    Args:
        row: A method's figures, as study.json has them.
        none: Those of no method.
    """
    here, elsewhere = row["changes"]["in_house"], row["changes"]["external"] or {}
    noisy = {dose: here[dose]["option"] for dose in _NOISY if dose in here}
    outside = [elsewhere[dose]["option"] for dose in _NOISY if dose in elsewhere]
    clean = [part["clean"]["option"] for part in (here, elsewhere) if part]
    excess = row["shortcuts"]["change"]
    criteria = {
        "clean": all(_above(change["auroc"], -MARGIN) for change in clean),
        "helps": any(_above(change["auroc"], 0.0) for change in noisy.values())
        and all(_above(change["auroc"], -MARGIN) for change in outside),
        "never harms": not any(
            change["verdict"] in {"worse", "slightly worse"} for change in [*noisy.values(), *outside]
        ),
        "edges": row["clean"]["edges_kept"] >= _LEAST_EDGES,
        "sharpness": row["structure"]["mtf50"] >= _LEAST_SHARPNESS * none["structure"]["mtf50"],
        "ribs": row["structure"]["rib_contrast"] > none["structure"]["rib_contrast"],
        "residual": row["residual_likeness"] <= _MOST_LIKENESS,
        "shortcuts": excess["high"] is None or excess["high"] >= 0,
        "served": row["served"] and row["milliseconds"] <= _MOST_MILLISECONDS,
    }
    gain = sum(change["auroc"]["value"] or 0.0 for change in noisy.values()) / max(len(noisy), 1)
    failed = [one.words for one in CRITERIA if not criteria[one.key]]
    words = "It meets every demand." if not failed else f"Not met: {'; '.join(failed)}."
    return {"criteria": criteria, "gain": gain, "words": words}


def choose_method(rows: Sequence[Mapping[str, Any]], share_noisy: Mapping[str, float]) -> dict[str, Any]:
    """Return {"method": name or "none", "default": the same for a setting, "words": sentences}.

    The method is the one that meets every demand with the largest mean gain on noisy films. It is switched on by
    default only where a twentieth of these films are noisy at all: elsewhere it changes nothing but the time taken.

    Args:
        rows: All methods' figures with their ``verdict``; the first is none.
        share_noisy: By set of films, the share of those that the option would touch as they are.
    """
    fit = [row for row in rows[1:] if row["kind"] == "denoise" and all(row["verdict"]["criteria"].values())]
    touched = max(share_noisy.values(), default=0.0)
    shares = ", ".join(f"{100 * share:.1f} % of {name}" for name, share in share_noisy.items())
    if places := _at_chance(rows[0]):
        words = (
            f"Nothing is recommended: the classifier is not above chance on clean films {' and '.join(places)}, so "
            "what noise and its removal do to it says nothing."
        )
        return {"method": "none", "default": "none", "words": words}
    if not fit:
        near = max(
            (row for row in rows[1:] if row["kind"] == "denoise"),
            key=lambda row: (sum(row["verdict"]["criteria"].values()), row["verdict"]["gain"]),
            default=None,
        )
        words = "No method meets every demand, so none is recommended and the setting stays `none`."
        if near:
            words += f" The nearest is {near['title'].lower()}. {near['verdict']['words']}"
        return {"method": "none", "default": "none", "words": words}
    best = max(fit, key=lambda row: row["verdict"]["gain"])
    default = best["name"] if touched >= 0.05 else "none"
    words = (
        f"{best['title']} meets every demand and gains most on noisy films: {100 * best['verdict']['gain']:+.1f} "
        f"points of AUROC on average over the doses. As an option it acts on films in which noise is found: {shares}. "
    )
    words += (
        f'So `preprocessing.denoise = "{best["name"]}"` is recommended.'
        if default != "none"
        else f'These films are clean, so the setting stays `none`; set `preprocessing.denoise = "{best["name"]}"` '
        "where films are noisy."
    )
    return {"method": best["name"], "default": default, "words": words}


def _above(interval: Mapping[str, float | None], limit: float) -> bool:
    return interval["low"] is not None and interval["low"] > limit


def _at_chance(none: Mapping[str, Any]) -> list[str]:
    """Return where the classifier of all methods is not above chance on clean films without noise taken out."""
    places = (("in_house", "here"), ("external", "on other sources"))
    parts = [(none["changes"][key] or {}, words) for key, words in places]
    figures = [(part.get("clean", {}).get("figures"), words) for part, words in parts]
    return [words for one, words in figures if one and not is_above_chance(one)]
