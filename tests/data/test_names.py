"""What names say: parts, folds, sources, findings, and names that say nothing."""

from __future__ import annotations

import pytest

from hilum.data.names import is_fold, is_known_finding, is_neutral, is_source, near_part, part_named, parts_in


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("train", "train Training TRAIN training_set trainset data_train train-images Train2017 my_train"),
        ("test", "test Testing test_set testdata eval evaluation hold-out HoldOut held_out xray_test TestSet tst"),
        ("validation", "val valid validation dev Dev valset validation_set tuning val2017 dev_set"),
        (None, "contest latest trains validity device Normal Covid set data images fold1 development 1 strain"),
    ],
)
def test_parts(part: str | None, names: str) -> None:
    assert {name: part_named(name) for name in names.split()} == dict.fromkeys(names.split(), part)


def test_folds() -> None:
    for name in ("fold0", "Fold_1", "split-2", "cv3", "kfold4", "part1", "subset_b", "fold1of5", "batch 12"):
        assert is_fold(name), name
    for name in ("fold", "Normal", "folder", "train", "unfold1", "particle1"):
        assert not is_fold(name), name


def test_sources() -> None:
    for name in ("HospitalA", "hospital_b", "siteB", "Site 1", "center-3", "Klinik_Nord", "Hôpital Sud", "NIH", "uni2"):
        assert is_source(name), name
    for name in ("Kermany", "charite hospital", "PadChest", "University of X", "Institute-4", "centre2", "dataset1"):
        assert is_source(name), name
    for name in ("A", "Normal", "opposite", "Unilateral", "Parasite", "test", "fold1", "Central mass"):
        assert not is_source(name), name


def test_findings_and_names_that_say_nothing() -> None:
    assert all(map(is_known_finding, ("Covid", "normal", "Pleural effusion", "CARDIOMEGALY", "non-covid")))
    assert not any(map(is_known_finding, ("HospitalA", "A", "fold1", "images", "0")))
    assert all(map(is_neutral, ("images", "Masks", "PA", "2020", "2020-01-31", "patient_17", "ST00001", "png")))
    assert not any(map(is_neutral, ("Normal", "A", "HospitalA", "0")))


def test_a_part_that_is_nearly_there() -> None:
    assert "Did you mean `test`?" in near_part("tets", ["train"])
    assert near_part("tets", ["train", "test"]) == ""
    assert near_part("Normal", ["train"]) == ""


def test_one_part_alone_in_longer_names_says_nothing() -> None:
    assert parts_in(["PCR_test_positive", "PCR_test_negative"]) == parts_in(["Normal", "te"]) == {}
    assert parts_in(["X-Train", "X-Val"]) == {"X-Train": "train", "X-Val": "validation"}
