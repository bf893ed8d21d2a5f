"""Checks, and what comes of a list of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hilum.data.folder import Dataset, FilmRecord
from hilum.data.scan import Scan
from hilum.figures import to_json
from hilum.judge.audit.check import SEVERITIES, AuditData, Check, Fault, Found, run_checks


def data_of(*findings: str) -> AuditData:
    records = tuple(FilmRecord(f"{number}.png", finding, None) for number, finding in enumerate(findings))
    scan = Scan(Dataset(Path(), "set", records), (None,) * len(records), (), np.arange(len(records)), ())
    return AuditData(scan, ("train",) * len(records))


def check_that(found: Found | Exception, *, code: str = "odd", why: str = "", comes_from: str = "") -> Check:
    def find(_: AuditData) -> Found:
        if isinstance(found, Exception):
            raise found
        return found

    return Check(code, "Odd films", "error", "They are odd.", "Look.", find, (lambda _: why,), comes_from=comes_from)


def test_a_fault_is_plain_json() -> None:
    fault = Fault("leak", "error", "A test film has a twin.", ("test/é.png", "train/b.png"), 0.98)
    assert json.loads(json.dumps(to_json(fault))) == {
        "kind": "leak",
        "severity": "error",
        "message": "A test film has a twin.",
        "paths": ["test/é.png", "train/b.png"],
        "figure": 0.98,
    }


def test_the_worst_severity_comes_first() -> None:
    assert SEVERITIES == ("error", "warning", "note")
    first, second = Fault("b", "note", "n"), Fault("a", "error", "e")
    results = run_checks(data_of(), [check_that(first, code="b"), check_that(second, code="a")])
    assert results.faults == (second, first)


@pytest.mark.parametrize(
    ("found", "why", "status"),
    [
        (None, "", "passed"),
        ([], "", "passed"),
        (Fault("odd", "note", "m"), "", "failed"),
        ([Fault("odd", "note", "m")] * 2, "", "failed"),
        (Fault("odd", "note", "m"), "No patient is known.", "not_applicable"),
    ],
)
def test_a_check_fails_passes_or_cannot_be_applied(found: Found, why: str, status: str) -> None:
    results = run_checks(data_of(), [check_that(found, why=why)])
    (outcome,) = results.outcomes
    assert outcome.to_dict() == {"code": "odd", "status": status, "why": why}
    assert bool(results.faults) == (status == "failed")
    assert results.of_status("passed") == (results.outcomes if status == "passed" else ())


def test_what_is_ignored_is_remembered_and_does_not_count() -> None:
    check = check_that([Fault("odd", "error", "m")] * 2)
    results = run_checks(data_of(), [check], ignore=["odd"])
    assert results.faults == ()
    (outcome,) = results.outcomes
    assert (outcome.status, outcome.why) == ("ignored", "It found 2 faults; ignored as you asked.")
    passed = run_checks(data_of(), [check_that(None)], ignore=["odd"]).outcomes[0]
    assert (passed.status, passed.why) == ("ignored", "It passed; ignored as you asked.")


@pytest.mark.parametrize(
    "found", [ValueError("too few"), Fault("other", "note", "m"), Fault("odd", "fatal", "m"), ["no fault"]]
)
def test_a_broken_check_of_a_plug_in_stops_nothing(found: Found | Exception) -> None:
    broken = check_that(found, comes_from="`package`")
    results = run_checks(data_of(), [broken, check_that(None, code="sound")])
    assert [one.status for one in results.outcomes] == ["not_applicable", "passed"]
    assert results.outcomes[0].why.startswith("It failed in `package`: ValueError: ")
    with pytest.raises(ValueError, match=r"too few|expected faults of kind odd"):
        run_checks(data_of(), [check_that(found)])  # one of hilum's own


def test_a_film_of_several_findings_is_no_class_of_its_own() -> None:
    stated = data_of("Normal", "Normal|Covid-19", "Covid-19").stated
    assert [record.finding for record in stated.scan.dataset.records] == ["Normal", "Covid-19"]
    assert stated.splits == ("train", "train")
