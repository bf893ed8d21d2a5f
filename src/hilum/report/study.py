"""Shows a study: its page, and its table for the terminal. Both have the same cells; columns are data.

Words stand in templates/study.html.j2.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.judge.intervals import Interval
from hilum.judge.study import (
    MARGIN,
    AugmentationResult,
    BackbonesResult,
    Change,
    MethodRow,
    NoiseResult,
    PolicyGroup,
    StudyFigures,
    StudyResult,
)
from hilum.judge.study_verdict import DEMANDS
from hilum.report.page import Section, html_page, render
from hilum.report.study_charts import CostPoint, change_plot, cost_plot, sweep_plot
from hilum.text import percent, points, points_range, printable, range_text

__all__ = ["Cell", "Picture", "Table", "TableRow", "plain_table", "study_page", "study_text"]

_SHORT = {"frozen": "frozen", "fine-tuned": "tuned", "from scratch": "scratch"}
_DOSES = {"clean": "as they are", "high": "high dose", "medium": "medium dose", "low": "low dose"}
_RESIDUAL_GAIN = 3.0
_GAP = 3  # characters between two columns in the terminal


@dataclass(frozen=True, eq=False)
class Picture:
    """A film (S, S) in [0, 1] after a method or a policy, and what the method removed from it."""

    title: str
    film: NDArray[Any]
    removed: NDArray[Any] | None = None


@dataclass(frozen=True)
class Cell:
    """A value with its 95 % interval and what it means; as text all three stand behind each other."""

    value: str
    limits: str = ""
    words: str = ""

    def __str__(self) -> str:
        limits = f" ({self.limits})" if self.limits else ""
        return f"{self.value}{limits} {self.words}".rstrip()


@dataclass(frozen=True)
class TableRow:
    """One variant: its title, what it does, its cells; where it could not be judged, the reason instead."""

    title: str
    cells: Sequence[Cell] = ()
    words: str = ""
    reason: str = ""
    is_first: bool = False


@dataclass(frozen=True)
class Table:
    """The variants of a study; the first heading is that of their titles."""

    heads: Sequence[str]
    rows: Sequence[TableRow]


def study_page(result: StudyResult, examples: Sequence[Picture]) -> str:
    """Return the page of a study.

    Args:
        result: What study.json holds.
        examples: Films after each method or policy.
    """
    if isinstance(result, NoiseResult):
        title, parts = f"Noise in {result.data.name}", _noise_parts(result, examples)
    elif isinstance(result, AugmentationResult):
        title, parts = f"Augmentation on {result.data.name}", _policy_parts(result, examples)
    elif isinstance(result, BackbonesResult):
        title, parts = f"Backbones on {result.data.name}", _network_parts(result)
    else:
        raise TypeError(f"No page is known for a study of {result.study}.")
    sections = [Section(anchor, heading, _part(anchor, result, **values)) for anchor, heading, values in parts]
    sections.append(Section("films", "Films, and how they were judged", _part("films", result)))
    footer = _part("footer", result)
    return html_page(title, "hilum study", _part("verdict", result), sections, footer=footer)


def _part(part: str, result: StudyResult, **values: object) -> str:
    name = "policies" if isinstance(values.get("group"), PolicyGroup) else part
    return render("study.html.j2", part=name, study=result, doses=_DOSES, demands=DEMANDS, **values)


Part = tuple[str, str, dict[str, object]]  # anchor, heading, what the template needs


# --- noise ----------------------------------------------------------------------------------------------------------


def _noise_parts(result: NoiseResult, examples: Sequence[Picture]) -> list[Part]:
    none, *rows = result.methods
    doses = list(none.changes.in_house)
    curves = [
        (
            row.title,
            sweep_plot(
                [_DOSES[dose].removesuffix(" dose").replace("as they are", "clean") for dose in doses],
                [row.changes.in_house[dose].figures.auroc for dose in doses],
                [none.changes.in_house[dose].figures.auroc for dose in doses],
                f"AUROC with {row.title} over doses, beside that without.",
                label="AUROC, %",
            ),
        )
        for row in rows
    ]
    forced = [
        (
            heading,
            change_plot(
                [(row.title, change.auroc) for row in rows if (change := getattr(row.changes.in_house["clean"], way))],
                MARGIN,
                f"Change in AUROC on clean films: {heading}.",
            ),
        )
        for way, heading in (("test_only", "Fitted on films as they are"), ("both", "Fitted on denoised films too"))
    ]
    removed = [
        (one.title, _jpeg(0.5 + _RESIDUAL_GAIN * one.removed))
        for one in examples
        if one.removed is not None and one.removed.any()
    ]
    films = [(one.title, _jpeg(one.film)) for one in examples]
    quality: dict[str, object] = {"table": _quality_table(result)}
    return [
        ("answers", "AUROC with each method", {"plots": curves, "table": _dose_table(result)}),
        ("elsewhere", "On films of other sources", {"table": _dose_table(result, elsewhere=True)}),
        ("forced", "Methods applied to clean films", {"plots": forced}),
        ("demands", "Demands on a method", {"rows": rows}),
        ("quality", "Image quality", quality),
        ("pictures", "One film after every method", {"films": films, "removed": removed}),
    ]


def _dose_table(result: NoiseResult, *, elsewhere: bool = False) -> Table | None:
    """Return the changes by method and dose; None if there are no films of other sources."""
    place = "external" if elsewhere else "in_house"
    plain = getattr(result.methods[0].changes, place)
    if not plain:
        return None
    heads = [f"in use, {_DOSES[dose]}" if elsewhere else _DOSES[dose] for dose in plain]
    last = "medium dose, fitted on denoised films too" if elsewhere else "Lead over border, points"
    rows = [
        TableRow(
            row.title,
            [
                *(_change(getattr(row.changes, place)[dose].option) for dose in plain),
                _change(getattr(row.changes, place)["medium"].both)
                if elsewhere
                else _difference(row.shortcuts["change"]),
            ],
        )
        for row in result.methods[1:]
    ]
    trained = result.noise_in_training[place]
    changes = [_change(trained[dose]) for dose in plain]
    rows.append(TableRow("No method, trained on noisy copies as well", [*changes, Cell("–")]))
    return Table(["Change in AUROC, points", *heads, last], rows)


def _quality_table(result: NoiseResult) -> Table:
    heads = [
        *("Method", *(f"PSNR, SSIM, {dose} dose" for dose in result.doses), "PSNR, clean film", "Edges kept, clean, %"),
        *("Rib contrast", "MTF50, noise", "MTF50, no noise", "Likeness", "ms a film"),
    ]
    return Table(heads, [TableRow(row.title, _quality_cells(row, result), row.settings) for row in result.methods])


def _quality_cells(row: MethodRow, result: NoiseResult) -> list[Cell]:
    return [
        *(Cell(f"{row.fidelity[dose]['psnr']:.1f}", f"{row.fidelity[dose]['ssim']:.3f}") for dose in result.doses),
        Cell(f"{row.clean['psnr']:.1f}"),
        Cell(f"{100 * row.clean['edges_kept']:.0f}"),
        Cell(f"{row.structure['rib_contrast']:.2f}"),
        Cell(f"{row.structure['mtf50']:.3f}"),
        Cell(f"{row.structure['mtf50_clean']:.3f}"),
        Cell(f"{row.residual_likeness:.2f}"),
        Cell(f"{row.milliseconds:.1f}"),
    ]


def _noise_table(result: NoiseResult) -> Table:
    """Return the table for the terminal: the option at every dose, and what it costs."""
    heads = ["change in AUROC, points", *(f"{dose} dose" for dose in result.doses)]
    heads += ["elsewhere, medium"] if result.external else []
    rows = []
    for row in result.methods[1:]:
        here, other = row.changes.in_house, row.changes.external
        changes = [here[dose].option for dose in result.doses]
        changes += [other["medium"].option] if other else []
        cells = [_change(one) for one in (*changes, here["clean"].test_only)]
        costs = [Cell(f"{100 * row.clean['edges_kept']:.0f}"), Cell(f"{row.milliseconds:.1f}")]
        rows.append(TableRow(row.title, [*cells, *costs]))
    return Table([*heads, "applied to clean films", "edges %", "ms"], rows)


# --- augmentation and backbones -------------------------------------------------------------------------------------


def _policy_parts(result: AugmentationResult, examples: Sequence[Picture]) -> list[Part]:
    parts: list[Part] = []
    for backbone, group in result.backbones.items():
        plots = [
            (
                f"Against no augmentation, {where}",
                change_plot(
                    [
                        (row.title, change.auroc)
                        for row in group.policies
                        if (change := getattr(row.against_none, place))
                    ],
                    MARGIN,
                    f"Change in AUROC of each policy against none, {where}.",
                ),
            )
            for place, where in (("in_house", "here"), ("external", "on other sources"))
            if place == "in_house" or result.external
        ]
        is_one = len(result.backbones) == 1
        values = {"group": group, "plots": plots, "table": _policy_table(result, backbone), "is_one": is_one}
        parts.append((backbone.lower(), backbone, values))
    films: dict[str, list[str]] = {}
    for one in examples:
        films.setdefault(one.title, []).append(_jpeg(one.film))
    parts.append(("policies-shown", "Films after each policy", {"films": films}))
    return parts


def _policy_table(result: AugmentationResult, backbone: str) -> Table:
    heads = ["Accuracy", "Macro-F1", "AUROC", "Against the default, points"]
    heads += ["AUROC elsewhere", "Against the default, points"] if result.external else []
    rows = []
    for row in result.backbones[backbone].policies:
        cells = [*_figures(row.in_house), _change(row.against_default.in_house)]
        if result.external:
            cells += [_figures(row.external)[-1], _change(row.against_default.external)]
        rows.append(TableRow(row.title, [*cells, Cell(f"{row.minutes:.1f}")], row.words))
    return Table([backbone, *heads, "Minutes"], rows)


def _network_parts(result: BackbonesResult) -> list[Part]:
    dots = [
        CostPoint(f"{row.backbone} {row.size_px} {_SHORT[row.start]}", row.milliseconds or 0.0, row.auroc, row.best)
        for row in result.networks
        if not row.reason
    ]
    where = "on films of other sources" if result.external else "in cross-validation"
    plot = cost_plot(dots, "Milliseconds of one core a film", "AUROC", f"AUROC {where} over milliseconds a film.")
    return [
        ("cost", "AUROC and time", {"plot": plot, "where": where}),
        ("networks", "Networks", {"table": _network_table(result)}),
    ]


def _network_table(result: BackbonesResult) -> Table:
    heads = ["Network", "Accuracy", "Macro-F1", "AUROC", "Against the best"]
    heads += ["AUROC elsewhere", "Against the best"] if result.external else []
    rows = []
    for row in result.networks:
        if row.reason:
            rows.append(TableRow(row.title, reason=row.reason))
            continue
        cells = [*_figures(row.in_house), _change(row.against_best)]
        if result.external:
            cells += [_figures(row.external)[-1], _change(row.against_best_external)]
        costs = (
            f"{(row.num_weights or 0) / 1e6:.2f}",
            *(f"{one or 0.0:.1f}" for one in (row.megabytes, row.minutes, row.milliseconds)),
        )
        rows.append(TableRow(row.title, [*cells, *map(Cell, costs)], is_first=row.best))
    return Table([*heads, "Weights, millions", "MB", "Minutes", "ms a film"], rows)


# --- cells and pictures ---------------------------------------------------------------------------------------------


def _figures(figures: StudyFigures | None) -> list[Cell]:
    if figures is None:
        return [Cell("–")] * 3
    shown = (figures.accuracy, figures.macro_f1, figures.auroc)
    return [Cell(percent(one.value), range_text(one)) for one in shown]


def _difference(interval: Interval) -> Cell:
    return Cell(points(interval.value), points_range(interval))


def _change(change: Change | None) -> Cell:
    return replace(_difference(change.auroc), words=change.words) if change else Cell("–")


def _jpeg(film: NDArray[Any]) -> str:
    """Return a film (S, S) in [0, 1] as a JPEG in base64."""
    grey = np.rint(np.clip(film, 0, 1) * 255).astype(np.uint8)
    return base64.b64encode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()).decode()


# --- the terminal ---------------------------------------------------------------------------------------------------


def study_text(result: StudyResult, *, width: int | None = None) -> str:
    """Return a study's tables and verdict, plain text.

    Args:
        result: What study.json holds.
        width: Characters a line; the terminal's where not given.
    """
    tables = []
    if isinstance(result, NoiseResult):
        tables = [_noise_table(result)]
    elif isinstance(result, AugmentationResult):
        tables = [_policy_table(result, backbone) for backbone in result.backbones]
    elif isinstance(result, BackbonesResult):
        tables = [_network_table(result)]
    text = "\n".join(plain_table(table, width=width) for table in tables)
    lines = [f"{row.title}: {row.reason}" for table in tables for row in table.rows if row.reason]
    lines += [f"Fault: {fault}" for fault in result.faults]
    lines += [*([""] if lines else []), str(result.verdict["words"]), str(result.verdict["next"])]
    return "\n".join([text, *lines]) + "\n"


def plain_table(table: Table, *, width: int | None = None) -> str:
    """Return a table as text, the first column to the left and the others to the right.

    If it is too wide even with its cells broken between words, each row is a block of lines instead.

    Args:
        table: Rows with a reason are left out.
        width: Characters a line; the terminal's where not given.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    lines = [[row.title, *map(str, row.cells)] for row in table.rows if not row.reason]
    longest = [
        max(len(word) for cell in cells for word in (cell.split() or [""]))
        for cells in zip(table.heads, *lines, strict=True)
    ]
    if sum(longest) + _GAP * (len(table.heads) - 1) + 2 > console.width:
        return _blocks(table.heads, lines, console.width)
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for order, head in enumerate(table.heads):
        drawn.add_column(Text(head), justify="right" if order else "left")
    for line in lines:
        drawn.add_row(*(Text(printable(cell)) for cell in line))
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n") + "\n"


def _blocks(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Return a table's rows one beneath the other, each cell on a line of its own with its heading."""
    lines = []
    for row in rows:
        lines += textwrap.wrap(row[0], width)
        for head, cell in zip(heads[1:], row[1:], strict=True):
            lines += textwrap.wrap(f"{head}: {cell}", width, initial_indent="  ", subsequent_indent="    ")
        lines.append("")
    text = "\n".join([*textwrap.wrap(heads[0], width), "", *lines]).strip("\n") + "\n"
    return printable(text, lines=True)
