"""Answers as people and programs read them: table, JSON Lines, CSV, Parquet. Each takes one answer at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from hilum.errors import InputError, MissingExtra
from hilum.run.answer import Answer, UnreadFilm

__all__ = ["FORMATS", "AnswerWriter", "open_writer"]

FORMATS = ("table", "jsonl", "csv", "parquet")
_PARQUET_ROWS = 4096
_TABLE_WIDTH = 180  # characters, where the output is no terminal


class AnswerWriter(Protocol):
    """Takes answers in order; `close` finishes the output."""

    def write(self, answer: Answer | UnreadFilm) -> None:
        """Add one film."""

    def close(self) -> None:
        """Finish the output."""


def open_writer(
    output_format: str, stream: IO[str], path: Path | None, findings: Sequence[str], *, has_members: bool = False
) -> AnswerWriter:
    """Return the writer of a format.

    Args:
        output_format: One of `FORMATS`.
        stream: Where text goes.
        path: The file behind the stream; Parquet is written there and needs it.
        findings: The model's findings, for the columns.
        has_members: Whether the model is an ensemble: one more column then says how far its members are apart.

    Raises:
        InputError: Parquet without a file to write to.
        MissingExtra: Parquet without pyarrow.
    """
    if output_format == "parquet":
        if path is None:
            raise InputError("Parquet is no text and does not go to standard output.", fix="Name a file: --out FILE")
        return _ParquetWriter(path, findings, has_members)
    if output_format == "jsonl":
        return _JsonLinesWriter(stream)
    kind = _CsvWriter if output_format == "csv" else _TableWriter
    return kind(stream, findings, has_members)


def _flat(answer: Answer | UnreadFilm, findings: Sequence[str], has_members: bool) -> dict[str, Any]:
    """Return one film as one row; what an unread film does not have is None."""
    judged = answer if isinstance(answer, Answer) else None
    error = answer.error if isinstance(answer, UnreadFilm) else None
    row: dict[str, Any] = {
        "file": answer.file,
        "finding": judged and judged.finding,
        "accepted": judged and judged.accepted,
        "set": judged and "; ".join(judged.set),
        "above_threshold": judged and "; ".join(judged.above_threshold),
        "reasons": judged and "; ".join(f"{reason.code}: {reason.message}" for reason in judged.reasons),
    }
    row |= {f"probability_{name}": judged and judged.probabilities[name] for name in findings}
    if has_members:
        row["disagreement"] = judged and judged.disagreement
    row["heatmap"] = judged and judged.heatmap
    row["model_name"] = judged and judged.model["name"]
    row["model_sha256"] = judged and judged.model["sha256"]
    row["error"] = error and f"{type(error).__name__}: {error}"
    return {column: _printable(value) if isinstance(value, str) else value for column, value in row.items()}


def _printable(text: str) -> str:
    """Return text that any encoding of Unicode can carry; file names are bytes and need not be UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


class _JsonLinesWriter:
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, answer: Answer | UnreadFilm) -> None:
        self._stream.write(_printable(json.dumps(answer.to_dict(), ensure_ascii=False)) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


class _CsvWriter:
    def __init__(self, stream: IO[str], findings: Sequence[str], has_members: bool) -> None:
        self._stream, self._findings, self._has_members = stream, findings, has_members
        columns = list(_flat(UnreadFilm("", InputError("")), findings, has_members))
        self._writer = csv.DictWriter(stream, columns, lineterminator="\n")
        self._writer.writeheader()

    def write(self, answer: Answer | UnreadFilm) -> None:
        row = _flat(answer, self._findings, self._has_members)
        if row["accepted"] is not None:
            row["accepted"] = str(row["accepted"]).lower()
        self._writer.writerow(row)

    def close(self) -> None:
        self._stream.flush()


class _TableWriter:
    def __init__(self, stream: IO[str], findings: Sequence[str], has_members: bool) -> None:
        from rich import box
        from rich.table import Table

        self._stream, self._findings, self._has_members = stream, findings, has_members
        self._table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        self._table.add_column("file", overflow="fold", min_width=16)
        self._table.add_column("finding")
        for name in findings:
            self._table.add_column(name, justify="right")
        if has_members:
            self._table.add_column("apart", justify="right")
        self._table.add_column("may be")
        self._table.add_column("remarks", overflow="fold")

    def write(self, answer: Answer | UnreadFilm) -> None:
        from rich.text import Text

        if isinstance(answer, UnreadFilm):
            cells = ["cannot be read", *("" for _ in self._findings), "", answer.error.message]
            apart = ""
        else:
            shares = (f"{100 * answer.probabilities[name]:.1f} %" for name in self._findings)
            remarks = " ".join(reason.message for reason in answer.reasons)
            apart = f"{100 * (answer.disagreement or 0):.1f} %"
            cells = [answer.finding or "refused", *shares, ", ".join(answer.set) or "none of them", remarks]
        if self._has_members:
            cells.insert(1 + len(self._findings), apart)
        self._table.add_row(*(Text(_printable(cell)) for cell in (answer.file, *cells)))

    def close(self) -> None:
        from rich.console import Console

        width = None if self._stream.isatty() else _TABLE_WIDTH
        console = Console(file=io.StringIO(), width=width, color_system=None)
        console.print(self._table)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        self._stream.write("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
        self._stream.flush()


class _ParquetWriter:
    def __init__(self, path: Path, findings: Sequence[str], has_members: bool) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingExtra("Parquet output", "parquet") from error
        self._findings, self._has_members, self._rows = findings, has_members, []  # type: ignore[var-annotated]
        numbers = ["disagreement", *(f"probability_{name}" for name in findings)]
        types = {"accepted": pa.bool_()} | dict.fromkeys(numbers, pa.float64())
        columns = _flat(UnreadFilm("", InputError("")), findings, has_members)
        self._schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
        self._table = pa.Table
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, answer: Answer | UnreadFilm) -> None:
        self._rows.append(_flat(answer, self._findings, self._has_members))
        if len(self._rows) == _PARQUET_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._table.from_pylist(self._rows, schema=self._schema))
            self._rows = []
