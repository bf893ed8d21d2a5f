"""The report's sections on shortcuts: what the score rests on, where heat maps look, what breaks it, and for whom."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.judge.shortcuts.measure import Example, Shortcuts
from hilum.judge.shortcuts.occlusion import CUES
from hilum.judge.shortcuts.robustness import DAMAGES
from hilum.report import charts as plots
from hilum.report.heatmaps import heatmaps_html
from hilum.report.markup import cell, headings, scroll, signed_cell
from hilum.report.page import Section
from hilum.text import escape, percent, points, points_range, range_text

__all__ = ["shortcuts_sections", "summary_line"]

_EXAMPLE_PX = 144
_SHOWN_CUES = 7  # the blackened films look like the hidden ones
Interval = Mapping[str, float | None]


def shortcuts_sections(shortcuts: Shortcuts) -> tuple[Section, ...]:
    """Return the four sections for the report; everything in them that comes from the data is escaped."""
    figures = shortcuts.figures
    return (
        Section("shortcuts", "What the score rests on", _cues(figures) + _examples(shortcuts.examples)),
        Section("heatmaps", "Where the heat maps look", heatmaps_html(figures)),
        Section("robustness", "Worse films", _robustness(figures)),
        Section("subgroups", "Subgroups", _subgroups(figures)),
    )


def summary_line(figures: Mapping[str, Any]) -> str:
    """Return one line that says what the score rests on, for the terminal."""
    cues = figures["cues"]
    parts = (("whole", "whole film"), ("lungs_hidden", "lungs hidden"), ("border_only", "border only"))
    ranked = ", ".join(f"{name} {percent(cues[key]['auroc_macro']['value'])} %" for key, name in parts)
    right = ", ".join(f"{name} {percent(cues[key]['accuracy']['value'])} %" for key, name in parts)
    return (
        f"Shortcuts, {figures['films']['cues']} films. {figures['verdict']['words']} AUROC: {ranked}, chance 50.0 %; "
        f"whole film over border {_lead(figures['auroc_excess_over_border'])}. Right answers: {right}, chance "
        f"{percent(figures['chance']['accuracy'])} %; whole film over border {_lead(figures['excess_over_border'])}."
    )


def _lead(difference: Interval) -> str:
    limits = points_range(difference)
    return f"{points(difference['value'])} points" + (f" (95 % interval {limits})" if limits else "")


# --- what the score rests on ----------------------------------------------------------------------------------------


def _cues(figures: Mapping[str, Any]) -> str:
    cues, chance, num = figures["cues"], figures["chance"], figures["films"]["cues"]
    ranked, excess, hidden = figures["auroc_excess_over_border"], figures["excess_over_border"], cues["lungs_hidden"]
    headline = (
        '<div class="headline"><div class="first"><h3>Whole film over its border</h3>'
        f'<p class="numeral">{points(ranked["value"])}<span class="unit">points of AUROC</span></p>'
        f'<p class="said">95 % interval {points_range(ranked) or "not known"}, {num} films; in right answers '
        f"{_lead(excess)}</p>"
        '<p class="lede">What the whole film adds to its outermost frame, which holds '
        f"{percent(figures['lung_in_border']['value'])} % of the lungs: the part of the score that what stands at the "
        "border does not explain.</p></div>"
        '<div class="second"><h3>AUROC with the lungs hidden</h3>'
        f'<p class="numeral">{percent(hidden["auroc_macro"]["value"])}<span class="unit">%</span></p>'
        f'<p class="said">95 % interval {range_text(hidden["auroc_macro"])}; chance 50.0 %; right answers '
        f"{percent(hidden['accuracy']['value'])} %, chance {percent(chance['accuracy'])} %</p>"
        '<p class="lede">Where disease cannot be seen, what still ranks films has been read off something else.</p>'
        "</div></div>"
    )
    lows = [row["accuracy"]["low"] for row in cues.values()]
    floor = int(min(*lows, chance["accuracy"]) * 10) / 10
    rows = []
    for cue in CUES:
        row = cues[cue.key]
        accuracy = row["accuracy"]
        strip = plots.strip(accuracy["value"], accuracy["low"], accuracy["high"], floor, chance["accuracy"])
        more, ranked_more = (
            "<td>–</td>" if cue.key == "whole" else signed_cell(row[key]) for key in ("excess", "auroc_excess")
        )
        rows.append(
            f'<tr{" class=first" if cue.key == "whole" else ""}><th scope="row">{cue.name}'
            f'<small class="meaning more">{cue.meaning}</small></th>{cell(row["auroc_macro"])}'
            f"{ranked_more}{cell(accuracy)}{more}<td>{strip}</td>{cell(row['as_answered']['accuracy'])}</tr>"
        )
    rows.append(
        '<tr class="chance"><th scope="row">Chance<small class="meaning more">always the most frequent finding</small>'
        f"</th><td>{percent(chance['auroc_macro'])}</td><td></td><td>{percent(chance['accuracy'])}</td><td></td>"
        f"<td></td><td>{percent(chance['accuracy'])}</td></tr>"
    )
    added = "Whole film adds, points"
    heads = headings("What the model is shown", "AUROC", added, "Accuracy", added, f"from {floor * 100:.0f} to 100")
    table = scroll(
        "Scores with parts of the film hidden",
        f'<table class="wide"><caption>{num} films{_sampled(figures, "cues")}, per cent, 95&nbsp;% intervals beneath; '
        "the tick on each line is chance.</caption>"
        f"<thead><tr>{heads}{headings('As answered')}</tr></thead><tbody>{''.join(rows)}</tbody></table>",
    )
    reading = (
        '<p class="fine">Hiding a part pushes all answers the same way, often to one finding. That tells no film from '
        "another, so it is taken out before answers are counted, and findings that no film here shows are left out; "
        "the last column leaves both in. The verdict goes by the AUROC, which no such push can move. The model is not "
        "trained anew: a low score may only mean that it was never shown half a film; a high one is a shortcut.</p>"
    )
    return f"{_verdict(figures)}{headline}{table}{reading}"


def _verdict(figures: Mapping[str, Any]) -> str:
    return f'<p class="lede">{escape(figures["verdict"]["words"])}</p>'


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    rows = []
    for example in examples:
        tiles = []
        for cue, film, (finding, probability) in list(zip(CUES, example.films, example.answers, strict=True))[
            :_SHOWN_CUES
        ]:
            right = "right" if finding == example.finding else "wrong"
            said = f"{finding} {percent(probability)} %"
            tiles.append(
                f'<figure class="{right}">{_image(film, f"{cue.name}: {said}")}<figcaption>{cue.name}'
                f"<b>{escape(said)}</b></figcaption></figure>"
            )
        rows.append(
            f'<h4>{escape(example.finding)} <span class="path">{escape(example.path)}</span></h4>'
            f'<div class="tiles">{"".join(tiles)}</div>'
        )
    return (
        '<h3>What the network is shown</h3><p class="fine">The first film of each finding after preprocessing, and the '
        f"answer as given; wrong ones are underlined.</p>{''.join(rows)}"
    )


# --- worse films ----------------------------------------------------------------------------------------------------


def _robustness(figures: Mapping[str, Any]) -> str:
    robustness = figures["robustness"]
    undamaged, chance = robustness["undamaged"], robustness["chance"]["accuracy"]
    panels, rows = [], []
    for damage in DAMAGES:
        row = robustness["damages"][damage.key]
        names = [f"{strength:g}" for strength in row["strengths"]]
        ticks = [*names[: damage.place], damage.undamaged, *names[damage.place :]]
        curves = {}
        for figure in ("accuracy", "auroc_macro"):
            values = row[figure]
            curves[figure] = [*values[: damage.place], undamaged[figure], *values[damage.place :]]
        worst = min(row["accuracy"], key=lambda one: one["value"])["value"]
        panels.append(
            f"<figure><figcaption><b>{damage.name}</b> · {damage.unit}</figcaption>"
            + plots.damage_plot(
                ticks,
                curves["accuracy"],
                curves["auroc_macro"],
                chance,
                f"Accuracy under {damage.name.lower()}: {percent(undamaged['accuracy']['value'])} % undamaged, "
                f"{percent(worst)} % at worst.",
            )
            + "</figure>"
        )
        cells = "".join(
            f"<tr><td>{tick}</td>{cell(accuracy)}{cell(auroc)}</tr>"
            for tick, accuracy, auroc in zip(ticks, curves["accuracy"], curves["auroc_macro"], strict=True)
        )
        rows.append(
            f'<tbody><tr class="group"><th scope="rowgroup" colspan="3">{damage.name}, {damage.unit}</th></tr>'
            f"{cells}</tbody>"
        )
    num = figures["films"]["robustness"]
    table = scroll(
        "Scores on damaged films",
        f"<table><thead><tr>{headings('Strength', 'Accuracy', 'AUROC')}</tr></thead>{''.join(rows)}</table>",
    )
    keys = (
        '<span><i class="key"></i>Accuracy, 95&nbsp;% interval</span><span><i class="key second"></i>AUROC</span>'
        '<span><i class="key guide"></i>Chance</span>'
    )
    return (
        f'<p class="lede">The same {num} films{_sampled(figures, "robustness")}, made worse before preprocessing. '
        "A pixel is one of the film reduced to the network's input size.</p>"
        f'<p class="fine keys">{keys}</p><div class="multiples">{"".join(panels)}</div>'
        f'<details class="part"><summary>The figures</summary>{table}</details>'
    )


# --- subgroups ------------------------------------------------------------------------------------------------------


def _subgroups(figures: Mapping[str, Any]) -> str:
    bodies, alone = [], False
    for column, rows in figures["subgroups"].items():
        lines = []
        for row in rows:
            held = " · ".join(f"{escape(name)} {count}" for name, count in row["findings"].items())
            small = '<small class="meaning">small group</small>' if row["small"] else ""
            alone = alone or (len(row["findings"]) == 1 and len(rows) > 1)
            lines.append(
                f'<tr><th scope="row">{escape(row["value"])}{small}</th><td>{row["n"]}</td>{cell(row["accuracy"])}'
                f'{cell(row["auroc_macro"])}<td class="words">{held}</td></tr>'
            )
        bodies.append(
            '<tbody><tr class="group"><th scope="rowgroup" colspan="5">'
            f"{escape(column[:1].upper() + column[1:])}</th></tr>"
            f"{''.join(lines)}</tbody>"
        )
    warning = (
        '<p class="lede">Some groups hold one finding only: there, whatever tells the group tells the finding.</p>'
        if alone
        else ""
    )
    heads = headings("Group", "n", "Accuracy", "AUROC") + '<th scope="col" class="words">Findings</th>'
    return warning + scroll(
        "Figures of subgroups",
        f'<table class="wide"><caption>Per cent, 95&nbsp;% intervals beneath; all {figures["films"]["judged"]} films. '
        "Groups below 30 films are small: their figures rank nothing.</caption>"
        f"<thead><tr>{heads}</tr></thead>{''.join(bodies)}</table>",
    )


# --- small parts ----------------------------------------------------------------------------------------------------


def _sampled(figures: Mapping[str, Any], part: str) -> str:
    judged = figures["films"]["judged"]
    return f" drawn at random from {judged}" if figures["films"][part] < judged else ""


def _image(film: NDArray[np.float32], words: str) -> str:
    side = min(_EXAMPLE_PX, film.shape[0])
    small = cv2.resize(film, (side, side), interpolation=cv2.INTER_AREA)
    png = cv2.imencode(".png", np.rint(small * 255).astype(np.uint8))[1].tobytes()
    return (
        f'<img alt="{escape(words, quote=True)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'
    )
