"""Subgroups hold the right films, small ones are said to be small, and no column tells a patient."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.film.radiograph import Radiograph
from hilum.judge.metrics import Labels
from hilum.judge.subgroups import PatientGroups, score_patient_groups, score_subgroups, size_class, traits_of


def test_films_fall_into_classes_of_size() -> None:
    sizes = {
        (100, 80): "below 256 px",
        (255, 256): "256-511 px",
        (2047, 9): "1024-2047 px",
        (9, 2048): "2048 px and more",
    }
    assert {size: size_class(size) for size in sizes} == sizes


def test_traits_say_what_the_file_says() -> None:
    film = Radiograph(np.zeros((2, 2), np.float32), "dicom", (3000, 2500), 12, "PA", "a patient's key")
    assert traits_of(film) == {"size": "2048 px and more", "file format": "DICOM", "view position": "PA"}


def test_figures_of_each_group_are_those_of_its_films() -> None:
    num = 80
    records = [FilmRecord(f"{n}.png", "Normal", None, source="here" if n < 60 else "there") for n in range(num)]
    traits = {f"{n}.png": {"file format": "PNG"} for n in range(50)}
    truth = np.arange(num) % 2
    right = np.arange(num) < 60  # all wrong elsewhere
    probabilities = np.where((truth == 1) == right, 0.9, 0.1)[:, np.newaxis] * np.array([-1, 1]) + np.array([1, 0])
    labels = Labels(truth, np.arange(num), ("Normal", "Covid-19"))
    found = score_subgroups(records, traits, probabilities, labels)
    assert list(found) == ["source", "file format"]
    here, there = found["source"]
    assert (here.value, here.n, here.small) == ("here", 60, False)
    assert (there.value, there.n, there.small) == ("there", 20, True)
    assert here.accuracy.value == here.auroc_macro.value == 1
    assert there.accuracy.value == there.auroc_macro.value == 0
    assert there.accuracy.high < 0.2
    assert there.findings == {"Normal": 10, "Covid-19": 10}
    assert [(row.value, row.n) for row in found["file format"]] == [("PNG", 50), ("not stated", 30)]


def test_a_group_of_one_finding_has_no_auroc() -> None:
    records = [FilmRecord(f"{n}.png", "Normal", None, source="one") for n in range(4)]
    labels = Labels(np.zeros(4, int), np.arange(4), ("Normal", "Covid-19"))
    found = score_subgroups(records, {}, np.full((4, 2), 0.5), labels)
    assert found["source"][0].auroc_macro.value is None
    assert found["source"][0].findings == {"Normal": 4}
    assert found["source"][0].accuracy.value == pytest.approx(1)


# --- age and sex ------------------------------------------------------------------------------------------------------


def judged(ages: list[float | None], sexes: list[str | None], right: np.ndarray) -> dict[str, PatientGroups]:
    num = len(ages)
    records = [
        FilmRecord(f"{n}.png", "Normal", None, age_years=age, sex=sex)
        for n, (age, sex) in enumerate(zip(ages, sexes, strict=True))
    ]
    truth = np.arange(num) % 2
    probabilities = np.where((truth == 1) == right, 0.9, 0.1)[:, np.newaxis] * np.array([-1, 1]) + np.array([1, 0])
    return score_patient_groups(records, probabilities, Labels(truth, np.arange(num), ("Normal", "Covid-19")))


def test_the_worst_band_of_age_is_named() -> None:
    ages: list[float | None] = [5.0] * 20 + [30.0] * 40 + [90.0] * 9 + [None] * 3
    found = judged(ages, [None] * 72, np.arange(72) >= 12)["age"]
    assert [(row.value, row.n) for row in found.groups] == [
        ("under 18 years", 20),
        ("18-39 years", 40),
        ("80 years and over", 9),
    ]
    assert (found.worst, found.is_surely_worse, found.n_unknown) == ("under 18 years", True, 3)
    assert found.groups[0].accuracy.value == pytest.approx(0.4)
    assert found.groups[2].accuracy.value is None  # nine films are too few
    assert found.groups[2].findings


def test_a_difference_between_the_sexes_may_be_chance() -> None:
    right = np.ones(40, dtype=bool)
    right[0] = False
    found = judged([None] * 40, ["F"] * 20 + ["M"] * 20, right)
    assert list(found) == ["sex"]
    assert (found["sex"].worst, found["sex"].is_surely_worse) == ("female", False)


def test_without_two_groups_of_ten_films_there_is_no_worst() -> None:
    found = judged([30.0] * 12 + [50.0] * 9, [None] * 21, np.ones(21, dtype=bool))
    assert found["age"].worst is None
    assert judged([None], [None], np.ones(1, dtype=bool)) == {}
