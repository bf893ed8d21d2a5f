"""Texts: make text from outside (such as file names) harmless, and format numbers.

A terminal obeys control characters, bidirectional characters change the order of text on a page, and a spreadsheet runs
a cell that begins like a formula. Use `printable` for terminals and pages, `csv_path` and `csv_cell` for CSV files.
Parquet and JSON keep the text unchanged.

An interval is written in one way everywhere, in the terminal too: shares as "89.6–99.2" in per cent, differences as
"+5.4 to +25.9" in points. Where an encoding lacks these signs, cli.py lets an escape stand for them.

Source: https://owasp.org/www-community/attacks/CSV_Injection; Unicode Technical Report 36, 2.5.
"""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import IO, Protocol

__all__ = [
    "CsvLines",
    "Limits",
    "csv_cell",
    "csv_path",
    "csv_row",
    "escape",
    "figure_text",
    "folded",
    "interval_words",
    "json_text",
    "percent",
    "percent_figure",
    "percent_text",
    "plain_cell",
    "plain_path",
    "points",
    "points_range",
    "printable",
    "range_text",
    "write_csv",
]

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNPRINTABLE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}\ud800-\udfff\ufeff]")
_UNPRINTABLE_LINES = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029{_BIDI}\ud800-\udfff\ufeff]")
_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029{_BIDI}\ufeff]")
_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ı": "i"})
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")  # the last four: the same signs in full width
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return text for a terminal or a page; control and bidirectional characters become escapes.

    Args:
        text: Any text; bytes of a file name that are not UTF-8 become escapes too.
        lines: Whether line breaks are kept.

    Example:
        >>> printable("film\x1b[2J.png")
        'film\\x1b[2J.png'
    """
    return (_UNPRINTABLE_LINES if lines else _UNPRINTABLE).sub(_escape, text)


def folded(name: str) -> str:
    """Return a key to compare names with: without case, full width, ligatures and Turkish I.

    Example:
        >>> folded("İNFİLTRAT") == folded("infiltrat"), folded("Œdème") == folded("OEDÈME"), folded("Maß")
        (True, True, 'mass')
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return plain.translate(_LETTERS).replace("i\u0307", "i")


def escape(text: str, quote: bool = True) -> str:
    """Return text for HTML, without control and bidirectional characters."""
    return html.escape(printable(text, lines=True), quote)


def json_text(text: str) -> str:
    """Return JSON with the same values that is harmless on a terminal."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def csv_path(path: str) -> str:
    """Return a path for a CSV cell; one that begins like a formula gets `./` in front.

    Example:
        >>> csv_path("=1+1.png")
        './=1+1.png'
    """
    return f"./{path}" if _FORMULA.match(path) else path


def csv_cell(value: object) -> object:
    """Return a CSV cell; a text that begins like a formula gets `'` in front. Numbers, also as text, stay unchanged.

    Example:
        >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell(-0.5)
        ("'=1+1", '-0.5', -0.5)
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def plain_path(cell: str) -> str:
    """Return the path from a cell that `csv_path` made."""
    return cell[2:] if cell.startswith("./") and _FORMULA.match(cell[2:]) else cell


def plain_cell(cell: str) -> str:
    """Return the text from a cell that `csv_cell` made."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def csv_row(row: Iterable[object], paths: Iterable[int] = ()) -> list[object]:
    """Return the harmless cells of a line; `paths` are the positions of paths."""
    places = set(paths)
    return [
        csv_path(value) if place in places and isinstance(value, str) else csv_cell(value)
        for place, value in enumerate(row)
    ]


def write_csv(
    stream: IO[str], columns: Sequence[str], rows: Iterable[Sequence[object]], *, paths: Iterable[str] = ("path",)
) -> None:
    """Write a table as CSV; every cell is harmless in a spreadsheet.

    Args:
        stream: The output.
        columns: The names in the first line.
        rows: The cells of each line; None gives an empty cell.
        paths: Names of the columns that hold paths.
    """
    lines = CsvLines(stream)
    lines.write(csv_row(columns))
    places = [columns.index(name) for name in paths if name in columns]
    for row in rows:
        lines.write(csv_row(row, places))


class CsvLines:
    """Writes lines of CSV that end in a line feed, and quotes cells with a line feed or a carriage return.

    csv.writer with "\\n" would not quote a carriage return, which readers take for the end of a line.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._line = stream, io.StringIO(newline="")
        self._writer = csv.writer(self._line, lineterminator="\r\n")

    def write(self, cells: Iterable[object]) -> None:
        """Add one line."""
        self._writer.writerow(cells)
        self._stream.write(self._line.getvalue().removesuffix("\r\n") + "\n")
        self._line.seek(0)
        self._line.truncate()


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def percent(value: float | None) -> str:
    """Return a fraction in per cent: 0.9697 -> "97.0"; None gives a dash."""
    return "–" if value is None else f"{100 * value:.1f}"


def percent_text(value: float | None, decimals: int = 1) -> str:
    """Return a fraction in per cent with its sign, as sentences and the terminal write it; an undefined one is a dash.

    The space before the sign does not break, and a minus is a true one.

    Example:
        >>> percent_text(0.9697) == "97.0\N{NO-BREAK SPACE}%", percent_text(0.83, 0) == "83\N{NO-BREAK SPACE}%"
        (True, True)
    """
    return "–" if value is None else f"{100 * value:.{decimals}f}\N{NO-BREAK SPACE}%".replace("-", "−")


class Limits(Protocol):
    """A figure with its interval, a fraction or a difference of fractions; None where it has none."""

    @property
    def value(self) -> float | None: ...

    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


def range_text(interval: Limits, decimals: int = 1) -> str:
    """Return the limits of an interval in per cent: "89.6–99.2"; empty if it has none."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{100 * interval.low:.{decimals}f}–{100 * interval.high:.{decimals}f}"


def figure_text(interval: Limits) -> str:
    """Return a figure in per cent with its interval: "97.0 (89.6–99.2)"."""
    limits = range_text(interval)
    return f"{percent(interval.value)} ({limits})" if limits else percent(interval.value)


def percent_figure(interval: Limits) -> str:
    """Return a figure in per cent with its sign and its interval: "97.0 % (89.6–99.2)"."""
    limits = range_text(interval)
    return f"{percent_text(interval.value)} ({limits})" if limits else percent_text(interval.value)


def interval_words(limits: str) -> str:
    """Return what stands after a figure in a sentence: " (95 % interval 89.6–99.2)"; empty if there are no limits."""
    return f" (95\N{NO-BREAK SPACE}% interval {limits})" if limits else ""


def points(value: float | None) -> str:
    """Return a difference in percentage points with its sign: 0.123 -> "+12.3"; None gives a dash."""
    return "–" if value is None else f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0 avoids "-0.0"


def points_range(interval: Limits) -> str:
    """Return the limits of a difference: "+5.4 to +25.9"; empty if it has none."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{points(interval.low)} to {points(interval.high)}"
