"""What the pages of all studies share: the films and how they were judged, changes as cells, pictures side by side."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.judge.study.changes import verdict_words
from hilum.report.markup import scroll
from hilum.report.page import Section, html_page
from hilum.text import escape, points, points_range

__all__ = ["change_cell", "films_section", "picture", "study_html", "table"]


def study_html(title: str, verdict: str, sections: Sequence[Section], *, faults: Sequence[str] = ()) -> str:
    """Return the page of a study.

    Args:
        title: Its heading, plain text.
        verdict: Its verdict, plain text.
        sections: Its content.
        faults: What makes its comparisons worthless, plain sentences.
    """
    listed = "".join(
        f'<li class="error"><span class="severity">Fault</span><div>{escape(fault)}</div></li>' for fault in faults
    )
    opening = f'<section aria-label="Verdict"><p>{escape(verdict)}</p></section>'
    if listed:
        opening = f'<section id="faults" aria-label="Faults"><ul class="faults">{listed}</ul></section>{opening}'
    footer = (
        "Intervals are 95 %: of changes in AUROC by DeLong's method with groups, else by a bootstrap of groups. They "
        "are not adjusted for their number: of twenty, one misses by chance."
    )
    return html_page(title, "hilum study", opening, sections, styles=("report.css",), footer=footer)


def films_section(figures: Mapping[str, Any], remarks: Sequence[str]) -> Section:
    """Return which films were judged, and how.

    Args:
        figures: As study.json has them.
        remarks: Plain sentences of this study alone.
    """
    data, other = figures["data"], figures["external"]
    rows = [
        (f"{data['name']}, training part", data, f"cross-validation in {figures['folds']} folds by groups"),
    ]
    if other:
        left = other["left_out"]
        out = [
            f"{left['other_findings']} of other findings" if left["other_findings"] else "",
            f"{left['twins']} that the study's films hold too" if left["twins"] else "",
        ]
        words = " and ".join(one for one in out if one)
        told = "answered by the mean of the folds' networks" + (f"; left out: {words}" if words else "")
        rows.append((f"{other['name']}, other sources", other, told))
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{part["n"]}</td><td>{part["groups"]}</td>'
        f"<td>{escape(', '.join(f'{finding} {count}' for finding, count in part['findings'].items()))}</td>"
        f"<td>{escape(how)}</td></tr>"
        for name, part, how in rows
    )
    notes = "".join(f"<li>{escape(one)}</li>" for one in remarks)
    return Section(
        "films",
        "Films, and how they were judged",
        table("Films", ("Films", "n", "Groups", "Findings", "Judged by"), body) + f'<ul class="notes">{notes}</ul>',
    )


def change_cell(change: Mapping[str, Any] | None) -> str:
    """Return a table cell with a change in AUROC, in points, its interval and its verdict; a dash for none."""
    if change is None:
        return "<td>–</td>"
    auroc = change["auroc"]
    return (
        f"<td>{points(auroc['value'])}<small>{points_range(auroc)}</small>"
        f"<small>{escape(verdict_words(change))}</small></td>"
    )


def table(label: str, heads: Sequence[str], body: str, caption: str = "") -> str:
    """Return a table in a box that scrolls sideways.

    Args:
        label: What it is, for those who cannot see.
        heads: Plain text.
        body: Rows, as HTML.
        caption: Plain text.
    """
    cells = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return scroll(label, f'<table class="wide">{told}<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>')


def picture(film: NDArray[np.float32], name: str, words: str = "") -> str:
    """Return a film (S, S) in [0, 1] as a figure with its name beneath.

    Args:
        film: The film.
        name: Plain text.
        words: Plain text beside it.
    """
    grey = np.rint(np.clip(film, 0, 1) * 255).astype(np.uint8)
    data = base64.b64encode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{escape(name, quote=True)}">'
        f"<figcaption><b>{escape(name)}</b> {escape(words)}</figcaption></figure>"
    )
