"""How large the films of a data set are; the rest of a scan is tested with patients, labels and twins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hilum.data.fingerprint import Twin
from hilum.data.folder import FilmRecord, read_dataset
from hilum.data.phantom import write_phantoms
from hilum.data.scan import drop_placeholders, group_films, scan_films, typical_side


def test_the_typical_side_is_that_of_the_films_that_can_be_read(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "films", num_per_finding=4, num_test_per_finding=0, seed=0, size_px=96)
    dataset = read_dataset(tmp_path / "films")
    assert 72 <= (typical_side(dataset) or 0) <= 96  # phantoms are not square
    for record in dataset.records:
        (dataset.root / record.path).write_bytes(b"no film")
    assert typical_side(dataset) is None


# --- iDs that are placeholders tie nothing together; patients with many films stay together ---------------------------


Film = tuple[str, str | None]  # finding and patient


def films(*some: tuple[int, str, str | None], source: str | None = None) -> list[FilmRecord]:
    """Return records of (number of films, finding, patient; "*" for a patient of its own each)."""
    records = []
    for number, finding, patient in some:
        for film in range(number):
            own = f"{finding}-{len(records)}" if patient == "*" else patient
            records.append(FilmRecord(f"{finding}/{len(records)}-{film}.png", finding, None, own, source))
    return records


def lost(records: list[FilmRecord]) -> set[str | None]:
    kept, _ = drop_placeholders(records)
    return {record.patient for record, patient in zip(records, kept, strict=True) if patient is None and record.patient}


def test_one_id_on_all_films_is_a_placeholder_and_said_once_without_the_id() -> None:
    records = films((14, "Normal", "REMOVED"), (14, "Effusion", "REMOVED"))
    kept, (remark,) = drop_placeholders(records)
    assert kept == [None] * 28
    assert remark.message.startswith("The same Patient ID is on 28 of 28 films, of 2 findings. It is a placeholder")
    assert "REMOVED" not in remark.message
    assert len(remark.paths) == 28


def test_ids_on_most_films_or_on_many_of_every_finding_are_placeholders() -> None:
    assert lost(films((8, "Normal", "x"), (7, "Effusion", "x"), (12, "Effusion", "*"))) == {"x"}
    assert lost(films((20, "Normal", "x"), (20, "Effusion", "x"), (60, "Normal", "*"))) == {"x"}
    assert lost(films((14, "Normal", "n"), (14, "Effusion", "e"))) == {"n", "e"}
    three = films(*((5, finding, name) for finding in ("Normal", "Effusion") for name in ("a", "b", "c")))
    assert lost(three) == {"a", "b", "c"}
    assert "3 Patient IDs are on 30 of 30 films" in drop_placeholders(three)[1][0].message


def test_a_placeholder_of_one_hospital_among_many() -> None:
    records = films((200, "Normal", "*"), (200, "Effusion", "*"), source="a")
    records += films((30, "Normal", "x"), (5, "Normal", "*"), source="b")
    assert lost(records) == {"x"}


def test_patients_with_many_films_stay() -> None:
    follow_up = films((10, "Normal", "p"), (20, "Effusion", "p"), (100, "Normal", "*"), (100, "Effusion", "*"))
    assert lost(follow_up) == set()
    assert lost(films((7, "Normal", "p"), (3, "Effusion", "q"))) == set()
    assert lost(films((20, "Effusion", "p"), (20, "Effusion", "*"), (40, "Normal", "*"))) == set()
    six = films(*((4, finding, f"p{n}") for n in range(6) for finding in ("Normal", "Effusion")))
    assert lost(six) == set()
    assert lost(films((30, "Normal", None), (30, "Effusion", None))) == set()


def test_dicom_files_with_one_id_are_not_grouped(cases: Path) -> None:
    scan = scan_films(read_dataset(cases / "12-placeholder-patient-id" / "flat"))
    assert len(np.unique(scan.groups)) == 28
    assert [remark.kind for remark in scan.dataset.remarks] == ["placeholder-patient"]


# --- groups -----------------------------------------------------------------------------------------------------------


def test_groups_join_twins_and_patients_of_one_source() -> None:
    keys = [("p", "A"), ("p", "A"), ("p", "B"), (None, None), (None, None), ("q", None), ("q", None), (None, "A")]
    records = [FilmRecord(f"{i}.png", "x", None, patient, source) for i, (patient, source) in enumerate(keys)]
    twins = [Twin(3, 4, True, 0, 1.0), Twin(1, 4, False, 3, 0.98)]
    assert list(group_films(records, twins)) == [0, 0, 1, 0, 0, 2, 2, 3]
    assert list(group_films(records, [])) == [0, 0, 1, 2, 3, 4, 4, 5]


def test_a_patient_is_one_however_the_id_is_written() -> None:
    ids = ["MRN 7", "mrn  7", "MRN 8", "MRN7"]
    records = [FilmRecord(f"{i}.png", "x", None, patient) for i, patient in enumerate(ids)]
    assert list(group_films(records, [])) == [0, 0, 1, 2]


def test_groups_of_a_manifest_hold_across_sources_and_join_twins() -> None:
    keys = [("A", "1"), ("B", "1"), ("A", None), ("A", "2"), ("A", None)]
    records = [FilmRecord(f"{i}.png", "x", None, None, source, group) for i, (source, group) in enumerate(keys)]
    assert list(group_films(records, [Twin(2, 3, True, 0, 1.0)])) == [0, 0, 1, 1, 2]


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    )
)
def test_groups_are_the_connected_components(case: tuple[int, list[tuple[int, int]]]) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    num, pairs = case
    records = [FilmRecord(f"{i}.png", "x", None) for i in range(num)]
    groups = group_films(records, [Twin(min(pair), max(pair), True, 0, 1.0) for pair in pairs])
    ends = np.array(pairs, dtype=int).reshape(-1, 2)
    expected = connected_components(
        coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(num, num)), directed=False
    )[1]
    assert np.array_equal(groups[:, None] == groups[None], expected[:, None] == expected[None])
