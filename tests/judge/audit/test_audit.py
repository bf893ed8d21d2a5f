"""The audit finds the faults that were planted, and no other."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.folder import read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.data.split import assign_splits
from hilum.errors import InputError
from hilum.figures import json_file_text, to_json
from hilum.judge.audit.audit import HILUM_CHECKS, all_checks, audit_data, check_ignored, check_of, measure_films
from hilum.judge.audit.check import SEVERITIES, AuditData, Fault, run_checks
from hilum.run import gate

from ...planted import tilt

WriteFilm = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, write_film: WriteFilm) -> Path:
    """A data set without a fault but its size: 5 + 5 films to train on, 3 + 3 to test on."""
    for part, numbers in (("train", range(5)), ("test", range(100, 103))):
        for finding, shift in (("Normal", 0), ("Covid", 50)):
            for number in numbers:
                write_film(tmp_path / "set" / part / finding / f"{number}.png", seed=number + shift)
    return tmp_path / "set"


def audited(data: Path) -> tuple[tuple[Fault, ...], AuditData]:
    scan = scan_films(read_dataset(data), min_side_px=64)
    return faults_in(scan, [record.split or "train" for record in scan.dataset.records])


def faults_in(scan: Scan, splits: Sequence[str]) -> tuple[tuple[Fault, ...], AuditData]:
    films = AuditData(scan, tuple(splits))
    return run_checks(films, HILUM_CHECKS).faults, films


def faults_of(data: Path, *, small: bool = False) -> list[Fault]:
    return [fault for fault in audited(data)[0] if small or fault.kind != "small-class"]


def re_encode(source: Path, target: Path) -> None:
    """Write the same picture smaller, as a JPEG: near-identical, but no byte of it."""
    pixels = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
    smaller = cv2.resize(pixels, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(target), smaller, [cv2.IMWRITE_JPEG_QUALITY, 80])


def test_a_clean_set_has_no_fault_but_its_size(data: Path) -> None:
    assert faults_of(data) == []
    small = faults_of(data, small=True)
    assert [(fault.kind, fault.severity, fault.figure) for fault in small] == [("small-class", "warning", 5)] * 2
    assert [fault.message for fault in small] == [
        "Only 5 training films show Covid-19.",
        "Only 5 training films show Normal.",
    ]


def test_an_identical_twin_across_train_and_test_is_a_leak(data: Path) -> None:
    shutil.copy(data / "train/Normal/2.png", data / "test/Normal/copy.png")
    (fault,) = faults_of(data)
    assert (fault.kind, fault.severity) == ("leak", "error")
    assert fault.paths == ("test/Normal/copy.png", "train/Normal/2.png")  # the test film, then its twin
    assert fault.message == "A test film has a twin in the training part."


def test_a_twin_that_was_re_encoded_is_a_leak_too(data: Path) -> None:
    re_encode(data / "train/Covid/4.png", data / "test/Covid/other.jpg")
    (fault,) = faults_of(data)
    assert (fault.kind, fault.paths) == ("leak", ("test/Covid/other.jpg", "train/Covid/4.png"))


def test_several_twins_of_one_test_film_are_one_leak(data: Path) -> None:
    for name in ("train/Normal/a.png", "train/Normal/b.png"):
        shutil.copy(data / "test/Normal/101.png", data / name)
    faults = faults_of(data)
    assert [fault.kind for fault in faults] == ["leak", "duplicate"]
    assert faults[0].paths == ("test/Normal/101.png", "train/Normal/a.png", "train/Normal/b.png")
    assert "has 2 twins" in faults[0].message
    assert set(faults[1].paths) == {"train/Normal/a.png", "train/Normal/b.png"}


@pytest.mark.parametrize(("part", "word"), [("train", "training"), ("test", "test")])
def test_twins_within_one_part_are_only_noted(data: Path, part: str, word: str) -> None:
    source = next((data / part / "Normal").iterdir())
    shutil.copy(source, data / part / "Normal" / "again.png")
    (fault,) = faults_of(data)
    assert (fault.kind, fault.severity, fault.figure) == ("duplicate", "note", pytest.approx(1))
    assert fault.message == f"Two films of the {word} part are identical."


def test_one_film_under_two_labels_is_an_error(data: Path) -> None:
    re_encode(data / "train/Normal/1.png", data / "train/Covid/swapped.jpg")
    faults = faults_of(data)
    assert [(fault.kind, fault.severity) for fault in faults] == [("label-conflict", "error"), ("duplicate", "note")]
    assert set(faults[0].paths) == {"train/Normal/1.png", "train/Covid/swapped.jpg"}
    assert "is labelled" in faults[0].message
    assert "Normal" in faults[0].message
    assert "Covid-19" in faults[0].message
    assert "near-identical" in faults[0].message


def test_a_finding_left_open_contradicts_none_that_it_allows_and_is_no_class(data: Path) -> None:
    re_encode(data / "train/Normal/1.png", data / "train/Covid/1 twin.jpg")
    (data / "train/Covid | Normal").mkdir()
    (data / "train/Covid/1 twin.jpg").rename(data / "train/Covid | Normal/1 twin.jpg")
    assert [fault.kind for fault in faults_of(data)] == ["ambiguous-label", "duplicate"]
    told = [fault.message for fault in faults_of(data, small=True) if fault.kind != "ambiguous-label"]
    assert "|" not in " ".join(told)


def test_a_leak_under_another_label_is_both(data: Path) -> None:
    shutil.copy(data / "train/Normal/1.png", data / "test/Covid/swapped.png")
    assert sorted(fault.kind for fault in faults_of(data)) == ["label-conflict", "leak"]


def test_unreadable_films_are_warned_about(data: Path) -> None:
    (data / "train/Normal/broken.png").write_bytes(b"")
    (fault,) = faults_of(data)
    assert (fault.kind, fault.severity, fault.paths) == ("unreadable", "warning", ("train/Normal/broken.png",))
    assert "the file is empty" in fault.message


def test_errors_come_first_and_all_is_plain_json(data: Path) -> None:
    shutil.copy(data / "train/Normal/2.png", data / "test/Normal/copy.png")
    shutil.copy(data / "train/Normal/3.png", data / "train/Normal/copy.png")
    (data / "test/Normal/broken.png").write_text("no film")
    faults, films = audited(data)
    severities = [fault.severity for fault in faults]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert set(severities) == {"error", "warning", "note"}
    text = json_file_text({"faults": faults, "figures": measure_films(films)})
    for fault in json.loads(text)["faults"]:
        assert list(fault) == ["kind", "severity", "message", "paths", "figure"]
        assert all(not Path(path).is_absolute() for path in fault["paths"])


def test_figures_count_what_is_there(data: Path) -> None:
    shutil.copy(data / "train/Normal/2.png", data / "test/Normal/copy.png")
    (data / "train/Covid/broken.png").write_bytes(b"")
    _, films = audited(data)
    assert to_json(measure_films(films)) == {
        "num_films": 17,
        "num_unreadable": 1,
        "num_refused": 0,
        "num_groups": 16,
        "num_twin_pairs": 1,
        "films": {
            "train": {"Normal": 5, "Covid-19": 5},
            "validation": {"Normal": 0, "Covid-19": 0},
            "test": {"Normal": 4, "Covid-19": 3},
        },
        "ages": None,
    }


def test_twins_never_cross_a_split_that_hilum_draws(data: Path) -> None:
    shutil.rmtree(data / "test")
    for number in range(5):
        re_encode(data / f"train/Normal/{number}.png", data / f"train/Normal/{number}-twin.jpg")
    scan = scan_films(read_dataset(data), min_side_px=64)
    for seed in range(5):
        splits = assign_splits(scan.dataset, scan.groups, test_fraction=0.3, validation_fraction=0.3, seed=seed)
        assert not any(fault.kind == "leak" for fault in faults_in(scan, splits)[0])
        of = dict(zip((record.path for record in scan.dataset.records), splits, strict=True))
        assert all(of[f"train/Normal/{n}.png"] == of[f"train/Normal/{n}-twin.jpg"] for n in range(5))
    assert len(scan.twins) == 5
    assert np.unique(scan.groups).size == 10


# --- with the traits of the films -----------------------------------------------------------------------------------


def kinds_of(data: Path) -> dict[str, Fault]:
    return {fault.kind: fault for fault in audit_data(data).faults}


def test_films_the_gate_would_refuse_are_faults_by_their_reason(data: Path) -> None:
    for number in range(2):
        cv2.imwrite(str(data / f"train/Normal/flat-{number}.png"), np.full((96, 96 + number), 90, np.uint8))
    small = cv2.imread(str(data / "train/Covid/1.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(data / "train/Covid/1.png"), cv2.resize(small, (40, 40), interpolation=cv2.INTER_AREA))
    faults = kinds_of(data)
    assert (faults["constant"].severity, faults["constant"].figure) == ("error", 2)
    assert faults["constant"].paths == ("train/Normal/flat-0.png", "train/Normal/flat-1.png")
    assert "2 films would not be judged" in faults["constant"].message
    assert (faults["low-resolution"].severity, faults["low-resolution"].paths) == ("warning", ("train/Covid/1.png",))


@pytest.mark.slow
def test_a_sound_set_has_no_fault_and_a_planted_one_has(tmp_path: Path, plant_set: Callable[..., Path]) -> None:
    assert audit_data(plant_set(tmp_path / "sound")).faults == ()
    audit = audit_data(plant_set(tmp_path / "tilted", tilt))
    assert {"border-only", "center-blacked"} <= {fault.kind for fault in audit.faults}
    assert audit.num_errors >= 2
    assert to_json(audit.contents())["figures"]["trivial_models"]["border_only"]["test"] is None


@pytest.mark.slow
def test_an_audit_is_the_same_each_time(tmp_path: Path, plant_set: Callable[..., Path]) -> None:
    data = plant_set(tmp_path / "set", tilt, test=16)
    assert json_file_text(audit_data(data).contents()) == json_file_text(audit_data(data).contents())


def test_a_data_set_of_which_nothing_can_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    for finding in ("Normal", "Covid"):
        (tmp_path / finding).mkdir()
        (tmp_path / finding / "a.png").write_bytes(b"")
    audit = audit_data(tmp_path)
    assert [fault.kind for fault in audit.faults] == ["unreadable", "unreadable"]
    assert "trivial_models" not in to_json(audit.data.figures)


@pytest.mark.slow
def test_the_seed_set_is_seen_through(hilum_data: Path) -> None:
    audit = audit_data(hilum_data / "covid19-image-dataset")
    assert sum(fault.kind == "leak" for fault in audit.faults) == 9
    assert {"age-confound", "center-blacked", "border-only", "thumbnail", "class-by-source"} <= {
        fault.kind for fault in audit.faults
    }
    pngs = [fault for fault in audit.faults if "`PNG`" in fault.message]
    assert pngs
    assert all(path.startswith("train/Covid/") and path.endswith("png") for path in pngs[0].paths)


SOURCES = Path(__file__).parents[3] / "src" / "hilum"
CODES = {check.code for check in HILUM_CHECKS}


def test_every_check_is_explained() -> None:
    assert len(CODES) == len(HILUM_CHECKS)
    for check in HILUM_CHECKS:
        assert re.fullmatch(r"[a-z-]+", check.code)
        assert check.severity in SEVERITIES
        for words in (check.meaning, check.remedy):
            assert words.endswith(".")
        assert check.title
        assert not check.title.endswith(".")
        assert check.anchor.endswith(f"faults.md#{check.code}")


def test_every_remark_and_every_reason_to_refuse_a_film_has_its_check() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (SOURCES / "data").glob("*.py"))
    remarks = set(re.findall(r'Remark\(\s*"([a-z-]+)"', text))
    assert len(remarks) >= 9
    assert remarks <= CODES
    reasons = {reason.code for reason in gate._REASONS.values()}
    assert reasons | {"constant", "low-resolution"} <= CODES


def test_one_speaks_for_itself_and_many_are_counted() -> None:
    leak = check_of("leak")
    assert leak.summary(["A test film has a twin."]) == "A test film has a twin."
    assert leak.summary(["A test film has a twin."] * 9) == "9 test films are also in train."
    assert check_of("unreadable").summary(["{n} is {first}"] * 2) == "2 files cannot be read; the first: {n} is {first}"
    assert check_of("imbalance").summary(["One.", "Two."]) == "2 cases; the first: One."
    assert check_of("upside-down").title == "Upside down"


def test_kinds_to_ignore_are_known() -> None:
    assert check_ignored(["small-class", "leak", "leak"]) == ("leak", "small-class")
    with pytest.raises(InputError, match=r"`leaks` is no kind of fault\. Did you mean `leak`"):
        check_ignored(["leaks"])


# --- plug-ins -------------------------------------------------------------------------------------------------------

PLUG_IN = """
from hilum.judge.audit.check import Check, Fault

def find(data):
    odd = [record.path for record in data.scan.dataset.records if record.path.endswith("1.png")]
    return Fault("odd-name", "error", f"{len(odd)} films have an odd name.", tuple(odd)) if odd else None

CHECK = Check("odd-name", "Odd names", "error", "They are odd.", "Rename them.", find)
SAME = [Check("leak", "Leaks", "error", "They leak.", "Mend them.", find)]
FAILS = [Check("fails", "Fails", "note", "It fails.", "Wait.", lambda data: 1 / 0)]
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Install a distribution with checks; its argument is the lines of the entry point group."""
    (tmp_path / "odd_checks.py").write_text(PLUG_IN, encoding="utf-8")
    (tmp_path / "odd_checks-1.0.dist-info").mkdir()
    (tmp_path / "odd_checks-1.0.dist-info" / "METADATA").write_text("Name: odd-checks\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)

    def install(lines: str) -> None:
        text = f"[hilum.checks]\n{lines}\n"
        (tmp_path / "odd_checks-1.0.dist-info" / "entry_points.txt").write_text(text, encoding="utf-8")
        all_checks.cache_clear()

    yield install
    all_checks.cache_clear()


@pytest.fixture
def films(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    for number in range(4):
        write_film(tmp_path / "set" / ("Normal", "Covid")[number % 2] / f"{number}.png", seed=number)
    return tmp_path / "set"


def test_another_package_adds_a_check(plug_in: Callable[[str], None], films: Path) -> None:
    plug_in("odd = odd_checks:CHECK")
    audit = audit_data(films)
    (fault,) = [fault for fault in audit.faults if fault.kind == "odd-name"]
    assert (fault.message, fault.paths) == ("1 films have an odd name.", ("Covid/1.png",))
    assert audit.num_errors == 1
    assert audit_data(films, ignore=["odd-name"]).num_errors == 0


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [
        ("odd = odd_checks:NONE", "odd", "The checks of `odd-checks` cannot be loaded: AttributeError: "),
        ("odd = no_such_module:CHECK", "odd", "The checks of `odd-checks` cannot be loaded: ModuleNotFoundError: "),
        ("odd = odd_checks:find", "odd", "The checks of `odd-checks` cannot be loaded: TypeError: "),
        ("odd = odd_checks:SAME", "odd", "there is a check with the code `leak` already"),
        ("leak = odd_checks:NONE", "leak of `odd-checks`", "cannot be loaded"),
        ("odd = odd_checks:FAILS", "fails", "It failed in `odd-checks`: ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_package_is_named_and_stops_nothing(
    plug_in: Callable[[str], None], films: Path, line: str, code: str, why: str
) -> None:
    plug_in(line)
    audit = audit_data(films)
    reasons = {one.check.code: one.why for one in audit.results.of_status("not_applicable")}
    assert why in reasons[code]
    assert {fault.kind for fault in audit.faults} == {"small-class"}
    assert len(all_checks()) == len(HILUM_CHECKS) + 1
