"""Counts of answers by day: how a model answered to the films of a day, in numbers only.

    FOLDER/2026-11-30-0123456789ab.json     {"hilum_counts", "day", "model", "findings", "n", "counts", "reasons"}

The file holds no name, no film and no answer of one film. Several processes may count into one folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from hilum.errors import InputError
from hilum.files import replace_file

__all__ = ["DayCounts", "add_to_day", "is_counts", "read_days"]

_FORMAT = 1
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-[0-9a-f]{12}\.json")


@dataclass(frozen=True)
class DayCounts:
    """Answers of one model on one day.

    Attributes:
        day: The day, in local time.
        model: Name and SHA-256 of the model.
        findings: The model's findings.
        n: Number of films with an answer.
        counts: Quantity to the numbers of films in its bins, as `hilum.judge.drift.AnswerCounts` has them.
        reasons: Code of a reason for refusal to the number of films refused for it.
    """

    day: date
    model: Mapping[str, str]
    findings: Sequence[str]
    n: int
    counts: Mapping[str, Sequence[int]]
    reasons: Mapping[str, int] = field(default_factory=dict)


def is_counts(path: Path) -> bool:
    """Return whether a path is a folder, or a file named as a file of counts is."""
    return path.is_dir() or bool(_NAME.fullmatch(path.name))


def add_to_day(folder: Path, more: DayCounts) -> None:
    """Add answers to the file of their day and model. After a crash, the old file or the new one is there.

    Raises:
        InputError: The file of the day is damaged, or of another version.
        OSError: The folder cannot be written to.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{more.day.isoformat()}-{more.model['sha256'][:12]}.json"
    with _locked(folder / ".lock"):
        if path.exists():
            old = _read(path)
            counts = {name: _summed(old.counts, more.counts, name) for name in {**old.counts, **more.counts}}
            n, reasons = old.n + more.n, dict(Counter(old.reasons) + Counter(more.reasons))
        else:
            n, counts, reasons = more.n, {name: list(bins) for name, bins in more.counts.items()}, dict(more.reasons)
        made = {"hilum_counts": _FORMAT, "day": more.day.isoformat(), "model": dict(more.model)}
        made |= {"findings": list(more.findings), "n": n, "counts": counts, "reasons": reasons}
        replace_file(path, json.dumps(made, ensure_ascii=False), wait=False)


def _summed(old: Mapping[str, Sequence[int]], more: Mapping[str, Sequence[int]], name: str) -> list[int]:
    """Return the bins of a quantity; an earlier version of hilum may have begun the day without it."""
    if name not in old or name not in more:
        return list(old.get(name) or more[name])
    return [one + other for one, other in zip(old[name], more[name], strict=True)]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds the file; on systems without flock, hold it against nobody."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_days(path: Path, sha256: str, *, since: date | None = None) -> list[DayCounts]:
    """Return a model's counts in a file, or in all files of a folder; an empty list if there are none.

    Args:
        path: The file or folder.
        sha256: Of the model file. Counts of other models are left out.
        since: Leave out earlier days.

    Raises:
        InputError: It cannot be read, or a file is damaged.
    """
    found = (_read(one) for one in (_files(path) if path.is_dir() else [path]))
    return [one for one in found if one.model["sha256"] == sha256 and (since is None or one.day >= since)]


def _files(folder: Path) -> Iterable[Path]:
    try:
        return sorted(one for one in folder.iterdir() if _NAME.fullmatch(one.name))
    except OSError as error:
        raise InputError(f"Cannot read `{folder}`: {error.strerror}.", fix="Check the path.") from error


def _read(path: Path) -> DayCounts:
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"Cannot read `{path}`: {error.strerror}.", fix="Check the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"`{path}` is not a whole file of counts of this version of hilum.", fix="Move it to another folder."
        ) from error


def _from_json(values: dict[str, Any]) -> DayCounts:
    if values["hilum_counts"] != _FORMAT:
        raise ValueError("another format")
    counts = {str(name): tuple(map(int, bins)) for name, bins in values["counts"].items()}
    n = int(values["n"])
    if max(map(sum, counts.values())) != n or min(map(min, counts.values())) < 0:  # of some films less is known
        raise ValueError("the bins do not sum up")
    return DayCounts(
        date.fromisoformat(values["day"]),
        {key: str(values["model"][key]) for key in ("name", "sha256")},
        tuple(map(str, values["findings"])),
        n,
        counts,
        {str(code): int(number) for code, number in values["reasons"].items()},
    )
