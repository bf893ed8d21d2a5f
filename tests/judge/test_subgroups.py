"""Subgroups hold the right films, small ones are said to be small, and no column tells a patient."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.film.radiograph import Radiograph
from hilum.judge.subgroups import score_subgroups, size_class, traits_of


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
    found = score_subgroups(
        records, traits, truth, probabilities, groups=np.arange(num), findings=("Normal", "Covid-19")
    )
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
    found = score_subgroups(
        records, {}, np.zeros(4, int), np.full((4, 2), 0.5), groups=np.arange(4), findings=("Normal", "Covid-19")
    )
    assert found["source"][0].auroc_macro.value is None
    assert found["source"][0].findings == {"Normal": 4}
    assert found["source"][0].accuracy.value == pytest.approx(1)
