"""Where an audit may be written, and what it leaves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import InputError
from hilum.judge.audit.audit import audit_data
from hilum.workflows.audit import AuditPlaces, audit_command, check_audit_folder, write_audit

from ..planted import CORNER

FIXED = Path("fixed.csv")


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


# --- labels that a model contradicts --------------------------------------------------------------------------------


@pytest.fixture
def swapped(tmp_path: Path, plant_set: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """80 films, the Covid-19 ones with a bright corner; 5 of them lie in the wrong folder."""

    def plant(film: np.ndarray, finding: str) -> np.ndarray:
        film[:20, :20] = 250 if finding == "Covid-19" else 5
        return film

    data = plant_set(tmp_path / "set", plant, test=20)
    for part, name, there in (
        ("train", "020.png", "Covid-19"),
        ("train", "022.png", "Covid-19"),
        ("train", "021.png", "Normal"),
        ("train", "023.png", "Normal"),
        ("test", "001.png", "Normal"),
    ):
        (path,) = (data / part).rglob(name)
        path.rename(data / part / there / name)
    monkeypatch.setattr("hilum.judge.audit.audit.score_trivial_models", lambda *_, **__: {})
    return data


@pytest.mark.slow
def test_suspects_are_found_and_left_out_on_request_but_never_of_the_test_part(
    swapped: Path,
    tmp_path: Path,
    looking_model: Callable[..., Path],
    schema_errors: Callable[..., list[str]],
    command: Callable[..., Any],
) -> None:
    model = looking_model(tmp_path / "m.onnx", CORNER, 0.5)
    wrong = {f"train/Covid-19/{n}.png": "Normal" for n in ("020", "022")}
    wrong |= {f"train/Normal/{n}.png": "Covid-19" for n in ("021", "023")} | {"test/Normal/001.png": "Covid-19"}
    out, fixed = tmp_path / "audit", tmp_path / "fixed.csv"
    done = command("audit", swapped, "--model", model, "--out", out, "--repair", fixed, "--drop", "suspect-label")
    assert "5 of 80 labels may be wrong" in " ".join(done.out.split())
    audit = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert schema_errors("audit", audit) == []
    (fault,) = (one for one in audit["faults"] if one["kind"] == "suspect-label")
    assert {path: one["finding"] for path, one in fault["suggestions"].items()} == wrong
    assert set(fault["paths"]) == set(wrong)
    with (tmp_path / "fixed.dropped.csv").open(encoding="utf-8", newline="") as lines:
        dropped = {row["path"].removeprefix("set/"): row["reason"] for row in csv.DictReader(lines)}
    assert set(dropped) == {path for path in wrong if path.startswith("train/")}
    assert dropped["train/Covid-19/020.png"].startswith("dropped: a model says Normal (")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert '<th scope="row">test/Normal/001.png</th><td>Normal</td><td>Covid-19</td>' in page


@pytest.mark.parametrize(
    ("places", "ignore", "message"),
    [
        (AuditPlaces(repair=Path("f.csv"), drop=["leak"]), (), "`leak` cannot be left out on request"),
        (AuditPlaces(drop=["suspect-label"]), (), "`--drop` needs `--repair OUT.csv`"),
        (AuditPlaces(repair=Path("f.csv"), drop=["suspect-label"]), (), "needs a model that judges the films"),
        (
            AuditPlaces(repair=Path("f.csv"), drop=["suspect-label"]),
            ["suspect-label"],
            "both ignored and to be dropped",
        ),
    ],
)
def test_what_cannot_be_dropped_is_refused_at_once(
    places: AuditPlaces, ignore: list[str], message: str, data: Path
) -> None:
    with pytest.raises(InputError, match=message):
        audit_command(data, places, ignore=ignore)
