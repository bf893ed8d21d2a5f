"""Known films are recognised, their source is believed where it may be, and indexes are read safely."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from known_films import write_index

from hilum.data.fingerprint import Fingerprint
from hilum.data.public_sets import COLLECTIONS, MAX_KNOWN_DISTANCE, compare_findings, recognise
from hilum.errors import InputError

HEADER = ("set", "file", "finding", "patient", "gray_sha256_16", "dhash256")
BASE = int("0123456789abcdef" * 4, 16)


def seen(dhash: int, grey: str = "f" * 64) -> Fingerprint:
    words = np.array([dhash >> shift & (2**64 - 1) for shift in (192, 128, 64, 0)], np.uint64)
    return Fingerprint("", words, np.zeros((64, 64), np.uint8), grey)


def index_of(folder: Path, *rows: tuple[str, str, str, str, int], patients: Mapping[tuple[str, str], str] = {}) -> Path:
    films = [
        dict(zip(HEADER, (*row[:4], f"{number:016x}", f"{row[4]:064x}"), strict=True))
        for number, row in enumerate(rows)
    ]
    assert write_index(films, patients, folder / "index.films") == len(rows)
    return folder / "index.films"


def test_a_film_is_recognised_up_to_the_threshold(tmp_path: Path) -> None:
    index = index_of(tmp_path, ("Origin", "a.png", "Normal", "7", BASE))
    near, far = BASE ^ (2**MAX_KNOWN_DISTANCE - 1), BASE ^ (2 ** (MAX_KNOWN_DISTANCE + 1) - 1)
    found, lost = recognise([seen(near), seen(far)], index=index)
    assert lost is None
    assert found is not None
    assert (found.set, found.file, found.finding, found.patient) == ("Origin", "a.png", "Normal", "Origin: 7")
    assert (found.exact, found.dhash_distance, found.ambiguous) == (False, MAX_KNOWN_DISTANCE, False)
    assert "7" not in repr(found)


def test_exact_beats_near_and_the_first_home_beats_collections(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        ("Origin", "near.png", "Normal", "", BASE ^ 1),
        ("Origin", "exact.png", "Normal", "", BASE ^ 3),
        (COLLECTIONS[0], "copy.png", "Viral Pneumonia", "", BASE),
    )
    near, exact = recognise([seen(BASE), seen(BASE, f"{1:016x}" + "0" * 48)], index=index)
    assert near is not None
    assert (near.file, near.exact, near.ambiguous) == ("near.png", False, False)
    assert exact is not None
    assert (exact.file, exact.exact) == ("exact.png", True)


def test_first_homes_that_disagree_are_ambiguous(tmp_path: Path) -> None:
    rows = ("A", "a.png", "Normal", "", BASE), ("B", "b.png", "Covid-19", "", BASE ^ 1)
    (found,) = recognise([seen(BASE)], index=index_of(tmp_path, *rows))
    assert found is not None
    assert found.ambiguous


def test_findings_are_compared_as_documented() -> None:
    assert compare_findings("COVID", "Covid-19") == "agrees"
    assert compare_findings("Covid-19", "Viral Pneumonia") == "disagrees"
    assert compare_findings("Covid-19", "ARDS") == "disagrees"
    assert compare_findings("Viral Pneumonia", "Bacterial Pneumonia") == "disagrees"
    assert compare_findings("Viral Pneumonia", "Pneumonia") == "less specific"
    assert compare_findings("Pneumonia", "Lipoid") == "agrees"
    assert compare_findings("bacterial|viral", "Bacterial Pneumonia") == "agrees"
    assert compare_findings("bacterial|viral", "Pneumonia") == "less specific"
    assert compare_findings("bacterial|viral", "Normal") == "disagrees"
    assert compare_findings("Normal", "Pneumonia") == "disagrees"
    for source in ("", "todo", "Something else"):
        assert compare_findings("Normal", source) == "unstated"
    assert compare_findings("Other", "Normal") == "unstated"


def test_patients_are_filled_in_from_another_place(tmp_path: Path) -> None:
    index = index_of(tmp_path, ("A", "a.png", "Normal", "", BASE), patients={("A", "a.png"): "p1"})
    (found,) = recognise([seen(BASE)], index=index)
    assert found is not None
    assert found.patient == "A: p1"


def test_bad_indexes_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK\x03\x04 no index")
    np.savez(tmp_path / "pickled.npz", words=np.array([{}], dtype=object))
    for path in (tmp_path / "none.npz", bad, tmp_path / "pickled.npz"):
        with pytest.raises(InputError, match="Cannot read the index of public films"):
            recognise([seen(BASE)], index=path)


def test_the_shipped_index_knows_what_it_was_made_of(hilum_data: Path) -> None:
    with gzip.open(hilum_data / "provenance" / "known-images.csv.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["set"] == "Kermany chest_xray"][::97]
    found = recognise([seen(int(row["dhash256"], 16), row["gray_sha256_16"].ljust(64, "0")) for row in rows])
    assert all(one is not None and one.exact and one.file == row["file"] for one, row in zip(found, rows, strict=True))
    assert all(one is None for one in recognise([seen(BASE)]))
