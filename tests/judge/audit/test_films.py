"""Checks of single films, of how they were read, and of how many films each finding has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hilum.data.folder import Dataset, FilmRecord
from hilum.data.labels import Remark
from hilum.data.scan import Scan
from hilum.errors import HilumError, RefusedFilm, UndecodableFilm
from hilum.judge.audit.check import AuditData, CheckResults, run_checks
from hilum.judge.audit.films import CHECKS, IMBALANCE_RATIO, SMALL_CLASS
from hilum.judge.audit.traits import FilmTraits
from hilum.run.answer import Reason


def checked(
    findings: Sequence[str],
    *,
    splits: Sequence[str] = (),
    remarks: tuple[Remark, ...] = (),
    unread: tuple[tuple[str, HilumError], ...] = (),
    traits: tuple[FilmTraits, ...] = (),
    is_trained_on: bool = True,
) -> CheckResults:
    records = tuple(FilmRecord(f"{number}.png", finding, None) for number, finding in enumerate(findings))
    scan = Scan(
        Dataset(Path(), "set", records, remarks=remarks), (None,) * len(records), (), np.arange(len(records)), unread
    )
    data = AuditData(scan, tuple(splits or ["train"] * len(records)), traits, is_trained_on=is_trained_on)
    return run_checks(data, CHECKS)


def traits_with(*codes: str) -> FilmTraits:
    zeros = np.zeros(4, np.float32)
    reasons = tuple(Reason(code, f"It is {code}.") for code in codes)
    return FilmTraits(np.zeros((32, 32), np.uint8), "png", (96, 96), 8, "grey", 0, 1.0, zeros, zeros, None, reasons)


def test_size_and_balance_are_counted_without_the_test_part() -> None:
    findings = ["Normal"] * 21 + ["Covid-19"] * 5 + ["Covid-19"] * 50
    faults = checked(findings, splits=["train"] * 26 + ["test"] * 50).faults
    assert [(fault.kind, fault.severity, fault.figure) for fault in faults] == [
        ("small-class", "warning", 5),
        ("small-class", "warning", 21),
        ("imbalance", "note", pytest.approx(21 / 5)),
    ]
    assert "4.2 times as many" in faults[2].message
    assert SMALL_CLASS == 30
    assert IMBALANCE_RATIO < 21 / 5


def test_where_nothing_is_trained_sizes_do_not_matter() -> None:
    results = checked(["Normal", "Covid-19"], is_trained_on=False)
    assert results.faults == ()
    reasons = {one.check.code: one.why for one in results.of_status("not_applicable")}
    assert reasons["small-class"] == reasons["imbalance"] == "No model is trained on these films."
    assert reasons["rotated"] == "The films were not examined one by one."


def test_remarks_of_reading_are_faults_of_their_kind() -> None:
    remark = Remark("passed-over", "11 files .dcm.gz were passed over.", ("a.dcm.gz",), "warning")
    (fault,) = [one for one in checked(["Normal"] * 30, remarks=(remark,)).faults if one.kind == "passed-over"]
    assert (fault.severity, fault.message, fault.paths) == ("warning", remark.message, remark.paths)


def test_films_that_cannot_be_read_and_refused_ones_are_told_apart() -> None:
    unread = (("a.png", UndecodableFilm("The file is empty.")), ("b.dcm", RefusedFilm("It shows a hand.")))
    faults = checked(["Normal"] * 30, unread=unread).faults
    assert [(fault.kind, fault.paths) for fault in faults] == [("refused", ("b.dcm",)), ("unreadable", ("a.png",))]


def test_a_film_that_would_not_be_judged_is_a_fault_by_its_reason() -> None:
    traits = (traits_with("too-small"), traits_with("constant", "lateral"), traits_with("constant"))
    faults = {fault.kind: fault for fault in checked(["Normal"] * 3, traits=traits).faults}
    assert (faults["constant"].severity, faults["constant"].paths) == ("error", ("1.png", "2.png"))
    assert faults["constant"].message == "2 films would not be judged; of the first: It is constant."
    assert (faults["low-resolution"].severity, faults["low-resolution"].message) == ("warning", "It is too-small.")
    assert faults["lateral"].paths == ("1.png",)
