"""Traits that go with the finding: planted ones are found, chance is left in peace."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.folder import FilmRecord
from hilum.judge.audit.associations import associate_traits, association_faults, sources_of
from hilum.judge.audit.check import Fault

from ...planted import looked_at, mark_corner, shrink

PlantSet = Callable[..., Path]


def faults_of(data: Path) -> list[Fault]:
    films = looked_at(data).stated
    return association_faults(associate_traits(films), films)


@pytest.mark.slow
def test_films_that_differ_in_nothing_have_no_fault(tmp_path: Path, plant_set: PlantSet) -> None:
    assert faults_of(plant_set(tmp_path / "set")) == []


@pytest.mark.slow
def test_a_size_that_only_one_class_has_is_an_error(tmp_path: Path, plant_set: PlantSet) -> None:
    (fault,) = [one for one in faults_of(plant_set(tmp_path / "set", shrink)) if "Pixel size" in one.message]
    assert (fault.kind, fault.severity) == ("class-by-source", "error")
    assert fault.figure == pytest.approx(1, abs=0.05)
    assert (
        "100\u00a0% of the Covid-19 films have the pixel size `140x140 pixels`, and none of the others" in fault.message
    )
    assert len(fault.paths) == 40
    assert all(path.startswith("Covid-19/") for path in fault.paths)


@pytest.mark.slow
def test_a_letter_in_the_corner_of_one_class_is_found(tmp_path: Path, plant_set: PlantSet) -> None:
    (fault,) = faults_of(plant_set(tmp_path / "set", mark_corner))
    assert "Corner signs" in fault.message
    assert "top right" in fault.message
    assert fault.severity == "error"


@pytest.mark.slow
def test_a_format_that_one_class_has_for_itself_is_noted_though_rare(tmp_path: Path, plant_set: PlantSet) -> None:
    data = plant_set(tmp_path / "set", suffix=".jpg")
    assert faults_of(data) == []
    import cv2

    for film in sorted((data / "Covid-19").iterdir())[:9]:
        cv2.imwrite(str(film.with_suffix(".png")), cv2.imread(str(film), cv2.IMREAD_GRAYSCALE))
        film.unlink()
    faults = faults_of(data)
    assert any("File format" in fault.message and "`PNG`" in fault.message for fault in faults)
    assert all(len(fault.paths) == 9 for fault in faults if "`PNG`" in fault.message)


@pytest.mark.slow
def test_one_patient_with_many_films_is_one_film(tmp_path: Path, plant_set: PlantSet) -> None:
    """Of one class 20 films have a size of their own, but all are of one patient."""
    data = plant_set(tmp_path / "set")
    import cv2

    films = sorted((data / "Covid-19").iterdir())
    for film in films[:20]:
        cv2.imwrite(str(film), cv2.resize(cv2.imread(str(film), cv2.IMREAD_GRAYSCALE), (150, 150)))
    assert any("Pixel size" in fault.message for fault in faults_of(data))
    lines = ["path,finding,patient"]
    lines += [f"Covid-19/{film.name},Covid,{'one' if n < 20 else f'c{n}'}" for n, film in enumerate(films)]
    lines += [f"Normal/{film.name},Normal,n{n}" for n, film in enumerate(sorted((data / "Normal").iterdir()))]
    (data / "films.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert not any("Pixel size" in fault.message for fault in faults_of(data / "films.csv"))


@pytest.mark.slow
def test_the_test_part_is_not_looked_at(tmp_path: Path, plant_set: PlantSet) -> None:
    films = looked_at(plant_set(tmp_path / "set", shrink))
    assert associate_traits(dataclasses.replace(films, splits=("test",) * len(films.splits))) == ()


def sources(*films: tuple[str, str]) -> list[str | None]:
    return sources_of([FilmRecord(path, finding, None) for path, finding in films])


def test_a_source_is_the_manifest_s_the_known_set_s_or_the_folder_s() -> None:
    assert sources(("train/Covid/a.png", "Covid-19"), ("test_set/covid/b.png", "Covid-19")) == [None, None]
    assert sources(("train/Covid/berlin/a.png", "Covid-19"), ("train/Normal/b.png", "Normal")) == ["berlin", None]
    assert sources(("kermany/Normal/a.png", "Normal")) == ["kermany"]
    assert sources_of([FilmRecord("kermany/Normal/a.png", "Normal", None, source="here")]) == ["here"]
    assert sources_of([FilmRecord("Normal/a.png", "Normal", None)], ["a public set"]) == ["a public set"]


def test_folders_that_go_with_the_findings_one_to_one_are_no_source() -> None:
    assert sources(("Normal/a.png", "0"), ("Effusion/b.png", "1"), ("normal/c.png", "0")) == [None, None, None]
    deep = sources(("A/Normal/a.png", "0"), ("B/Normal/b.png", "0"), ("A/Effusion/c.png", "1"))
    assert deep == ["A", "B", "A"]
    mixed = sources(("x/a.png", "0"), ("y/b.png", "1"), ("y/c.png", "0"))
    assert mixed == ["x", "y", "y"]


def test_a_folder_named_as_another_finding_is_no_source() -> None:
    films = ("Effusion/a.png", "Infiltration"), ("Effusion/b.png", "Effusion"), ("Normal/c.png", "Normal")
    assert sources(*films) == [None, None, None]


def test_a_class_folder_with_another_name_beside_a_named_one_is_no_source() -> None:
    assert sources(("Normal/a.png", "Normal"), ("Sick/b.png", "abnormal"), ("Sick/c.png", "abnormal")) == [None] * 3
    mixed = sources(("Normal/a.png", "Normal"), ("Sick/b.png", "abnormal"), ("Sick/c.png", "Normal"))
    assert mixed == [None, "Sick", "Sick"]


def test_folders_beside_named_findings_are_sources_even_one_to_one() -> None:
    found = sources(("kermany/Normal/a.png", "Normal"), ("figure1/Covid/b.png", "Covid-19"))
    assert found == ["kermany", "figure1"]


def test_the_same_films_as_folders_and_as_a_list_with_other_labels_have_the_same_faults(cases: Path) -> None:
    folder = cases / "11-class-folder-taken-for-source" / "pool"
    as_folders = [(fault.kind, fault.severity) for fault in faults_of(folder) if fault.kind != "passed-over"]
    assert [(fault.kind, fault.severity) for fault in faults_of(folder / "num.csv")] == as_folders
    assert ("class-by-source", "error") not in as_folders
