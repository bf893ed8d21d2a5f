"""The tables of a study, for its page and for the terminal. Both have the same cells; columns are data."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hilum.judge.intervals import Interval
from hilum.judge.study import Change, StudyFigures
from hilum.judge.study_result import AugmentationResult, BackbonesResult, MethodRow, NoiseResult, StudyResult
from hilum.text import percent, points, points_range, printable, range_text

__all__ = [
    "DOSE_NAMES",
    "Cell",
    "Table",
    "TableRow",
    "dose_table",
    "network_table",
    "plain_table",
    "policy_table",
    "quality_table",
    "study_text",
]

DOSE_NAMES = {"clean": "as they are", "high": "high dose", "medium": "medium dose", "low": "low dose"}
_GAP = 3  # characters between two columns in the terminal


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


def dose_table(result: NoiseResult, *, elsewhere: bool = False) -> Table | None:
    """Return the changes by method and dose; None if there are no films of other sources."""
    place = "external" if elsewhere else "in_house"
    plain = getattr(result.methods[0].changes, place)
    if not plain:
        return None
    heads = [f"in use, {DOSE_NAMES[dose]}" if elsewhere else DOSE_NAMES[dose] for dose in plain]
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


def quality_table(result: NoiseResult) -> Table:
    """Return what each method does to films, whatever a classifier makes of them."""
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


def policy_table(result: AugmentationResult, backbone: str) -> Table:
    """Return the figures of each policy with one backbone."""
    heads = ["Accuracy", "Macro-F1", "AUROC", "Against the default, points"]
    heads += ["AUROC elsewhere", "Against the default, points"] if result.external else []
    rows = []
    for row in result.backbones[backbone].policies:
        cells = [*_figures(row.in_house), _change(row.against_default.in_house)]
        if result.external:
            cells += [_figures(row.external)[-1], _change(row.against_default.external)]
        rows.append(TableRow(row.title, [*cells, Cell(f"{row.minutes:.1f}")], row.words))
    return Table([backbone, *heads, "Minutes"], rows)


def network_table(result: BackbonesResult) -> Table:
    """Return the figures and the costs of each network; where one was not judged, the reason."""
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


def _figures(figures: StudyFigures | None) -> list[Cell]:
    if figures is None:
        return [Cell("–")] * 3
    shown = (figures.accuracy, figures.macro_f1, figures.auroc)
    return [Cell(percent(one.value), range_text(one)) for one in shown]


def _difference(interval: Interval) -> Cell:
    return Cell(points(interval.value), points_range(interval))


def _change(change: Change | None) -> Cell:
    return replace(_difference(change.auroc), words=change.words) if change else Cell("–")


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
        tables = [policy_table(result, backbone) for backbone in result.backbones]
    elif isinstance(result, BackbonesResult):
        tables = [network_table(result)]
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
