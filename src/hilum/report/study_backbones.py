"""The page and the table of `hilum study backbones`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.study.backbone_verdict import figure_of
from hilum.judge.study.faults import faults_text
from hilum.report.markup import cell
from hilum.report.page import Section
from hilum.report.study_charts import CostPoint, cost_plot
from hilum.report.study_parts import change_cell, films_section, study_html, table
from hilum.report.study_table import plain_table
from hilum.text import escape, figure_text

__all__ = ["backbone_page", "backbone_text"]

_SHORT = {"frozen": "frozen", "fine-tuned": "tuned", "from scratch": "scratch"}


def backbone_page(figures: Mapping[str, Any]) -> str:
    """Return the page from what study.json holds."""
    sections = [
        Section("cost", "What accuracy costs", _cost(figures)),
        Section("networks", "The networks", _networks(figures)),
        films_section(figures, figures["remarks"]),
    ]
    return study_html(
        f"Backbones on {figures['data']['name']}",
        figures["verdict"]["words"],
        sections,
        faults=figures.get("faults", ()),
    )


def backbone_text(figures: Mapping[str, Any], *, width: int | None = None) -> str:
    """Return the study's table and verdict, plain text."""
    heads = ["network", "accuracy", "macro-F1", "AUROC"]
    heads += ["AUROC elsewhere"] if figures["external"] else []
    heads += ["weights, M", "MB", "minutes", "ms a film"]
    rows, reasons = [], []
    for row in figures["networks"]:
        name = f"{row['backbone']} {row['size_px']} px {row['start']}"
        if row["reason"]:
            reasons.append(f"{name}: {row['reason']}")
            continue
        line = [name, *(figure_text(row["in_house"][key]) for key in ("accuracy", "macro_f1", "auroc"))]
        if figures["external"]:
            line.append(figure_text(row["external"]["auroc"]))
        rows.append([*line, *_costs(row)])
    told = "".join(f"{one}\n" for one in reasons)
    told += f"\n{faults_text(figures.get('faults', ()))}"
    return f"{plain_table(heads, rows, width=width)}{told}{figures['verdict']['words']}\n"


def _judged(figures: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [row for row in figures["networks"] if not row["reason"]]


def _cost(figures: Mapping[str, Any]) -> str:
    points = [
        CostPoint(
            f"{row['backbone']} {row['size_px']} {_SHORT[row['start']]}",
            row["milliseconds"],
            figure_of(row),
            row["best"],
        )
        for row in _judged(figures)
    ]
    where = "on films of other sources" if figures["external"] else "in cross-validation"
    figure = cost_plot(points, "Milliseconds of one core a film", "AUROC", f"AUROC {where} over milliseconds a film.")
    return (
        f'<p class="lede">AUROC {where} over the time a film takes. Full dots, joined: no other network is as '
        f"quick and better. Lines are 95 % intervals.</p><figure>{figure}</figure>"
    )


def _networks(figures: Mapping[str, Any]) -> str:
    elsewhere, body = bool(figures["external"]), ""
    for row in figures["networks"]:
        name = (
            f'<th scope="row">{escape(row["backbone"])}<small class="meaning">{row["size_px"]} px, '
            f"{escape(row['start'])}</small></th>"
        )
        if row["reason"]:
            body += f'<tr>{name}<td colspan="{10 if elsewhere else 8}">{escape(row["reason"])}</td></tr>'
            continue
        cells = "".join(cell(row["in_house"][key]) for key in ("accuracy", "macro_f1", "auroc"))
        cells += change_cell(row["against_best"])
        if elsewhere:
            cells += cell(row["external"]["auroc"]) + change_cell(row["against_best_external"])
        costs = "".join(f"<td>{one}</td>" for one in _costs(row))
        body += f"<tr{' class=first' if row['best'] else ''}>{name}{cells}{costs}</tr>"
    heads = ["Network", "Accuracy", "Macro-F1", "AUROC", "Against the leading one"]
    heads += ["AUROC elsewhere", "Against the leading one"] if elsewhere else []
    return table(
        "Networks",
        (*heads, "Weights, millions", "MB", "Minutes", "ms a film"),
        body,
        "Per cent, changes in points, intervals beneath. Minutes of processor time for all folds.",
    )


def _costs(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['num_weights'] / 1e6:.2f}",
        f"{row['megabytes']:.1f}",
        f"{row['minutes']:.1f}",
        f"{row['milliseconds']:.1f}",
    ]
