"""Sources contradict what they should, accuse nobody else, and patients are found on both sides."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hilum.data.folder import Dataset, FilmRecord, read_dataset
from hilum.data.public_sets import COLLECTIONS, PublicFilm
from hilum.data.scan import Scan, scan_films
from hilum.judge.audit.check import AuditData, Fault, run_checks
from hilum.judge.audit.provenance import CHECKS

SPLITS = ("train", "train", "test", "test")


def scan_of(
    *known: PublicFilm | None, patients: tuple[str | None, ...] = (None,) * 4, finding: str = "Covid-19"
) -> Scan:
    records = tuple(
        FilmRecord(f"{split}/{number}.png", finding, split, patient)
        for number, (split, patient) in enumerate(zip(SPLITS, patients, strict=True))
    )
    return Scan(Dataset(Path(), "set", records), (), (), np.arange(4), (), known)


def source(finding: str, *, name: str = "Origin", ambiguous: bool = False) -> PublicFilm:
    return PublicFilm(name, "a.png", finding, None, False, 3, ambiguous)


def provenance_faults(scan: Scan, splits: Sequence[str]) -> list[Fault]:
    return list(run_checks(AuditData(scan, tuple(splits)), CHECKS).faults)


def of_kind(faults: list[Fault], kind: str) -> list[Fault]:
    return [fault for fault in faults if fault.kind == kind]


def test_a_source_that_contradicts_is_an_error_with_its_films() -> None:
    scan = scan_of(source("ARDS"), source("ARDS"), source("ARDS"), source("Covid-19"))
    faults = of_kind(provenance_faults(scan, SPLITS), "source-label")
    assert [(fault.severity, fault.paths) for fault in faults] == [
        ("error", ("test/2.png",)),
        ("error", ("train/0.png", "train/1.png")),
    ]
    assert faults[1].message == "2 train films are labelled Covid-19, but their source, Origin, says ARDS."
    assert faults[1].instead == "ARDS"


def test_what_is_less_sure_is_a_warning() -> None:
    scan = scan_of(source("Pneumonia"), source("Normal", name=COLLECTIONS[0]), None, None)
    faults = of_kind(provenance_faults(scan, SPLITS), "source-label")
    assert [(fault.severity, fault.paths) for fault in faults] == [
        ("warning", ("train/1.png",)),
        ("warning", ("train/0.png",)),
    ]


def test_nobody_is_accused_without_reason() -> None:
    scan = scan_of(source("Covid-19"), source("Normal", ambiguous=True), source("todo"), None)
    faults = provenance_faults(scan, SPLITS)
    assert [(fault.kind, fault.severity, fault.figure) for fault in faults] == [("known-source", "note", 3)]
    assert faults[0].message == "3 films are recognised as being from Origin."


def test_a_patient_on_both_sides_is_an_error() -> None:
    scan = scan_of(None, None, None, None, patients=("p", "P", "p", "q"))
    (fault,) = provenance_faults(scan, SPLITS)
    assert (fault.kind, fault.severity) == ("patient-overlap", "error")
    assert fault.paths == ("test/2.png", "train/0.png", "train/1.png")
    assert "p" not in fault.message.split()


def test_films_that_the_starting_weights_have_seen_are_named() -> None:
    data = AuditData(scan_of(None, None, None, None), SPLITS, seen=np.array([True, False, True, False]))
    (fault,) = run_checks(data, CHECKS).faults
    assert (fault.kind, fault.severity, fault.figure) == ("seen-before", "warning", 0.5)
    assert fault.paths == ("train/0.png", "test/2.png")
    assert fault.message.startswith("2 of 4 films")


def test_what_cannot_be_checked_is_said_with_its_reason() -> None:
    data = AuditData(scan_of(None, None, None, None), ("test",) * 4, is_trained_on=False)
    results = run_checks(data, CHECKS)
    assert {one.check.code: one.why.split(":")[0] for one in results.of_status("not_applicable")} == {
        "leak": "The data set has no test part of its own beside a training part.",
        "patient-overlap": "The data set has no test part of its own beside a training part.",
        "source-label": "No film was recognised as being from a public set.",
        "seen-before": "No model is trained on these films.",
    }
    beside = run_checks(AuditData(scan_of(None, None, None, None), SPLITS), CHECKS)
    reasons = {one.check.code: one.why for one in beside.of_status("not_applicable")}
    assert reasons["patient-overlap"].startswith("No patient is known")
    assert reasons["seen-before"] == "No training starts here from weights that have seen chest films."


@pytest.fixture(scope="module")
def seed(hilum_data: Path) -> Scan:
    return scan_films(read_dataset(hilum_data / "covid19-image-dataset"))


@pytest.mark.slow
def test_the_wrong_labels_of_the_seed_set_are_found(hilum_data: Path, seed: Scan) -> None:
    splits = [record.split or "" for record in seed.dataset.records]
    accused = {path for fault in of_kind(provenance_faults(seed, splits), "source-label") for path in fault.paths}
    with (hilum_data / "provenance" / "covid19-image-dataset.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = {"Covid": "COVID-19", "Normal": "Normal", "Viral Pneumonia": "Viral Pneumonia"}
    wrong = {
        row["path"]
        for row in rows
        if row["matched"] == "1" and row["source_finding"] not in {names[row["path"].split("/")[1]], "unlabelled"}
    }
    assert len(wrong) == 17 + 13 + 24
    assert accused == wrong


@pytest.mark.slow
def test_patients_of_the_seed_set_on_both_sides_are_found(seed: Scan) -> None:
    splits = [record.split or "" for record in seed.dataset.records]
    overlap = of_kind(provenance_faults(seed, splits), "patient-overlap")
    assert len({fault.paths[1:] for fault in overlap}) >= 8
