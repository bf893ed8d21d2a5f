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
from hilum.report.page import render
from hilum.results import ResultFolder
from hilum.text import percent, points, points_range, printable

__all__ = ["comparison_page", "comparison_text", "write_comparison"]

_FOLDER = ResultFolder(
    of="comparison",
    finished="an earlier comparison; it was",
    files=("compare.json", "compare.html"),
    marks={"compare.json": frozenset({"first", "second", "parts"})},
)
_FIGURES = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "auroc_macro": "AUROC"}
_TESTS = {"accuracy": "McNemar", "auroc_macro": "DeLong"}


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
    page = render(
        "comparison.html.j2",
        title=f"{result['first']} against {result['second']}",
        kicker="hilum comparison",
        result=result,
        parts=PARTS,
        tables={part: (_films(compared), list(_rows(compared))) for part, compared in result["parts"].items()},
    )
    return str(page)


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
    p_value = values["p_value"]
    return (
        name,
        percent(values["first"]),
        percent(values["second"]),
        points(difference["value"]),
        points_range(difference),
        f"{p_text(p_value).removeprefix('= ')} {test}" if p_value is not None else "",
    )
