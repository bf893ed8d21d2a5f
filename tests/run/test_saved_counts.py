"""Counts by day: they add up, over threads and starts, and a damaged file is said."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.run.saved_counts import DayCounts, add_to_day, is_counts, read_days

DAY = DayCounts(
    date(2026, 11, 30),
    {"name": "tiny", "sha256": "ab" * 32},
    ("Normal", "Covid-19"),
    1,
    {"likeliest": (1, 0), "refused": (0, 1)},
    {"lateral": 1},
)


def test_films_of_a_day_add_up_also_from_many_threads(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: add_to_day(tmp_path / "counts", DAY), range(40)))
    add_to_day(tmp_path / "counts", replace(DAY, day=date(2026, 12, 1)))
    add_to_day(tmp_path / "counts", replace(DAY, model={"name": "other", "sha256": "cd" * 32}))
    first, second = read_days(tmp_path / "counts", "ab" * 32)
    assert (first.n, first.counts["likeliest"], first.reasons) == (40, (40, 0), {"lateral": 40})
    assert (second.day, second.n) == (date(2026, 12, 1), 1)
    assert read_days(tmp_path / "counts", "ab" * 32, since=date(2026, 12, 1)) == [second]
    files = sorted((tmp_path / "counts").glob("*.json"))
    assert files[0].name == "2026-11-30-abababababab.json"
    assert read_days(files[0], "ab" * 32) == [first]
    assert is_counts(files[0])
    assert not is_counts(tmp_path / "today.jsonl")


@pytest.mark.parametrize("changed", [{"n": 2}, {"hilum_counts": 9}, {"counts": None}])
def test_a_damaged_file_is_an_error_and_stays(tmp_path: Path, changed: dict[str, object]) -> None:
    add_to_day(tmp_path, DAY)
    (path,) = tmp_path.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a whole file of counts"):
        add_to_day(tmp_path, DAY)
    assert path.read_bytes() == before
