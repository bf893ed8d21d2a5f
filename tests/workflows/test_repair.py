"""The repaired manifest: each rule does what it says, nothing leaks, nothing of the data set is touched."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.folder import read_dataset
from hilum.data.public_sets import PublicFilm
from hilum.data.scan import scan_films
from hilum.errors import InconsistentDataset, InputError
from hilum.judge.audit.audit import HILUM_CHECKS, Audit
from hilum.judge.audit.check import AuditData, JudgedFilms, run_checks
from hilum.judge.audit.traits import TraitCollector
from hilum.workflows.repair import dropped_path, repair_films, write_repair

WriteFilm = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, write_film: WriteFilm) -> Path:
    """6 + 6 films to train on, 3 + 3 to test on, without a fault but their number."""
    for part, numbers in (("train", range(6)), ("test", range(100, 103))):
        for finding, shift in (("Normal", 0), ("Covid", 50)):
            for number in numbers:
                write_film(tmp_path / "set" / part / finding / f"{number}.png", seed=number + shift)
    return tmp_path / "set"


def quick_audit(data: Path) -> Audit:
    """Return an audit without trivial models: the repair does not ask them."""
    dataset = read_dataset(data)
    look = TraitCollector(len(dataset.records))
    scan = scan_films(dataset, look=look)
    splits = tuple(record.split or "train" for record in scan.dataset.records)
    found = AuditData(scan, splits, look.of(scan))
    return Audit(found, run_checks(found, HILUM_CHECKS))


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["path"]: row for row in csv.DictReader(lines)}


def repaired(data: Path, out: Path) -> tuple[dict, dict, Audit]:
    """Return the rows kept and dropped by path in the data set, and the audit of the repaired manifest."""
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in data.rglob("*") if path.is_file()}
    num_kept, num_dropped = write_repair(quick_audit(data), out, data)
    after = {path: hashlib.sha256(path.read_bytes()).digest() for path in data.rglob("*") if path.is_file()}
    assert before == after
    kept, dropped = rows_of(out), rows_of(dropped_path(out))
    assert (len(kept), len(dropped)) == (num_kept, num_dropped)
    assert {Path(out.parent, path).resolve() for path in (*kept, *dropped)} == {path.resolve() for path in before}

    def named(rows: dict) -> dict:
        return {
            Path(out.parent, path).resolve().relative_to(data.resolve()).as_posix(): row for path, row in rows.items()
        }

    return named(kept), named(dropped), quick_audit(out)


def near_twin(source: Path, target: Path) -> None:
    pixels = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(target), cv2.resize(pixels, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA))


def test_a_sound_set_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    kept, dropped, audit = repaired(data, tmp_path / "same.csv")
    assert dropped == {}
    assert all(row["reason"] == "" for row in kept.values())
    original = read_dataset(data).records
    assert {path: (row["split"], row["finding"]) for path, row in kept.items()} == {
        record.path: (record.split, record.finding) for record in original
    }
    assert sorted((r.split, r.finding) for r in audit.data.scan.dataset.records) == sorted(
        (str(r.split), r.finding) for r in original
    )


@pytest.mark.slow
def test_a_leak_leaves_the_test_part(data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "train/Normal/2.png", data / "test/Normal/same.png")
    near_twin(data / "train/Covid/4.png", data / "test/Covid/near.png")
    assert sum(fault.kind == "leak" for fault in quick_audit(data).faults) == 2
    kept, dropped, audit = repaired(data, tmp_path / "mended.csv")
    assert not any(fault.kind == "leak" for fault in audit.faults)
    assert kept["test/Covid/near.png"]["split"] == "train"
    assert "moved from test to train" in kept["test/Covid/near.png"]["reason"]
    assert kept["test/Covid/near.png"]["group"] == kept["train/Covid/4.png"]["group"]
    assert list(dropped) == ["test/Normal/same.png"]
    assert dropped["test/Normal/same.png"]["reason"] == "dropped: the same picture as train/Normal/2.png"
    assert kept["train/Normal/2.png"]["reason"] == ""


def test_a_patient_on_both_sides_leaves_the_test_part(data: Path, tmp_path: Path) -> None:
    lines = ["path,finding,split,patient"]
    for record in read_dataset(data).records:
        patient = "p1" if record.path in {"train/Normal/1.png", "test/Normal/100.png"} else ""
        lines.append(f"{record.path},{record.finding},{record.split},{patient}")
    (data / "films.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    films = repair_films(quick_audit(data / "films.csv"))
    moved = [film for film in films if film.reason]
    assert [(film.record.path, film.record.split, film.kept) for film in moved] == [
        ("test/Normal/100.png", "train", True)
    ]


def test_a_conflict_is_settled_by_the_majority(data: Path, tmp_path: Path) -> None:
    near_twin(data / "train/Normal/3.png", data / "train/Normal/more.png")
    shutil.copy(data / "train/Normal/3.png", data / "train/Covid/wrong.jpg")
    near_twin(data / "train/Normal/3.png", data / "train/Covid/wrong.jpg")
    kept, _, audit = repaired(data, tmp_path / "mended.csv")
    assert not any(fault.kind == "label-conflict" for fault in audit.faults)
    assert kept["train/Covid/wrong.jpg"]["finding"] == "Normal"
    assert "finding changed from Covid-19" in kept["train/Covid/wrong.jpg"]["reason"]
    assert "2 times under Normal" in kept["train/Covid/wrong.jpg"]["reason"]


def test_one_that_is_left_open_gets_the_finding_of_its_twin(data: Path, tmp_path: Path) -> None:
    (data / "train/Covid | Normal").mkdir()
    near_twin(data / "train/Normal/3.png", data / "train/Covid | Normal/open.png")
    kept, dropped, audit = repaired(data, tmp_path / "mended.csv")
    assert not dropped
    assert kept["train/Normal/3.png"]["finding"] == kept["train/Covid | Normal/open.png"]["finding"] == "Normal"
    assert not kept["train/Normal/3.png"]["reason"]
    assert "which Normal agrees with" in kept["train/Covid | Normal/open.png"]["reason"]
    assert all("|" not in name for name in audit.data.scan.dataset.findings)


@pytest.mark.slow
def test_a_tie_is_dropped_unless_the_source_is_known(data: Path, tmp_path: Path) -> None:
    near_twin(data / "train/Normal/3.png", data / "train/Covid/wrong.png")
    both = {"train/Normal/3.png", "train/Covid/wrong.png"}
    _, dropped, audit = repaired(data, tmp_path / "mended.csv")
    assert set(dropped) == both
    assert not any(fault.kind == "label-conflict" for fault in audit.faults)

    audit = quick_audit(data)
    normal = PublicFilm("kermany", "NORMAL/1.jpeg", "Normal", None, True, 0)
    known = tuple(normal if one.path == "train/Covid/wrong.png" else None for one in audit.data.scan.dataset.records)
    films = {
        film.record.path: film
        for film in repair_films(
            replace(audit, data=replace(audit.data, scan=replace(audit.data.scan, public_films=known)))
        )
    }
    assert all(film.kept for film in films.values())
    assert {films[path].record.finding for path in both} == {"Normal"}
    assert "its source states it" in films["train/Covid/wrong.png"].reason


def test_films_that_teach_nothing_are_dropped_with_their_reason(data: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(data / "train/Normal/flat.png"), np.full((96, 96), 90, np.uint8))
    (data / "train/Covid/broken.png").write_bytes(b"")
    _, dropped, audit = repaired(data, tmp_path / "mended.csv")
    assert set(dropped) == {"train/Normal/flat.png", "train/Covid/broken.png"}
    assert "no contrast" in dropped["train/Normal/flat.png"]["reason"]
    assert "the file is empty" in dropped["train/Covid/broken.png"]["reason"]
    assert not audit.data.scan.unread


def test_without_a_split_none_is_made_up(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "test")
    shutil.move(data / "train", tmp_path / "plain")
    near_twin(tmp_path / "plain/Normal/1.png", tmp_path / "plain/Normal/twin.png")
    kept, dropped, _ = repaired(tmp_path / "plain", tmp_path / "mended.csv")
    assert dropped == {}
    assert {row["split"] for row in kept.values()} == {""}
    assert kept["Normal/twin.png"]["group"] == kept["Normal/1.png"]["group"]


def test_groups_of_the_manifest_hold_without_the_twin_search(data: Path, tmp_path: Path) -> None:
    near_twin(data / "train/Normal/1.png", data / "train/Normal/twin.png")
    repaired(data, tmp_path / "mended.csv")
    group_of = {
        record.path.rpartition("set/")[2]: record.group for record in read_dataset(tmp_path / "mended.csv").records
    }
    assert group_of["train/Normal/twin.png"] == group_of["train/Normal/1.png"]
    assert len(set(group_of.values())) == 18


@pytest.mark.slow
def test_elsewhere_the_paths_are_absolute_and_still_found(data: Path, tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir()
    out = tmp_path / "apart" / "mended.csv"
    _, _, audit = repaired(data, out)
    assert all(Path(path).is_absolute() for path in rows_of(out))
    assert len(audit.data.scan.dataset.records) == 18
    write_repair(quick_audit(data), tmp_path / "above.csv", data)
    assert all(path.startswith("set/") for path in rows_of(tmp_path / "above.csv"))


def test_names_that_no_csv_can_hold_are_dropped_and_told(data: Path, tmp_path: Path) -> None:
    (data / "train/Normal/0.png").rename(data / "train/Normal/ 0.png")
    (data / "train/Normal/ 0.png").rename(data / "train/Normal" / "0.png ")
    _, dropped, _ = repaired(data, tmp_path / "mended.csv")
    assert ["cannot stand in a CSV" in row["reason"] for row in dropped.values()] == [True]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("set/train/mended.csv", "lies in the data set"),
        ("set/mended.csv", "lies in the data set"),
        ("mended.txt", r"ends in \.csv"),
        ("missing/mended.csv", "Cannot write"),
    ],
)
def test_a_place_that_will_not_do_is_refused(data: Path, tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_repair(quick_audit(data), tmp_path / place, data)
    assert not (tmp_path / place).exists()


def test_nothing_is_written_where_nothing_would_be_left(tmp_path: Path, write_film: WriteFilm) -> None:
    for number in range(3):
        film = write_film(tmp_path / "set" / "Normal" / f"{number}.png", seed=number)
        (tmp_path / "set" / "Covid").mkdir(exist_ok=True)
        near_twin(film, tmp_path / "set" / "Covid" / f"{number}.png")
    with pytest.raises(InconsistentDataset, match="Nothing to train on is left"):
        write_repair(quick_audit(tmp_path / "set"), tmp_path / "mended.csv", tmp_path / "set")
    assert not (tmp_path / "mended.csv").exists()


def test_only_an_earlier_repair_is_replaced_and_only_where_that_is_asked(data: Path, tmp_path: Path) -> None:
    out, audit = tmp_path / "mended.csv", quick_audit(data)
    for place in (out, dropped_path(out)):
        place.write_text("path,finding\na.png,Normal\n")
        for overwrite in (False, True):
            with pytest.raises(InputError, match=r"was not made by `hilum audit --repair`\. It was not changed"):
                write_repair(audit, out, data, overwrite=overwrite)
        assert place.read_text() == "path,finding\na.png,Normal\n"
        place.unlink()
    write_repair(audit, out, data)
    with pytest.raises(InputError, match="Add --overwrite"):
        write_repair(audit, out, data)
    with pytest.raises(InputError, match=r"this command reads it|which is left as it is"):
        write_repair(audit, out, out, overwrite=True)
    write_repair(audit, out, data, overwrite=True)


def test_names_that_a_spreadsheet_would_run_come_back_as_they_were(tmp_path: Path, write_film: WriteFilm) -> None:
    for number in range(6):
        write_film(tmp_path / "=set" / ("Normal", "@odd")[number % 2] / f"-{number}.png", seed=number)
    write_repair(quick_audit(tmp_path / "=set"), tmp_path / "mended.csv", tmp_path / "=set")
    with (tmp_path / "mended.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["path"][:6] for row in rows} == {"./=set"}
    assert {row["finding"] for row in rows} == {"Normal", "'@odd"}
    read = read_dataset(tmp_path / "mended.csv")
    assert {record.finding for record in read.records} == {"Normal", "@odd"}
    assert {record.path[:4] for record in read.records} == {"=set"}


def test_suspects_are_left_out_on_request_only_and_never_of_the_test_part(data: Path) -> None:
    audit = quick_audit(data)
    scan = audit.data.scan
    wrong = {"train/Normal/0.png", "train/Covid/2.png", "test/Normal/100.png"}
    says = [{"Normal": 0, "Covid-19": 1}[r.finding] ^ (r.path in wrong) for r in scan.dataset.records]
    judged = JudgedFilms("the model `m`", ("Normal", "Covid-19"), np.array([[0.1, 0.9], [0.9, 0.1]])[says][:, ::-1])
    audit = audit.with_answers(judged)
    assert {path for fault in audit.faults if fault.kind == "suspect-label" for path in fault.paths} == wrong
    assert all(film.kept for film in repair_films(audit))
    dropped = {film.record.path: film.reason for film in repair_films(audit, drop=["suspect-label"]) if not film.kept}
    assert dropped == {
        "train/Normal/0.png": "dropped: a model says Covid-19 (90.0\u00a0%), not Normal",
        "train/Covid/2.png": "dropped: a model says Normal (90.0\u00a0%), not Covid-19",
    }
