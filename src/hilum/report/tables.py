"""The report's tables: every part of the films, finding by finding, and who was taken for whom.

Numbers are written alike everywhere: per cent with one decimal, an interval as low–high, an undefined figure as a dash.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum.judge.parts import PARTS, headline_parts, judged_parts
from hilum.report import charts as plots
from hilum.text import escape, percent, range_text

__all__ = [
    "OVERALL",
    "PER_FINDING",
    "figures_section",
]

OVERALL = {"balanced_accuracy": "Balanced accuracy", "macro_f1": "Macro F1", "auroc_macro": "AUROC"}
PER_FINDING = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auroc": "AUROC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}


def figures_section(metrics: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the table of all parts, then for each its findings and its confusion matrix; empty of no film."""
    shown = judged_parts(metrics)
    if not shown:
        return ""
    floor = min((metrics[name] or {})["accuracy"]["low"] for name in shown)
    floor = min(int(floor * 10) / 10, 0.9)
    rows = []
    for order, name in enumerate(shown):
        figures = metrics[name] or {}
        accuracy = figures["accuracy"]
        strip = plots.strip(accuracy["value"], accuracy["low"], accuracy["high"], floor)
        cells = "".join(_cell(figures[figure]) for figure in OVERALL)
        rows.append(
            f'<tr{" class=first" if order == 0 else ""}><th scope="row">{PARTS[name][0]}</th><td>{figures["n"]}</td>'
            f"{_cell(accuracy)}<td>{strip}</td>{cells}<td>{percent(figures['ece'])}</td></tr>"
        )
    heads = "".join(f'<th scope="col">{name}</th>' for name in OVERALL.values())
    table = _scroll(
        "Figures of every part",
        '<table class="wide"><caption>Per cent, 95&nbsp;% intervals beneath. Two systems whose intervals overlap '
        'widely are not ranked by these films.</caption><thead><tr><th scope="col">Films</th><th scope="col">n</th>'
        f'<th scope="col">Accuracy</th><th scope="col">from {floor * 100:.0f} to 100</th>{heads}'
        f'<th scope="col">Calibration error</th></tr></thead><tbody>{"".join(rows)}</tbody></table>',
    )
    open_parts = headline_parts(metrics)
    blocks = []
    for name in shown:
        content = _finding_table(metrics[name] or {}, PARTS[name][0]) + _confusion(metrics[name] or {}, PARTS[name][0])
        blocks.append(
            f"<h3>{PARTS[name][0]}, finding by finding</h3>{content}"
            if name in open_parts
            else f'<details class="part"><summary>{PARTS[name][0]}: {PARTS[name][1]}</summary>{content}</details>'
        )
    return table + "".join(blocks)


def _finding_table(figures: Mapping[str, Any], part: str) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{values["n"]}</td>'
        + "".join(_cell(values[figure]) for figure in PER_FINDING)
        + f"<td>{percent(values['operating_threshold'])}</td></tr>"
        for name, values in figures["per_finding"].items()
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("n", *PER_FINDING.values(), "Threshold"))
    return _scroll(
        f"{part}, finding by finding",
        '<table class="wide"><caption>Per cent, 95&nbsp;% intervals beneath; n is the number of films with the '
        "finding. A dash: these films cannot give the figure.</caption>"
        f'<thead><tr><th scope="col">Finding</th>{heads}</tr></thead><tbody>{rows}</tbody></table>',
    )


def _confusion(figures: Mapping[str, Any], part: str) -> str:
    names = [escape(str(name)) for name in figures["confusion"]["findings"]]
    rows = []
    for index, (name, counts) in enumerate(zip(names, figures["confusion"]["counts"], strict=True)):
        total = sum(counts)
        cells = ""
        for column, count in enumerate(counts):
            kind = ("right" if column == index else "slip") if count else "none"
            share = f"<small>{percent(count / total)} %</small>" if total else ""
            cells += f'<td class="{kind}" style="--share:{count / max(total, 1):.3f}"><b>{count}</b>{share}</td>'
        rows.append(f'<tr><th scope="row">{name}</th>{cells}<td class="sum">{total}</td></tr>')
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    return _scroll(
        f"{part}, confusion matrix",
        '<table class="confusion"><caption>Confusion matrix. A row is the truth, a column the answer; per cent of the '
        f'row.</caption><thead><tr><th scope="col">Truth</th>{heads}<th scope="col">n</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>",
    )


def _cell(interval: Mapping[str, float | None]) -> str:
    limits = range_text(interval)
    return f"<td>{percent(interval['value'])}{f'<small>{limits}</small>' if limits else ''}</td>"


def _scroll(label: str, content: str) -> str:
    """Return wide content in a box that scrolls sideways, reachable by keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label, quote=True)}">{content}</div>'
