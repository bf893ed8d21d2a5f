"""Films whose finding is one of several."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.data.ambiguous_labels import set_apart
from hilum.data.fingerprint import Twin
from hilum.data.folder import read_dataset
from hilum.data.phantom import write_phantoms
from hilum.data.scan import Scan, scan_films
from hilum.errors import InconsistentDataset
from hilum.findings import common_kinds, open_kinds, standard_name

KINDS = ("Normal", "Viral Pneumonia", "Bacterial Pneumonia")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = tmp_path_factory.mktemp("films")
    write_phantoms(folder, num_per_finding=4, num_test_per_finding=1, seed=2, findings=KINDS, size_px=96)
    films = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("train/*/*"))
    lines = ["path,finding,patient,source,split"]
    for number, film in enumerate(films):
        finding = film.split("/")[1]
        if number % 4 == 3:
            finding = "bacterial | virus" if finding != "Normal" else "Pneumonia"
        lines.append(f"{film},{finding},p{number // 2},{'ab'[number // 2 % 2]},")
    manifest = folder / "films.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return scan_films(read_dataset(manifest))


def test_names_say_what_is_left_open() -> None:
    assert standard_name("bacterial | virus") == "Viral Pneumonia|Bacterial Pneumonia"
    assert open_kinds("Viral Pneumonia|Bacterial Pneumonia", KINDS) == ("Viral Pneumonia", "Bacterial Pneumonia")
    assert open_kinds("Pneumonia (type not stated)", KINDS) == ("Viral Pneumonia", "Bacterial Pneumonia")
    assert open_kinds("Pneumonia (type not stated)", (*KINDS, "Covid-19"))[0] == "Covid-19"
    assert open_kinds("Pneumonia (type not stated)", ("Normal", "Covid-19", "Viral Pneumonia")) == ()
    assert open_kinds("Normal", KINDS) == ()


def test_findings_agree_in_what_all_leave_open() -> None:
    either = "Viral Pneumonia|Bacterial Pneumonia"
    assert common_kinds([either, "Viral Pneumonia"], KINDS) == ("Viral Pneumonia",)
    assert common_kinds([either, "Pneumonia (type not stated)"], KINDS) == ("Viral Pneumonia", "Bacterial Pneumonia")
    assert common_kinds([either, "Normal"], KINDS) == ()
    assert common_kinds(["Normal", "Normal"], KINDS) == ("Normal",)


def test_they_are_set_apart_and_the_rest_keeps_its_places(scan: Scan) -> None:
    stated, ambiguous = set_apart(scan)
    assert stated.dataset.findings == KINDS
    assert len(stated.dataset.records) == 9
    assert len(ambiguous) == 3
    assert set(ambiguous.kinds) == {("Viral Pneumonia", "Bacterial Pneumonia")}
    assert [scan.dataset.records[i] for i in ambiguous.positions] == list(ambiguous.records)
    place = [scan.dataset.records.index(record) for record in stated.dataset.records]
    assert np.array_equal(stated.groups, scan.groups[place])
    assert [stated.fingerprints[i] is scan.fingerprints[j] for i, j in enumerate(place)] == [True] * 9


def test_twins_keep_their_films(scan: Scan) -> None:
    _, ambiguous = set_apart(scan)
    last = len(scan.dataset.records) - 1
    stated_film = next(i for i in range(last, 0, -1) if i not in ambiguous.positions)
    twins = (Twin(0, stated_film, False, 3, 0.99), Twin(0, int(ambiguous.positions[0]), False, 3, 0.99))
    stated, _ = set_apart(dataclasses.replace(scan, twins=twins))
    (twin,) = stated.twins
    for before, now in ((0, twin.first), (stated_film, twin.second)):
        assert stated.dataset.records[now] is scan.dataset.records[before]


def test_no_patient_of_a_judged_film_teaches(scan: Scan) -> None:
    stated, ambiguous = set_apart(scan)
    everything = ambiguous.teaching(np.array([], int))
    assert everything.tolist() == [True] * 3
    beside = [i for i, record in enumerate(stated.dataset.records) if record.patient == ambiguous.records[0].patient]
    assert beside
    assert not ambiguous.teaching(stated.groups[beside])[0]
    held = ambiguous.teaching(np.array([], int), without_sources=(ambiguous.records[0].source,))
    assert [one.source != ambiguous.records[0].source for one in ambiguous.records] == held.tolist()


def test_sets_without_such_films_are_left_as_they_are(scan: Scan) -> None:
    stated, _ = set_apart(scan)
    same, none = set_apart(stated)
    assert same is stated
    assert len(none) == 0
    assert none.teaching(stated.groups).shape == (0,)


def test_a_kind_that_no_film_is_stated_to_show_is_an_error(scan: Scan) -> None:
    """Reading a list leaves such films out; here films of a kind have become unreadable since."""
    record = dataclasses.replace(scan.dataset.records[0], finding="Viral Pneumonia|Lipoid")
    records = (record, *scan.dataset.records[1:])
    odd = dataclasses.replace(scan, dataset=dataclasses.replace(scan.dataset, records=records))
    with pytest.raises(InconsistentDataset, match="no film has Lipoid alone"):
        set_apart(odd)
