"""A comparison shown: a table for the terminal, a page for the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hilum.errors import InputError
from hilum.figures import json_file_text
from hilum.files import replace_files
from hilum.judge.compare.runs import p_text
from hilum.judge.parts import PARTS
from hilum.report.page import Section, html_page
from hilum.results import ResultFolder
from hilum.text import escape, percent, printable

__all__ = ["comparison_page", "comparison_text", "write_comparison"]

_FOLDER = ResultFolder(
    of="comparison",
    finished="an earlier comparison; it was",
    files=("compare.json", "compare.html"),
    marks={"compare.json": frozenset({"first", "second", "parts"})},
)
_FIGURES = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "auroc_macro": "AUROC"}
_TESTS = {"accuracy": "McNemar", "auroc_macro": "DeLong"}
_EXPLANATION = (
    "The same films, judged by both; the difference is second minus first, in points. Intervals are 95 %, of a "
    "bootstrap over groups, for AUROC by DeLong's method with groups. The p-values are two-sided and not adjusted for "
    "their number. A difference in accuracy counts where McNemar's test and the interval agree."
)


def comparison_text(result: Mapping[str, Any], *, width: int | None = None) -> str:
    """Return the comparison as a table with its verdicts, plain text.

    Args:
        result: What compare_runs returned.
        width: Characters a line; the terminal's where not given.
    """
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    for part, compared in result["parts"].items():
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=None)
        heads = (f"{PARTS[part][0]}, {_films(compared)}", result["first"], result["second"])
        for order, head in enumerate((*heads, "difference", "95 % interval", "p")):
            table.add_column(Text(printable(head)), justify="right" if order else "left")
        for row in _rows(compared):
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)
        console.print(Text(printable(compared["verdict"])), soft_wrap=width is not None)
    for note in result["notes"]:
        console.print(Text(printable(note)), soft_wrap=width is not None)
    text = "Per cent; the difference is second minus first, in points.\n"
    text += console.file.getvalue().strip("\n")  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def comparison_page(result: Mapping[str, Any]) -> str:
    """Return the comparison as one self-contained HTML page; all names are escaped."""
    sections = []
    for part, compared in result["parts"].items():
        heads = "".join(
            f'<th scope="col">{escape(str(head))}</th>'
            for head in ("Figure", result["first"], result["second"], "Difference", "95 % interval", "p")
        )
        rows = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
            for row in _rows(compared)
        )
        content = (
            f'<p class="lede">{escape(_films(compared))}: {PARTS[part][1]}.</p><p>{escape(compared["verdict"])}</p>'
            f'<div class="scroll" role="region" tabindex="0" aria-label="{PARTS[part][0]}"><table class="wide">'
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
        sections.append(Section(part, PARTS[part][0], content))
    notes = "".join(f"<li>{escape(note)}</li>" for note in result["notes"])
    opening = f'<section aria-label="Verdict"><p>{escape(result["verdict"])}</p>'
    opening += f'<ul class="notes">{notes}</ul></section>' if notes else "</section>"
    title = f"{result['first']} against {result['second']}"
    return html_page(title, "hilum comparison", opening, sections, styles=("report.css",), footer=_EXPLANATION)


def write_comparison(result: Mapping[str, Any], out: Path, *, overwrite: bool = False) -> None:
    """Leave compare.json and compare.html in a folder.

    Raises:
        InputError: An earlier comparison is there and not to be replaced, or the folder cannot be written to.
    """
    _FOLDER.check(out, overwrite=overwrite)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder `{out}`: {error.strerror}.", fix="Choose another folder.") from error
    page, figures = comparison_page(result), json_file_text(result)
    replace_files({out / "compare.html": page, out / "compare.json": figures})


def _films(compared: Mapping[str, Any]) -> str:
    text = f"{compared['n']} films"
    if compared["num_groups"] < compared["n"]:
        text += f" in {compared['num_groups']} groups"
    only = compared["only_in"]
    return text + (f", {only['first']} and {only['second']} not common" if any(only.values()) else "")


def _rows(compared: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for figure, name in _FIGURES.items():
        yield _row(name, compared[figure], _TESTS.get(figure, ""))
    for finding, values in compared["per_finding"].items():
        yield _row(f"AUROC {finding} ({values['n']})", values["auroc"], "DeLong")


def _row(name: str, values: Mapping[str, Any] | None, test: str) -> tuple[str, ...]:
    if values is None:
        return (name, "–", "–", "–", "", "")
    difference = values["difference"]
    limits = ""
    if difference["low"] is not None:
        limits = f"{_points(difference['low'])} to {_points(difference['high'])}"
    p_value = values["p_value"]
    return (
        name,
        percent(values["first"]),
        percent(values["second"]),
        _points(difference["value"]),
        limits,
        f"{p_text(p_value).removeprefix('= ')} {test}" if p_value is not None else "",
    )


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")
