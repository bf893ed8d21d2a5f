"""Outputs of `predict` in JSON Lines, CSV or Parquet: known by their content, and read again."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import InputError
from hilum.run.writing import check_format, encodable
from hilum.text import plain_path

__all__ = ["SavedAnswer", "is_own_output", "num_unread_in", "output_format", "read_answers"]

_PREFIX = "probability_"
_HEAD_BYTES, _FOOT_BYTES = 2**16, 2**20
_OWN_JSON = re.compile(r'\{"file": ".*?", "(finding": (null|").*"probabilities": \{|error": \{"type": ")', re.DOTALL)
_OWN_TABLE = re.compile(r"\s*file +finding .*may be +remarks *\n *[\u2500\u2501 -]+\n")
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, csv.Error)  # of an output that is not whole
_TOLD = ("file", "heatmap", "model_sha256", "error", "accepted")  # columns that say what was done with a film


@dataclass(frozen=True)
class SavedAnswer:
    """One film that a model judged or refused.

    Attributes:
        probabilities: Finding to probability.
        set_size: Number of findings that cannot be ruled out.
        accepted: Whether the film was judged.
        model_sha256: Of the model file.
        outlier_score: As in `hilum.run.answer.Answer`; None also of earlier versions.
        exposure: The same.
    """

    probabilities: dict[str, float]
    set_size: int
    accepted: bool
    model_sha256: str
    outlier_score: float | None = None
    exposure: float | None = None


def is_own_output(path: Path) -> bool:
    """Return whether `predict` wrote a file, in any of its formats.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
        file.seek(max(0, path.stat().st_size - _FOOT_BYTES))
        foot = file.read()
    if start.startswith(b"PAR1"):
        return all(name in foot for name in (b"probability_", b"above_threshold", b"model_sha256"))
    first, _, _ = start.decode("utf-8", "replace").partition("\n")
    if first.startswith("{"):
        return _OWN_JSON.match(first) is not None
    columns = first.split(",")
    if len(columns) > 1:
        return columns[:2] == ["file", "finding"] and {"above_threshold", "model_sha256", "error"} <= set(columns)
    return _OWN_TABLE.match(start.decode("utf-8", "replace")) is not None


def output_format(path: Path) -> str:
    """Return the format of an output of `predict`.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(5)
    if start.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if start.startswith(b"{") else "csv" if start == b"file," else "table"


def read_answers(path: Path) -> list[SavedAnswer]:
    """Return the answers in an output of `hilum predict`; films that could not be read are left out.

    Raises:
        InputError: The file cannot be read, or `hilum predict` did not write it in one of these formats.
    """
    fix = "Give a file that `hilum predict --format jsonl`, csv or parquet wrote."
    try:
        rows = _READERS.get(output_format(path))
        if rows is None:
            raise InputError(f"`{path}` is not an output of `hilum predict` that can be read again.", fix=fix)
        return [_saved_answer(row) for row in rows(path) if row["error"] is None]
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"Cannot read `{path}`: {error.strerror}.", fix="Check the path.") from error
    except _DAMAGE as error:
        raise InputError(f"`{path}` is not a whole output of `hilum predict`.", fix=fix) from error


def _saved_answer(row: Mapping[str, Any]) -> SavedAnswer:
    shares = {name.removeprefix(_PREFIX): float(row[name]) for name in row if name.startswith(_PREFIX)}
    numbers = [None if row.get(name) is None else float(row[name]) for name in ("outlier_score", "exposure")]
    found = row["set"] if isinstance(row["set"], list) else row["set"].split("; ")
    return SavedAnswer(shares, len(found), row["accepted"] in (True, "true"), str(row["model_sha256"]), *numbers)


def num_unread_in(
    out: Path, films: Iterable[Path], *, format_: str, model_sha256: str, heatmaps: Path | None
) -> int | None:
    """Return how many films of a finished output could not be read, after checking that it is of these films.

    Args:
        out: The output.
        films: The paths of all films, in order.
        format_: The format that the user asks for.
        model_sha256: SHA-256 of the model file.
        heatmaps: The folder for heat maps; None for none.

    Returns:
        The number, or None for a table, which does not hold it.

    Raises:
        InputError: The output has other films, another model or other heat maps; or it is damaged.
    """
    fix = "To judge all films again, replace --resume by --overwrite. Or name another file."
    other, num_unread = "another list of films", 0
    try:
        if (found := output_format(out)) != format_:
            raise InputError(f"Cannot continue `{out}`: it is finished, in the format {found}.", fix=fix)
        if format_ not in _READERS:
            return None
        rows = _READERS[format_](out, _TOLD)
        for path in films:
            row = next(rows, None)
            if row is None or row["file"] != encodable(str(path)):
                break
            num_unread += row["error"] is not None and row["accepted"] is None
            if row["error"] is None and row["model_sha256"] != model_sha256:
                other = "another model file"
                break
            place = row["heatmap"] and Path(row["heatmap"]).parent
            if row["error"] is None and place != (heatmaps and Path(encodable(str(heatmaps)))):
                other = "another folder for heat maps"
                break
        else:
            if next(rows, None) is None:
                return num_unread
    except (OSError, *_DAMAGE) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot continue `{out}`: it is damaged.", fix=fix) from error
    raise InputError(f"Cannot continue `{out}`: it is finished, and the earlier run had {other}.", fix=fix)


# --- rows of every format, with the columns of CSV; absent values are None, a set may be a list ----------------------


def _json_rows(path: Path, _: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            answer = json.loads(line)
            row = {"file": encodable(answer["file"]), "error": answer.get("error"), "model_sha256": None}
            row["accepted"] = answer.get("accepted", False if (row["error"] or {}).get("refused") else None)
            row["heatmap"] = answer.get("heatmap") and encodable(answer["heatmap"])
            if row["error"] is None:
                row |= {name: answer.get(name) for name in ("outlier_score", "exposure")}
                row |= {"model_sha256": answer["model"]["sha256"], "set": answer["set"]}
                row |= {f"{_PREFIX}{name}": share for name, share in answer["probabilities"].items()}
            yield row


def _csv_rows(path: Path, _: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, strict=True):
            if None in row or None in row.values():
                raise ValueError("a line has another number of cells")
            paths = {key: plain_path(row[key]) or None for key in ("file", "heatmap")}
            yield {key: cell or None for key, cell in row.items()} | paths


def _parquet_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    check_format("parquet", path)
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(columns=list(columns) or None):
        yield from batch.to_pylist()


_READERS: Mapping[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "parquet": _parquet_rows,
    "jsonl": _json_rows,
    "csv": _csv_rows,
}
