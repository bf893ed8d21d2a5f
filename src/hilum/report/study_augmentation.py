"""The page and the table of `hilum study augmentation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.judge.study.changes import MARGIN
from hilum.judge.study.faults import faults_text
from hilum.report.markup import cell
from hilum.report.page import Section
from hilum.report.study_charts import change_plot
from hilum.report.study_parts import change_cell, films_section, picture, study_html, table
from hilum.report.study_table import change_text, plain_table
from hilum.text import escape, figure_text

__all__ = ["augmentation_page", "augmentation_text"]


def augmentation_page(figures: Mapping[str, Any], examples: Mapping[str, Sequence[NDArray[np.float32]]]) -> str:
    """Return the page from what study.json holds, and a few films as each policy changes them.

    Args:
        figures: As study.json has them.
        examples: Title of a policy to films (S, S) in [0, 1].
    """
    sections = []
    for backbone, part in figures["backbones"].items():
        told = f"<p>{escape(part['verdict']['words'])}</p>" if len(figures["backbones"]) > 1 else ""
        content = _backbone(part, elsewhere=bool(figures["external"])) + told
        sections.append(Section(backbone.lower(), backbone, content))
    shown = ""
    for title, films in examples.items():
        pictures = "".join(picture(film, f"{at + 1}") for at, film in enumerate(films))
        shown += f'<h3>{escape(title)}</h3><div class="tiles">{pictures}</div>'
    lede = '<p class="lede">The same films, as the network gets them in one epoch.</p>'
    sections.append(Section("pictures", "What the policies do", lede + shown))
    sections.append(films_section(figures, figures["remarks"]))
    return study_html(
        f"Augmentation on {figures['data']['name']}",
        figures["verdict"]["words"],
        sections,
        faults=figures.get("faults", ()),
    )


def augmentation_text(figures: Mapping[str, Any], *, width: int | None = None) -> str:
    """Return the study's tables and verdict, plain text."""
    text = ""
    for backbone, part in figures["backbones"].items():
        heads = [backbone, "accuracy", "macro-F1", "AUROC", "AUROC against none"]
        if figures["external"]:
            heads += ["AUROC elsewhere", "against none"]
        rows = []
        for row in part["policies"]:
            line = [row["title"], *(figure_text(row["in_house"][key]) for key in ("accuracy", "macro_f1", "auroc"))]
            line.append(change_text(row["against_none"]["in_house"]))
            if figures["external"]:
                line += [figure_text(row["external"]["auroc"]), change_text(row["against_none"]["external"])]
            rows.append(line)
        text += plain_table(heads, rows, width=width) + "\n"
    return f"{text}{faults_text(figures.get('faults', ()))}{figures['verdict']['words']}\n"


def _backbone(part: Mapping[str, Any], *, elsewhere: bool) -> str:
    places = [("in_house", "here"), *([("external", "on other sources")] if elsewhere else [])]
    plots = "".join(
        f"<figure><figcaption><b>Against no augmentation, {where}</b></figcaption>"
        + change_plot(
            [
                (row["title"], row["against_none"][place]["auroc"])
                for row in part["policies"]
                if row["against_none"][place]
            ],
            MARGIN,
            f"Change in AUROC of each policy against none, {where}.",
        )
        + "</figure>"
        for place, where in places
    )
    body = "".join(
        f'<tr><th scope="row">{escape(row["title"])}<small class="meaning">{escape(row["words"])}</small></th>'
        + "".join(cell(row["in_house"][key]) for key in ("accuracy", "macro_f1", "auroc"))
        + change_cell(row["against_default"]["in_house"])
        + (cell(row["external"]["auroc"]) + change_cell(row["against_default"]["external"]) if elsewhere else "")
        + f"<td>{row['minutes']:.1f}</td></tr>"
        for row in part["policies"]
    )
    heads = ["Policy", "Accuracy", "Macro-F1", "AUROC", "Against the default, points"]
    heads += ["AUROC elsewhere", "Against the default, points"] if elsewhere else []
    return f'<p class="lede">{escape(part["how"])}</p><div class="pair">{plots}</div>' + table(
        "Policies",
        (*heads, "Minutes"),
        body,
        "Per cent; intervals beneath. Minutes of processor time for all folds.",
    )
