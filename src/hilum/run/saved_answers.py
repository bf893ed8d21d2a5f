"""Reads what `hilum predict` wrote: answers in JSON Lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import InputError
from hilum.run.finished import output_format
from hilum.run.writing import check_format

__all__ = ["SavedAnswer", "read_answers"]

_PREFIX = "probability_"


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


def read_answers(path: Path) -> list[SavedAnswer]:
    """Return the answers in an output of `hilum predict`; films that could not be read are left out.

    Raises:
        InputError: The file cannot be read, or `hilum predict` did not write it in one of these formats.
    """
    fix = "Give a file that `hilum predict --format jsonl`, csv or parquet wrote."
    try:
        rows = {"jsonl": _json_rows, "csv": _csv_rows, "parquet": _parquet_rows}.get(output_format(path))
        if rows is None:
            raise InputError(f"`{path}` is not an output of `hilum predict` that can be read again.", fix=fix)
        return list(rows(path))
    except OSError as error:
        raise InputError(f"Cannot read `{path}`: {error.strerror}.", fix="Check the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"`{path}` is not a whole output of `hilum predict`.", fix=fix) from error


def _json_rows(path: Path) -> Iterator[SavedAnswer]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            answer = json.loads(line)
            if "error" not in answer:
                shares = {name: float(share) for name, share in answer["probabilities"].items()}
                sha256 = str(answer["model"]["sha256"])
                film = _number(answer.get("outlier_score")), _number(answer.get("exposure"))
                yield SavedAnswer(shares, len(answer["set"]), bool(answer["accepted"]), sha256, *film)


def _csv_rows(path: Path) -> Iterator[SavedAnswer]:
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, strict=True):
            if row["model_sha256"]:
                yield _from_cells(row, accepted=row["accepted"] == "true")


def _parquet_rows(path: Path) -> Iterator[SavedAnswer]:
    check_format("parquet", path)
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            if row["model_sha256"]:
                yield _from_cells(row, accepted=bool(row["accepted"]))


def _from_cells(row: dict[str, Any], *, accepted: bool) -> SavedAnswer:
    shares = {name.removeprefix(_PREFIX): float(row[name]) for name in row if name.startswith(_PREFIX)}
    film = _number(row.get("outlier_score")), _number(row.get("exposure"))
    return SavedAnswer(shares, len(row["set"].split("; ")), accepted, str(row["model_sha256"]), *film)


def _number(cell: Any) -> float | None:
    return None if cell in (None, "") else float(cell)
