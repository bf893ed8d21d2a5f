"""Children against adults: found from DICOM, a manifest and known public sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.folder import FilmRecord, read_dataset
from hilum.data.public_sets import PublicFilm
from hilum.data.scan import Scan, scan_films
from hilum.judge.audit.ages import KNOWN_AGES, age_confound, age_fault, age_group_of
from hilum.judge.audit.check import Films

WriteFilm = Callable[..., Path]


def scanned(tmp_path: Path, write_film: WriteFilm, ages: Callable[[int, str], str], name: str = "set") -> Scan:
    """Return 12 + 12 films with an age each; every fourth is a test film."""
    lines = ["path,finding,split,age"]
    for number in range(24):
        finding = ("Normal", "Covid-19")[number % 2]
        write_film(tmp_path / f"{number}.png", seed=number, size_px=64)
        part = "test" if number % 8 > 5 else "train"
        lines.append(f"{number}.png,{finding},{part},{ages(number, finding)}")
    (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return scan_films(read_dataset(tmp_path / f"{name}.csv"))


def confound_of(scan: Scan, sets: tuple[str, ...] = ()) -> dict | None:
    known = tuple(PublicFilm(name, "a.png", "", None, exact=False, dhash_distance=0) for name in sets)
    scan = dataclasses.replace(scan, public_films=known)
    return age_confound(Films(scan, tuple(record.split or "train" for record in scan.dataset.records)))


@pytest.fixture(autouse=True)
def few_films_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.judge.audit.ages._LEAST_FILMS", 10)


def test_children_of_one_class_and_adults_of_the_other_are_an_error(tmp_path: Path, write_film: WriteFilm) -> None:
    scan = scanned(tmp_path, write_film, lambda _, finding: "4" if finding == "Normal" else "051Y")
    figures = confound_of(scan)
    assert figures is not None
    assert figures.table == {"child": {"Normal": 9, "Covid-19": 0}, "adult": {"Normal": 0, "Covid-19": 9}}
    fault = age_fault(figures)
    assert fault is not None
    assert (fault.kind, fault.severity) == ("age-confound", "error")
    assert "all 9 Normal films are of children; all 9 Covid-19 films are of adults" in fault.message


def test_children_and_adults_in_both_classes_are_no_fault(tmp_path: Path, write_film: WriteFilm) -> None:
    scan = scanned(tmp_path, write_film, lambda number, _: "4" if number % 4 < 2 else "51")
    assert age_fault(confound_of(scan)) is None


def test_without_ages_nothing_is_said(tmp_path: Path, write_film: WriteFilm) -> None:
    scan = scanned(tmp_path, write_film, lambda *_: "unknown")
    assert confound_of(scan) is None
    assert age_fault(None) is None


def test_the_set_a_film_was_recognised_as_tells_its_age(tmp_path: Path, write_film: WriteFilm) -> None:
    scan = scanned(tmp_path, write_film, lambda *_: "")
    sets = tuple(
        "Kermany chest_xray" if record.finding == "Normal" else "ieee8023 covid-chestxray-dataset"
        for record in scan.dataset.records
    )
    fault = age_fault(confound_of(scan, sets))
    assert fault is not None
    assert fault.severity == "error"


def test_the_name_of_a_known_data_set_tells_too(tmp_path: Path, write_film: WriteFilm) -> None:
    scan = scanned(tmp_path, write_film, lambda *_: "", name="covid19-image-dataset")
    fault = age_fault(confound_of(scan))
    assert fault is not None
    assert fault.severity == "error"


def test_a_stated_age_counts_more_than_the_set() -> None:
    film = FilmRecord("a.png", "Normal", None)
    assert age_group_of(film, None, "Kermany chest_xray") == "child"
    assert age_group_of(film, 30.0, "Kermany chest_xray") == "adult"
    assert age_group_of(dataclasses.replace(film, age_years=17.9), 30.0, None) == "child"
    assert age_group_of(film, None, "some hospital") is None
    assert age_group_of(film, None, None) is None


def test_every_known_set_says_who_says_so() -> None:
    for known in KNOWN_AGES:
        assert known.group in {"child", "adult"}
        assert len(known.source) > 10


@pytest.mark.parametrize(
    ("name", "finding", "group"),
    [
        ("COVID-19 Radiography Database", "Viral Pneumonia", "child"),
        ("COVID-19 Radiography Database", "Normal", None),  # children and adults
        ("Kermany chest_xray", "Normal", "child"),
        ("kaggle covid19-image-dataset", "Covid-19", "adult"),
        ("kaggle covid19-image-dataset", "Viral Pneumonia", "child"),
        ("Montgomery + Shenzhen", "Tuberculosis", "adult"),
        ("ozturk (NIH + ieee8023)", "Normal", None),
    ],
)
def test_public_sets(name: str, finding: str, group: str | None) -> None:
    assert age_group_of(FilmRecord("a.png", finding, None), None, name) == group
