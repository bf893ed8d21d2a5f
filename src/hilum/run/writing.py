"""Writers of answers as JSON Lines, CSV or Parquet, and the choice between them and the table for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from hilum.errors import InputError, MissingExtra
from hilum.run.answer import in_words, outcome
from hilum.run.answer_table import TableWriter
from hilum.text import CsvLines, csv_row, json_text, printable

__all__ = ["FORMATS", "AnswerWriter", "check_format", "encodable", "open_writer"]

FORMATS = ("table", "jsonl", "csv", "parquet")
_PARQUET_ROWS = 4096
_NO_FILM = {"file": "", "error": {"type": "", "message": "", "fix": ""}}  # for the columns


class AnswerWriter(Protocol):
    """Takes answers in order."""

    def write(self, answer: Mapping[str, Any]) -> None:
        """Add one film: the JSON object of an `Answer` or `UnreadFilm`."""

    def close(self) -> None:
        """Finish the output."""


def check_format(output_format: str, out: Path | None) -> None:
    """Check, before any film is judged, that the output can be written in a format.

    Raises:
        InputError: Parquet without a file to write to.
        MissingExtra: Parquet without pyarrow.
    """
    if output_format != "parquet":
        return
    if out is None:
        raise InputError("Parquet cannot be written to standard output.", fix="Name a file: --out FILE")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Parquet output", "parquet") from error


def open_writer(
    output_format: str, stream: IO[str], path: Path | None, findings: Sequence[str], *, has_members: bool = False
) -> AnswerWriter:
    """Return the writer of a format.

    Args:
        output_format: One of `FORMATS`.
        stream: Where text goes.
        path: The file of the stream; Parquet needs it.
        findings: The model's findings, for the columns.
        has_members: Whether the model is an ensemble; it gets a column for the disagreement of its members.

    Raises:
        InputError: Parquet without a file to write to.
        MissingExtra: Parquet without pyarrow.
    """
    check_format(output_format, path)
    if output_format == "parquet" and path is not None:
        return _ParquetWriter(path, findings, has_members)
    if output_format == "jsonl":
        return _JsonLinesWriter(stream)
    if output_format == "csv":
        return _CsvWriter(stream, findings, has_members)
    return TableWriter(stream, findings, has_members)


def _flat(answer: Mapping[str, Any], findings: Sequence[str], has_members: bool) -> dict[str, Any]:
    """Return one film as one row; missing values are None."""
    error, judged = answer.get("error"), "error" not in answer
    row: dict[str, Any] = {
        "file": answer["file"],
        "finding": answer.get("finding"),
        "accepted": answer["accepted"] if judged else False if outcome(answer) == "refused" else None,
        "set": "; ".join(answer["set"]) if judged else None,
        "above_threshold": "; ".join(answer["above_threshold"]) if judged else None,
        "reasons": "; ".join(f"{one['code']}: {one['message']}" for one in answer["reasons"]) if judged else None,
    }
    row |= {f"probability_{name}": answer["probabilities"][name] if judged else None for name in findings}
    if has_members:
        row["disagreement"] = answer.get("disagreement")
    row |= {name: answer.get(name) for name in ("outlier_score", "exposure", "heatmap")}
    row["model_name"] = answer["model"]["name"] if judged else None
    row["model_sha256"] = answer["model"]["sha256"] if judged else None
    row["error"] = error and f"{error['type']}: {error['message']} {error['fix']}".rstrip()
    row["answer"] = in_words(answer)
    return {column: encodable(value) if isinstance(value, str) else value for column, value in row.items()}


def encodable(text: str) -> str:
    """Return text that can be written as UTF-8; bytes of a file name that are not UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class _JsonLinesWriter:
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._is_unicode = (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")

    def write(self, answer: Mapping[str, Any]) -> None:
        self._stream.write(encodable(json_text(json.dumps(answer, ensure_ascii=not self._is_unicode))) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


class _CsvWriter:
    def __init__(self, stream: IO[str], findings: Sequence[str], has_members: bool) -> None:
        self._stream, self._findings, self._has_members = stream, findings, has_members
        columns = list(_flat(_NO_FILM, findings, has_members))
        self._paths = [columns.index(name) for name in ("file", "heatmap")]
        self._is_shown = stream.isatty()  # a terminal obeys control characters, so they are escaped there
        self._lines = CsvLines(stream)
        self._put(columns)

    def write(self, answer: Mapping[str, Any]) -> None:
        row = _flat(answer, self._findings, self._has_members)
        if row["accepted"] is not None:
            row["accepted"] = str(row["accepted"]).lower()
        self._put(row.values())

    def _put(self, row: Iterable[Any]) -> None:
        cells = csv_row(row, self._paths)
        if self._is_shown:
            cells = [printable(cell) if isinstance(cell, str) else cell for cell in cells]
        self._lines.write(cells)

    def close(self) -> None:
        self._stream.flush()


class _ParquetWriter:
    def __init__(self, path: Path, findings: Sequence[str], has_members: bool) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._findings, self._has_members, self._rows = findings, has_members, []  # type: ignore[var-annotated]
        numbers = ["disagreement", "outlier_score", "exposure", *(f"probability_{name}" for name in findings)]
        types = {"accepted": pa.bool_()} | dict.fromkeys(numbers, pa.float64())
        columns = _flat(_NO_FILM, findings, has_members)
        self._schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
        self._table = pa.Table
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, answer: Mapping[str, Any]) -> None:
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
