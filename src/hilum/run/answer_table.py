"""Answers for people: a table with a legend, or blocks of lines where a table does not fit the terminal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from rich.cells import cell_len, chop_cells

from hilum.findings import OTHER_ABNORMALITY, said_as
from hilum.run.answer import in_words, outcome
from hilum.text import printable

__all__ = ["TableWriter"]

_MOST_ROWS = 500  # a table needs all its rows to know its widths
_FILE_WIDTH, _REMARKS_WIDTH = 32, 30  # smallest widths of these columns if their text needs them
_SHARE_WIDTH = len("100.0 %")
_LEAST_BAR, _MOST_BAR = 8, 50
_GAP = 3  # between two columns
_INDENT = "  "


class TableWriter:
    """Writes answers for people, as tables of at most 500 films with a legend.

    On a terminal that is too narrow for a table, each film is a block of lines. Without a terminal each film is one
    line, however long.

    Args:
        stream: Where the text goes.
        findings: The model's findings, in its order.
        has_members: Whether the model is an ensemble, whose members may differ.
    """

    def __init__(self, stream: IO[str], findings: Sequence[str], has_members: bool) -> None:
        self._stream, self._findings, self._has_members = stream, findings, has_members
        self._answers: list[Mapping[str, Any]] = []
        self._terms: dict[str, None] = {}  # the terms that the legend explains, in order
        self._is_shown = False

    def write(self, answer: Mapping[str, Any]) -> None:
        """Add one film: the JSON object of an `Answer` or `UnreadFilm`."""
        self._answers.append(answer)
        if len(self._answers) == _MOST_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the remaining films and the legend."""
        if self._answers or not self._is_shown:
            self._flush()
        width = _width_of(self._stream)
        for term in self._terms:
            text = f"{term}: {_LEGEND[term]}"
            lines = [text] if width is None else textwrap.wrap(text, width, subsequent_indent=_INDENT)
            self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()

    def _flush(self) -> None:
        width = _width_of(self._stream)
        lines = self._table(width)
        if lines is None and width is not None:
            lines = [line for answer in self._answers for line in (*self._block(answer, width), "")]
        elif self._answers:
            self._terms |= {"may be": None} | ({"apart": None} if self._has_members else {})
        for answer in self._answers:
            if outcome(answer) == "refused":
                self._terms["refused"] = None
            elif len(answer.get("set", ())) > 1:
                self._terms |= {"undecided": None} | dict.fromkeys({OTHER_ABNORMALITY} & {*answer["set"]})
        self._answers, self._is_shown = [], True
        self._stream.write("\n".join(lines or ()) + "\n")
        self._stream.flush()

    def _table(self, width: int | None) -> list[str] | None:
        """Return the lines of a table as wide as the terminal; None if it does not fit."""
        rows = [[printable(cell) for cell in self._cells(answer)] for answer in self._answers]
        heads = ["file", "finding", *map(printable, self._findings), *(["apart"] if self._has_members else [])]
        heads += ["may be", "remarks"]
        natural = [max(map(cell_len, cells)) for cells in zip(heads, *rows, strict=True)]
        if width is None:
            return _rendered(heads, rows, natural)
        name_width = max(map(cell_len, (*map(printable, self._findings), "cannot be read")))
        least = [max(cell_len(word) for word in head.split()) if head.split() else 0 for head in heads]
        for at, most in ((0, _FILE_WIDTH), (1, name_width), (-2, name_width), (-1, _REMARKS_WIDTH)):
            least[at] = max(least[at], min(natural[at], most))
        for at in range(2, len(heads) - 2):
            least[at] = max(least[at], _SHARE_WIDTH)
        spare = width - sum(least) - _GAP * (len(heads) - 1) - 2
        if spare < 0:
            return None
        for at in (1, 0, -2, *range(2, len(heads) - 2), -1):
            more = min(spare, max(natural[at] - least[at], 0))
            least[at], spare = least[at] + more, spare - more
        return _rendered(heads, rows, least)

    def _cells(self, answer: Mapping[str, Any]) -> list[str]:
        """Return the cells of one film, one for each column."""
        if "error" in answer:
            sentence = _fault(answer)
            empty = [""] * (len(self._findings) + self._has_members + 1)
            return [answer["file"], in_words(answer), *empty, sentence[:1].upper() + sentence[1:]]
        shares = [_share(answer["probabilities"][name]) for name in self._findings]
        shares += [_share(answer.get("disagreement") or 0)] if self._has_members else []
        may_be = "" if outcome(answer) == "refused" else ", ".join(answer["set"])
        return [answer["file"], in_words(answer), *shares, may_be, _remarks(answer)]

    def _block(self, answer: Mapping[str, Any], width: int) -> Iterator[str]:
        """Yield one film's lines: its name, the answer in words, a bar for each finding."""
        yield from chop_cells(printable(answer["file"]), width)
        remarks = _fault(answer) if "error" in answer else _remarks(answer)
        said = f"{in_words(answer)}{': ' if remarks else ''}{remarks}"
        yield from textwrap.wrap(printable(said), width, initial_indent=_INDENT, subsequent_indent=_INDENT)
        if answer.get("finding") is None:
            return
        names = {name: printable(name) for name in self._findings}
        name_width = max(map(cell_len, names.values()))
        room = width - name_width - _SHARE_WIDTH - 3 * len(_INDENT)
        is_narrow = room < _LEAST_BAR  # the name then has a line of its own
        bar_width = min(_MOST_BAR, width - _SHARE_WIDTH - 3 * len(_INDENT) if is_narrow else room)
        sign = _bar_sign(self._stream)
        for name, shown in names.items():
            share, start = answer["probabilities"][name], _INDENT
            if is_narrow:
                yield from textwrap.wrap(shown, width, initial_indent=_INDENT, subsequent_indent=_INDENT)
            else:
                start += shown + " " * (name_width - cell_len(shown))
            bar = sign * round(share * bar_width)
            yield f"{start}{_INDENT}{_share(share):>{_SHARE_WIDTH}}{_INDENT}{bar}".rstrip()
        if self._has_members:
            yield f"{_INDENT}members apart: {_share(answer.get('disagreement') or 0)}"


_LEGEND = {
    "may be": "all findings that cannot be ruled out.",
    "apart": "how much the members of the ensemble differ.",
    "refused": "hilum does not judge this film. The remark says why. Do not use its percentages.",
    "undecided": "more than one finding cannot be ruled out; the likeliest is first.",
    OTHER_ABNORMALITY: f"{said_as(OTHER_ABNORMALITY)}.",
}


def _rendered(heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Return the lines of a table with columns of the given widths; longer texts continue on the next line."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, (head, width) in enumerate(zip(heads, widths, strict=True)):
        is_number = 1 < at < len(heads) - 2
        table.add_column(Text(head), justify="right" if is_number else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    total = sum(widths) + _GAP * (len(widths) - 1) + 2
    console = Console(file=io.StringIO(), width=total, color_system=None)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def _share(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _remarks(answer: Mapping[str, Any]) -> str:
    return " ".join(reason["message"] for reason in answer["reasons"])


def _fault(answer: Mapping[str, Any]) -> str:
    """Return why a film was not judged, without its name, which the table shows beside it."""
    return str(answer["error"]["message"]).removeprefix(printable(f"Cannot read the film `{answer['file']}`: "))


def _width_of(stream: IO[str]) -> int | None:
    """Return the width of the terminal; None if the stream is not a terminal."""
    if not stream.isatty():
        return None
    from rich.console import Console

    return Console(file=stream).width


def _bar_sign(stream: IO[str]) -> str:
    try:
        "█".encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "#"
    return "█"
