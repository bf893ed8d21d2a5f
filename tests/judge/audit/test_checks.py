"""The list of checks: each is explained, every kind of fault has one, and other packages add theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.judge.audit.audit import audit_data
from hilum.judge.audit.check import SEVERITIES
from hilum.judge.audit.checks import HILUM_CHECKS, all_checks, check_ignored, check_of
from hilum.run import gate

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
def data(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    for number in range(4):
        write_film(tmp_path / "set" / ("Normal", "Covid")[number % 2] / f"{number}.png", seed=number)
    return tmp_path / "set"


def test_another_package_adds_a_check(plug_in: Callable[[str], None], data: Path) -> None:
    plug_in("odd = odd_checks:CHECK")
    audit = audit_data(data)
    (fault,) = [fault for fault in audit.faults if fault.kind == "odd-name"]
    assert (fault.message, fault.paths) == ("1 films have an odd name.", ("Covid/1.png",))
    assert audit.num_errors == 1
    assert audit_data(data, ignore=["odd-name"]).num_errors == 0


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
    plug_in: Callable[[str], None], data: Path, line: str, code: str, why: str
) -> None:
    plug_in(line)
    audit = audit_data(data)
    reasons = {one.check.code: one.why for one in audit.results.of_status("not_applicable")}
    assert why in reasons[code]
    assert {fault.kind for fault in audit.faults} == {"small-class"}
    assert len(all_checks()) == len(HILUM_CHECKS) + 1
