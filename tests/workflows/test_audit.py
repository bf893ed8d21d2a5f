"""Where an audit may be written, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.judge.audit.audit import audit_data
from hilum.workflows.audit import check_audit_folder, write_audit


@pytest.fixture
def data(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    for number in range(4):
        write_film(tmp_path / "set" / ("Normal", "Covid")[number % 2] / f"{number}.png", seed=number)
    return tmp_path / "set"


def test_an_audit_leaves_two_files(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "audit"
    check_audit_folder(out, data, overwrite=False)
    write_audit(audit_data(data), out)
    assert sorted(path.name for path in out.iterdir()) == ["audit.json", "report.html"]
    audit = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert list(audit) == ["faults", "figures", "checks", "ignored"]
    assert {check["status"] for check in audit["checks"]} == {"failed", "passed", "not_applicable"}
    assert all(check["why"] for check in audit["checks"] if check["status"] == "not_applicable")
    assert {"trivial_models", "traits", "ages", "num_films"} <= set(audit["figures"])
    with pytest.raises(InputError, match="holds an earlier audit"):
        check_audit_folder(out, data, overwrite=False)
    check_audit_folder(out, data, overwrite=True)


@pytest.mark.parametrize("name", ["metrics.json", "config.toml"])
def test_a_run_is_never_written_over(data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="holds a run, an evaluation"):
        check_audit_folder(tmp_path, data, overwrite=True)


@pytest.mark.parametrize("name", ["audit.json", "report.html"])
def test_a_file_of_the_users_is_never_written_over(data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match=r"which was not made by an earlier audit\. It was not changed"):
        check_audit_folder(tmp_path, data, overwrite=True)
    assert (tmp_path / name).read_text(encoding="utf-8") == "precious"


def test_the_data_set_is_no_place_for_results(data: Path, tmp_path: Path) -> None:
    for place in (data, data / "audit"):
        with pytest.raises(InputError, match="lies in the data folder"):
            check_audit_folder(place, data, overwrite=True)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="it is a file"):
        check_audit_folder(tmp_path / "file", data, overwrite=True)
