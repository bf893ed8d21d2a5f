"""A comparison shown: its verdict in words, a table for the terminal, a page for the browser."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.judge.comparison import SIGNIFICANCE, Comparison, PartComparison
from hilum.judge.intervals import Interval
from hilum.judge.paired import Difference
from hilum.judge.parts import PARTS
from hilum.report.page import render
from hilum.text import percent, points, points_range, printable

__all__ = ["comparison_page", "comparison_text", "p_text", "verdict_words"]

_FIGURES = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "auroc_macro": "AUROC"}
_TESTS = {"accuracy": "McNemar", "auroc_macro": "DeLong"}


def comparison_text(result: Comparison, *, width: int | None = None) -> str:
    """Return the comparison as a table with its verdicts, plain text.

    Args:
        result: What `compare_runs` returned.
        width: Characters a line; the terminal's where not given.
    """
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    for part, compared in result.parts.items():
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=None)
        heads = (f"{PARTS[part][0]}, {_films(compared)}", result.first, result.second)
        for order, head in enumerate((*heads, "difference", "95 % interval", "p")):
            table.add_column(Text(printable(head)), justify="right" if order else "left")
        for row in _rows(compared):
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)
        console.print(Text(printable(compared.verdict)), soft_wrap=width is not None)
    for note in result.notes:
        console.print(Text(printable(note)), soft_wrap=width is not None)
    text = "Per cent; the difference is second minus first, in points.\n"
    text += console.file.getvalue().strip("\n")  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def comparison_page(result: Comparison) -> str:
    """Return the comparison as one self-contained HTML page; all names are escaped."""
    page = render(
        "comparison.html.j2",
        title=f"{result.first} against {result.second}",
        kicker="hilum comparison",
        result=result,
        parts=PARTS,
        tables={part: (_films(compared), list(_rows(compared))) for part, compared in result.parts.items()},
    )
    return str(page)


def verdict_words(part: PartComparison, names: tuple[str, str]) -> str:
    """Return what the films of one part say of two models, in sentences.

    Args:
        part: The figures.
        names: What the two models are called.
    """
    right, difference = part.right, part.accuracy.difference
    sign = -1 if (difference.value or 0.0) < 0 else 1
    lead = _turned(difference, sign)
    evidence = (
        f"{points(lead.value)} points, 95 % interval {points_range(lead)}; McNemar p {p_text(part.mcnemar.p_value)}"
    )
    counts = right.first, right.second
    if part.told_apart:
        better, worse = (1, 0) if sign > 0 else (0, 1)
        words = (
            f"{names[better]} is better than {names[worse]} on these {part.n} films: right on {counts[better]} "
            f"against {counts[worse]} ({evidence})."
        )
    else:
        words = (
            f"These {part.n} films cannot say whether {names[0]} or {names[1]} is better: right on {counts[0]} and "
            f"{counts[1]} ({evidence})."
        )
    auroc = part.auroc_macro
    if auroc and auroc.p_value is not None and auroc.p_value < SIGNIFICANCE:
        sign = -1 if (auroc.difference.value or 0.0) < 0 else 1
        lead = _turned(auroc.difference, sign)
        words += (
            f" {names[sign > 0]} has the higher AUROC ({points(lead.value)} points, 95 % interval "
            f"{points_range(lead)}; DeLong p {p_text(auroc.p_value)})."
        )
    if part.flattering:
        words += (
            " Both models were fitted with the help of validation films, so both look better on them than they are."
        )
    return words


def _turned(difference: Interval, sign: int) -> Interval:
    """Return a difference, or where the sign is -1 that of the other model."""
    value, low, high = (sign * (one or 0.0) for one in (difference.value, difference.low, difference.high))
    return Interval(value, min(low, high), max(low, high))


def p_text(p_value: float | None) -> str:
    """Return a p-value with its sign as it is written: "= 0.35", "= 0.016", "< 0.001"; a dash where undefined."""
    if p_value is None:
        return "–"
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}" if p_value < 0.1 else f"= {p_value:.2f}"


def _films(compared: PartComparison) -> str:
    text = f"{compared.n} films"
    if compared.num_groups < compared.n:
        text += f" in {compared.num_groups} groups"
    only = compared.only_in
    return text + (f", {only.first} and {only.second} not common" if only.first or only.second else "")


def _rows(compared: PartComparison) -> Iterator[tuple[str, ...]]:
    for figure, name in _FIGURES.items():
        yield _row(name, getattr(compared, figure), _TESTS.get(figure, ""))
    for finding, values in compared.per_finding.items():
        yield _row(f"AUROC {finding} ({values.n})", values.auroc, "DeLong")


def _row(name: str, values: Difference | None, test: str) -> tuple[str, ...]:
    if values is None:
        return (name, "–", "–", "–", "", "")
    difference = values.difference
    p_value = values.p_value
    return (
        name,
        percent(values.first),
        percent(values.second),
        points(difference.value),
        points_range(difference),
        f"{p_text(p_value).removeprefix('= ')} {test}" if p_value is not None else "",
    )
