"""Folders as people lay them out: parts, sources and folds are no findings, and what cannot be told is refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from hilum.data.folder import Dataset, read_dataset
from hilum.errors import InconsistentDataset

CASE = "09-part-folders-taken-for-findings"
Place = tuple[str | None, str | None, str]  # split, source, finding


def data_set(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        (root / folder / "film.png").write_bytes(b"film")
    return root


def places(dataset: Dataset) -> set[Place]:
    return {(record.split, record.source, record.finding) for record in dataset.records}


def told(dataset: Dataset) -> str:
    return " ".join(remark.message for remark in dataset.remarks)


def grid(*levels: tuple[str, ...]) -> list[str]:
    paths = [""]
    for names in levels:
        paths = [f"{path}/{name}".strip("/") for path in paths for name in names]
    return paths


CLASSES = ("Covid", "Normal")
FINDINGS = ("Covid-19", "Normal")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *(("training_set", "test_set"), ("Train", "Testing"), ("data_train", "holdout"), ("trainset", "eval")),
        *(("entrenamiento", "prueba"), ("Trainingsdaten", "Testdaten"), ("apprentissage", "test"), ("训练", "测试")),
        *(("Entraînement", "Teste"), ("학습", "테스트")),
    ],
)
def test_parts_by_their_spellings(tmp_path: Path, train: str, test: str) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid((train, test), CLASSES)))
    assert places(dataset) == {(part, None, finding) for part in ("train", "test") for finding in FINDINGS}
    assert (f"`{train}` as train" in told(dataset)) == (train != "Train")


def test_dev_beside_train_and_test_is_named_as_validation(tmp_path: Path) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid(("train", "dev", "test"), CLASSES)))
    assert {split for split, _, _ in places(dataset)} == {"train", "validation", "test"}
    assert "`dev` as validation" in told(dataset)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_parts_may_have_accents(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    parts = tuple(unicodedata.normalize(form, name) for name in ("entrenamiento", "Validación", "prueba"))
    dataset = read_dataset(data_set(tmp_path, *grid(parts, CLASSES)))
    assert {split for split, _, _ in places(dataset)} == {"train", "validation", "test"}


def test_a_folder_beside_the_parts_is_named(tmp_path: Path) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid(("train", "test", "unlabelled"), CLASSES)))
    assert {split for split, _, _ in places(dataset)} == {"train", "test"}
    assert "The folder `unlabelled` (2 films) was not read" in told(dataset)


def test_a_folder_beside_a_test_part_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InconsistentDataset, match=r"`extra` .* no folder is the train part"):
        read_dataset(data_set(tmp_path, *grid(("extra", "test"), CLASSES)))


@pytest.mark.parametrize(
    ("sources", "classes"),
    [
        (("HospitalA", "HospitalB"), CLASSES),
        (("site1", "site2", "site3"), ("X", "Y")),
        (("NIH", "Kermany"), CLASSES),
        (("HospitalA", "Charité"), CLASSES),
    ],
)
def test_sources_by_their_names(tmp_path: Path, sources: tuple[str, ...], classes: tuple[str, ...]) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid(sources, classes)))
    findings = FINDINGS if classes == CLASSES else classes
    assert places(dataset) == {(None, source, finding) for source in sources for finding in findings}
    assert f"`{sources[0]}`" in told(dataset)


@pytest.mark.parametrize("folds", [("fold0", "fold1", "fold2"), ("split_1", "split_2"), ("Fold A", "Fold B")])
@pytest.mark.parametrize("classes", [CLASSES, ("X", "Y")])
def test_folds_are_one_set_and_it_is_said(tmp_path: Path, folds: tuple[str, ...], classes: tuple[str, ...]) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid(folds, classes)))
    assert {(split, source) for split, source, _ in places(dataset)} == {(None, None)}
    assert len(dataset.findings) == 2
    assert f"`{folds[0]}`" in told(dataset)
    assert "read as one set" in told(dataset)


@pytest.mark.parametrize("classes", [CLASSES, ("X", "Y")])
def test_parts_inside_class_folders(tmp_path: Path, classes: tuple[str, ...]) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid(classes, ("train", "test"))))
    findings = FINDINGS if classes == CLASSES else classes
    assert places(dataset) == {(part, None, finding) for part in ("train", "test") for finding in findings}


SOURCES = ("siteA", "siteB")
PARTS = ("train", "test")


@pytest.mark.parametrize(
    "levels",
    [
        (SOURCES, PARTS, CLASSES),
        (PARTS, SOURCES, CLASSES),
        (PARTS, CLASSES, SOURCES),
        (CLASSES, SOURCES, PARTS),
        (CLASSES, PARTS, SOURCES),
        (SOURCES, CLASSES, PARTS),
    ],
)
def test_deep_mixtures(tmp_path: Path, levels: tuple[tuple[str, ...], ...]) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid(*levels)))
    assert places(dataset) == {(part, source, name) for part in PARTS for source in SOURCES for name in FINDINGS}


def test_sources_inside_class_folders(tmp_path: Path) -> None:
    dataset = read_dataset(data_set(tmp_path, *grid(("X", "Y"), SOURCES)))
    assert places(dataset) == {(None, source, finding) for source in SOURCES for finding in ("X", "Y")}


@pytest.mark.parametrize(
    "folders",
    [
        *(grid(CLASSES, inner) for inner in (("images",), ("PA", "AP"), ("2020", "2021"), ("p1", "p2"), ("a", "b"))),
        *(grid(("X", "Y"), inner) for inner in (("images",), ("PA", "AP"), ("patient1", "patient2"), ("2020", "2021"))),
        ["X/one", "X/two", "Y/three", "Y/four"],
        [f"X/{n}" for n in range(30)] + [f"Y/{n}" for n in range(25)],
        ["Pneumonia/Viral", "Pneumonia/Bacterial", "Normal"],
        ["Abnormal/Covid", "Abnormal/Mass", "Normal"],
    ],
)
def test_folders_inside_class_folders_are_theirs(tmp_path: Path, folders: list[str]) -> None:
    dataset = read_dataset(data_set(tmp_path, *folders))
    top = {folder.split("/")[0] for folder in folders}
    assert {name for names in dataset.folder_names.values() for name in names} == top
    assert {(record.split, record.source) for record in dataset.records} == {(None, None)}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (grid(("A", "B"), CLASSES), r"same class folders \(Covid, Normal\).*HospitalA.*path,finding,source"),
        (grid(("A", "B"), ("X", "Y")), r"contain the same class folders \(X, Y\)"),
        (grid(("A", "B"), ("0", "1")), r"contain the same class folders \(0, 1\)"),
        (grid(("A", "B"), PARTS, CLASSES), r"contain the same class folders \(Covid, Normal\)"),
        ([*grid(("A", "B", "C"), CLASSES)[:-1]], "It is not clear what the folders `A`, `B` and `C`"),
        ([*CLASSES, *grid(("test",), CLASSES)], "`Covid` and `Normal` in .* are next to `test`"),
        ([*CLASSES, *grid(("HospitalA",), CLASSES)], "`HospitalA` in .* contains class folders"),
        ([*CLASSES, *grid(("extra",), CLASSES)], "`extra` in .* contains class folders"),
        (["Normal/train", "Normal/test", "Covid"], "Some class folders .* `Covid` is not"),
        (["Normal/train", "Normal/test", "Normal/more", "Covid/train"], "films are outside them, in `more`"),
        (["HospitalA/Normal", "HospitalA/Covid", "HospitalB"], "`HospitalB` next to them does not"),
        (["train/test/Normal", "train/test/Covid"], "is the train part .*, but it also contains the part `test`"),
    ],
)
def test_what_cannot_be_told_is_refused_and_never_read_as_findings(
    tmp_path: Path, folders: list[str], message: str
) -> None:
    data_set(tmp_path, *folders)
    with pytest.raises(InconsistentDataset, match=message) as caught:
        read_dataset(tmp_path, min_findings=1)
    assert caught.value.fix


def test_films_outside_the_class_folders_are_counted(tmp_path: Path) -> None:
    data_set(tmp_path, *CLASSES)
    (tmp_path / "stray.png").write_bytes(b"film")
    (tmp_path / "labels.csv").write_text("x")
    (remark,) = read_dataset(tmp_path).remarks
    assert (remark.kind, remark.severity) == ("passed-over", "warning")
    assert "1 file .png outside the class folders in " in remark.message
    assert "1 file .csv in " in remark.message


def test_a_class_folder_of_packed_films_is_told_so(tmp_path: Path) -> None:
    data_set(tmp_path, "Normal")
    (tmp_path / "Effusion").mkdir()
    (tmp_path / "Effusion/1.dcm.gz").write_bytes(b"gz")
    with pytest.raises(InconsistentDataset, match=r"holds no films. Passed over: 1 file .dcm.gz in Effusion/ \(unpack"):
        read_dataset(tmp_path)


def test_the_cases(cases: Path) -> None:
    folder = cases / CASE
    splits = {name: {record.split for record in read_dataset(folder / name).records} for name in ("A_set", "B_dev")}
    assert splits == {"A_set": {"train", "test"}, "B_dev": {"train", "validation", "test"}}
    for name in ("A_set", "B_dev", "G_fold", "H_hosp"):
        assert read_dataset(folder / name).findings == ("Normal", "Covid-19")
    hospitals = read_dataset(folder / "H_hosp")
    assert {record.source for record in hospitals.records} == {"HospitalA", "HospitalB"}
    (remark,) = read_dataset(cases / "16-gz-skipped-silently" / "gz").remarks
    assert remark.message == "Passed over: 11 files .dcm.gz in Effusion/ (unpack them with gunzip)."
    spelt = read_dataset(cases / "10-finding-names-by-case" / "folders")
    assert spelt.findings == ("Normal", "Effusion")
    assert [one.kind for one in spelt.remarks] == ["same-finding"]


@pytest.mark.parametrize(
    "folders",
    [
        ("train_Normal", "train_Covid", "test_Normal", "test_Covid"),
        ("Normal-train", "Normal-test", "Covid-train", "Covid-test"),
        ("Normal/Normal_train", "Normal/Normal_test", "Covid/Covid_train", "Covid/Covid_test"),
        ("Normal/X_train", "Normal/X_test", "Covid/X_train", "Covid/X_test"),
        ("trainA/Normal", "trainA/Covid", "testA/Normal", "testA/Covid"),
        ("tr/Normal", "tr/Covid", "te/Normal", "te/Covid"),
        ("train/images/Normal", "train/images/Covid", "test/images/Normal", "test/images/Covid"),
    ],
)
def test_parts_within_longer_names(tmp_path: Path, folders: tuple[str, ...]) -> None:
    dataset = read_dataset(data_set(tmp_path / "data", *folders))
    assert places(dataset) == {(part, None, name) for part in ("train", "test") for name in ("Normal", "Covid-19")}
    assert "images" in folders[0] or "as te" in told(dataset) or "give both finding and part" in told(dataset)


def test_folders_inside_class_folders_are_told(tmp_path: Path) -> None:
    dataset = read_dataset(data_set(tmp_path / "a", "Normal/Berlin", "Covid/Berlin", "Normal/Paris", "Covid/Paris"))
    assert "`Berlin` and `Paris` are in more than one class folder" in told(dataset)
    dataset = read_dataset(data_set(tmp_path / "b", "Normal", "Pneumonia/Bacterial", "Pneumonia/Viral"))
    assert "`Bacterial` and `Viral` are inside `Pneumonia`" in told(dataset)


def test_an_empty_part_is_told_and_a_deep_set_named(tmp_path: Path) -> None:
    root = data_set(tmp_path / "a", "test/Normal", "test/Covid")
    (root / "train").mkdir()
    assert "`train` is empty" in told(read_dataset(root))
    with pytest.raises(InconsistentDataset, match=r"Did you mean .*data/images"):
        read_dataset(data_set(tmp_path / "b", "data/images/Normal", "data/images/Covid"))
