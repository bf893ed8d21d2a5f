"""The report's section on heat maps: how much of them lies in the lungs, and whether they point at what counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum.report import charts as plots
from hilum.report.markup import brackets, cell, headings, plain_cell, scroll, signed_cell
from hilum.text import escape, percent, points, points_range, range_text

__all__ = ["heatmaps_html"]

_ORDERS = {"heatmap": "Heat map", "centre": "From the centre", "random": "At random"}
_ALIKE = 0.5  # a rank correlation: maps that are less alike than this have changed
Interval = Mapping[str, float | None]


def heatmaps_html(figures: Mapping[str, Any]) -> str:
    """Return the content of the section from the figures of shortcuts.json; names of findings are escaped."""
    return _mass(figures) + _order(figures) + _sanity(figures)


def _mass(figures: Mapping[str, Any]) -> str:
    heatmap = figures["heatmap"]
    named = [("All films", heatmap["all"]), ("Right answers", heatmap["right"]), ("Wrong answers", heatmap["wrong"])]
    named += [(f"Answered {name}", row) for name, row in heatmap["per_finding"].items()]
    rows = "".join(
        f'<tr{" class=first" if name == "All films" else ""}><th scope="row">{escape(name)}</th><td>{row["n"]}</td>'
        f"{cell(row['in_lungs'])}<td>{percent(row['even']['value'])}</td>{signed_cell(row['excess'])}</tr>"
        for name, row in named
    )
    heads = headings(
        "Heat maps of the finding answered", "n", "Inside the lungs", "An even map", "More than even, points"
    )
    return (
        '<p class="lede">A heat map shows where the evidence lies, not why it counts. Maps mostly outside the lungs '
        f"speak against a model; maps inside them do not prove it right. {_lying(heatmap['all']['excess'])}</p>"
        + scroll(
            "Share of heat maps inside the lungs",
            f'<table class="wide"><caption>Share of the heat inside the lungs, per cent of each film, beside the '
            "share that an even map would have (the lungs' area). Lungs are found by a small network; of lungs "
            "that are white it may miss a part.</caption>"
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>",
        )
    )


def _lying(excess: Interval) -> str:
    """Return in a sentence how the maps lie to the lungs, as far as the interval can tell."""
    if excess["low"] is None or excess["high"] is None:
        return "No film has a map to look at."
    if excess["low"] > 0:
        return "These lie in the lungs more than an even map would."
    if excess["high"] < 0:
        return "These lie in the lungs less than an even map would."
    return "These lie in the lungs no more and no less than an even map would, as far as the films can tell."


def _order(figures: Mapping[str, Any]) -> str:
    order, num = figures["order"], figures["films"]["faithfulness"]
    panels = []
    for name, heading, better in (
        ("deletion", "Deletion", "lower is better"),
        ("insertion", "Insertion", "higher is better"),
    ):
        part = order[name]
        area = percent(part["area"]["heatmap"]["value"])
        drawn = plots.order_plot(
            order["fractions"], part["curves"], f"{heading}: area under the heat map's curve {area} %."
        )
        gains = ", ".join(
            f"{points(part['gain'][key]['value'])} {brackets(points_range(part['gain'][key]))} {words}"
            for key, words in (("random", "against a random order"), ("centre", "against the centre"))
        )
        areas = ", ".join(
            f"{_ORDERS[key].lower()} {percent(part['area'][key]['value'])}" for key in ("random", "centre")
        )
        panels.append(
            f"<figure><figcaption><b>{heading}</b> · area {area} {brackets(range_text(part['area']['heatmap']))}, "
            f"{better}; {areas}</figcaption>{drawn}"
            f"<figcaption>Points gained by the map: {gains}.</figcaption></figure>"
        )
    keys = (
        '<span><i class="key"></i>In the order of the heat map</span><span><i class="key dotted"></i>From the centre '
        'outwards</span><span><i class="key second"></i>At random</span>'
    )
    return (
        '<h3>Deletion and insertion</h3><p class="fine">How sure the model stays of its answer as the film is taken '
        f"away, and becomes as a blurred film is made sharp ({num} films). A map that points at what the answer "
        "rests on makes the first curve fall and the second rise sooner than either baseline.</p>"
        f'<p class="fine keys">{keys}</p><div class="pair">{"".join(panels)}</div>'
    )


def _sanity(figures: Mapping[str, Any]) -> str:
    sanity, num = figures["sanity"], figures["films"]["sanity"]
    rows = "".join(
        f'<tr><th scope="row">{stage["layers"]} of {sanity["layers"]} layers shuffled</th>'
        f"{plain_cell(stage['spearman'])}{plain_cell(stage['ssim'])}</tr>"
        for stage in sanity["stages"]
    )
    other, last = sanity["other_films"], sanity["stages"][-1]["spearman"]["high"]
    changed = last is not None and last < _ALIKE
    verdict = (
        "They do change: the maps depend on what was learnt."
        if changed
        else "They hardly change, if at all: do not read these maps."
    )
    rows += (
        f'<tr class="chance"><th scope="row">Another film, same model</th>{plain_cell(other["spearman"])}'
        f"{plain_cell(other['ssim'])}</tr>"
    )
    return "<h3>Shuffled weights</h3>" + scroll(
        "Likeness of heat maps after shuffling weights",
        f"<table><caption>How alike the heat maps of {num} films stay when the weights of the last layers are "
        "shuffled: 1 is the same map, 0 has nothing in common with it. If the likeness did not fall, the maps would "
        f"show the film and not what was learnt. {verdict}</caption>"
        f"<thead><tr>{headings('Weights', 'Rank correlation', 'SSIM')}</tr></thead><tbody>{rows}</tbody></table>",
    )
