"""Data sets as they lie on disk: what is read, and what each broken one is told."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import hilum.data.walk
from hilum.data.folder import Dataset, film_paths, name_hints, read_dataset, rename_findings
from hilum.errors import InconsistentDataset, InputError


def make_films(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"film")
    return root


def summary(data: Path, **options: int) -> list[tuple[str, str, str | None]]:
    return [(record.path, record.finding, record.split) for record in read_dataset(data, **options).records]


def test_class_folders_get_standard_names_and_unknown_ones_keep_theirs(tmp_path: Path) -> None:
    make_films(tmp_path, "Covid/b.png", "Covid/a.png", "No_finding/x/deep/c.png", "Émphysème 2/d.png")
    assert summary(tmp_path) == [
        ("Covid/a.png", "Covid-19", None),
        ("Covid/b.png", "Covid-19", None),
        ("No_finding/x/deep/c.png", "Normal", None),
        ("Émphysème 2/d.png", "Émphysème 2", None),
    ]
    dataset = read_dataset(tmp_path)
    assert dataset.findings == ("Normal", "Covid-19", "Émphysème 2")
    assert dataset.folder_names["Normal"] == ("No_finding",)
    assert (dataset.root, dataset.name, dataset.has_test) == (tmp_path, tmp_path.name, False)


@pytest.mark.parametrize("name", ["unlabelled", "Unknown", "not_stated", "todo"])
def test_a_class_folder_that_states_no_finding_is_an_error(tmp_path: Path, name: str) -> None:
    make_films(tmp_path, "Covid/a.png", "Normal/b.png", f"{name}/c.png")
    with pytest.raises(InconsistentDataset, match=f"`.*{name}` states no finding"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["patient", "sub-", "Case_", "P00"])
def test_folders_of_patients_keep_their_films_together(tmp_path: Path, name: str) -> None:
    numbers = range(1, 9)
    make_films(tmp_path, *(f"Normal/{name}{number}/study1/{film}.png" for number in numbers for film in "ab"))
    make_films(tmp_path, *(f"Covid/{number}.png" for number in numbers))
    dataset = read_dataset(tmp_path)
    groups = Counter(record.group for record in dataset.records)
    assert groups == {None: 8} | {f"Normal/{name}{number}": 2 for number in numbers}
    assert [remark.kind for remark in dataset.remarks] == ["inner-folders"]
    assert f"Folders such as `Normal/{name}1` are read as patients" in dataset.remarks[0].message


def test_all_folders_inside_the_folder_of_a_patient_are_that_patient(tmp_path: Path) -> None:
    numbers = range(1, 9)
    make_films(tmp_path, *(f"Normal/patient{number}/case_{case}/a.png" for number in numbers for case in (1, 2)))
    make_films(tmp_path, *(f"Covid/case1/patient{number}/{film}.png" for number in numbers for film in "ab"))
    groups = Counter(record.group for record in read_dataset(tmp_path).records)
    normal = {f"Normal/patient{number}": 2 for number in numbers}
    assert groups == normal | {f"Covid/case1/patient{number}": 2 for number in numbers}  # case1 holds half of all films


@pytest.mark.parametrize("name", ["patients", "p1", "2020", "study1", "patient_normal"])
def test_other_folders_are_no_patients(tmp_path: Path, name: str) -> None:
    make_films(tmp_path, *(f"Normal/{name}/{film}.png" for film in "ab"), *(f"Covid/{film}.png" for film in range(20)))
    dataset = read_dataset(tmp_path)
    assert {record.group for record in dataset.records} == {None}


def test_a_folder_of_a_fifth_of_all_films_is_not_one_patient(tmp_path: Path) -> None:
    make_films(tmp_path, *(f"Normal/patient1/{film}.png" for film in "abc"), *(f"Covid/{film}.png" for film in "ab"))
    assert {record.group for record in read_dataset(tmp_path).records} == {None}


def test_a_folder_name_that_is_not_utf_8_is_told_so(tmp_path: Path) -> None:
    make_films(tmp_path, "Normal/a.png")
    os.makedirs(os.fsencode(tmp_path) + b"/\xc9panchement")  # noqa: PTH103 - the name is no text
    make_films(tmp_path, os.fsdecode(b"\xc9panchement/a.png"))
    with pytest.raises(InconsistentDataset, match="is not written in UTF-8"):
        read_dataset(tmp_path)


def test_folders_of_one_finding_merge(tmp_path: Path) -> None:
    make_films(tmp_path, "Covid/a.png", "COVID-19/b.png", "Normal/c.png")
    assert Counter(finding for _, finding, _ in summary(tmp_path)) == {"Covid-19": 2, "Normal": 1}
    assert read_dataset(tmp_path).folder_names["Covid-19"] == ("COVID-19", "Covid")


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("Train", "train"),
        ("TESTING", "test"),
        ("val", "validation"),
        ("valid", "validation"),
        ("Validation", "validation"),
    ],
)
def test_parts_are_known_by_their_names(tmp_path: Path, folder: str, split: str) -> None:
    make_films(tmp_path, "training/Normal/a.png", "training/Covid/a.png", f"{folder}/Normal/b.png")
    assert (f"{folder}/Normal/b.png", "Normal", split) in summary(tmp_path)
    assert read_dataset(tmp_path).has_test == (split == "test")


def test_what_is_no_film_is_left_out(tmp_path: Path) -> None:
    make_films(tmp_path, "Covid/a.png", "Normal/b", "Normal/list.CSV", "Normal/Thumbs.db", "Normal/.DS_Store")
    make_films(tmp_path, "__MACOSX/Covid/a.png", ".ipynb_checkpoints/x.png", "Normal/.hidden/c.png", "readme.md")
    os.mkfifo(tmp_path / "Normal" / "pipe.png")
    assert [path for path, _, _ in summary(tmp_path)] == ["Covid/a.png", "Normal/b"]


def test_masks_beside_images_are_no_films(tmp_path: Path) -> None:
    make_films(tmp_path, "COVID/images/a.png", "COVID/masks/a.png", "Normal/images/b.png", "Normal/masks/b.png")
    assert [path for path, _, _ in summary(tmp_path)] == ["COVID/images/a.png", "Normal/images/b.png"]


@pytest.mark.parametrize("name", ["lung masks", "infection_masks", "Mask", "segmentation", "LungMasks", "mask_png"])
@pytest.mark.parametrize("images", ["images", "image", "IMG"])
def test_masks_by_other_names_are_no_films_either(tmp_path: Path, name: str, images: str) -> None:
    classes = ("COVID", "Normal")
    make_films(tmp_path, *(f"{one}/{folder}/a.png" for one in classes for folder in (images, name)))
    dataset = read_dataset(tmp_path)
    assert [record.path for record in dataset.records] == [f"COVID/{images}/a.png", f"Normal/{images}/a.png"]
    assert not dataset.remarks


@pytest.mark.parametrize("name", ["no_mask", "images without masks", "with-mask", "masked"])
def test_films_of_people_with_or_without_a_mask_are_films(tmp_path: Path, name: str) -> None:
    make_films(tmp_path, *(f"{one}/{folder}/a.png" for one in ("COVID", "Normal") for folder in ("images", name)))
    assert len(read_dataset(tmp_path).records) == 4


def test_a_link_loop_ends_and_steals_no_film_of_another_finding(tmp_path: Path) -> None:
    make_films(tmp_path, "set/Covid/z.png", "set/Normal/b.png", "other.png")
    (tmp_path / "set/Covid/alias").symlink_to(tmp_path / "set/Normal")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    (tmp_path / "set/Covid/loop").symlink_to(tmp_path / "set")
    (tmp_path / "set/Normal/up").symlink_to(tmp_path)
    (tmp_path / "set/Normal/self").symlink_to(tmp_path / "set/Normal/self")
    assert [path for path, _, _ in summary(tmp_path / "set")] == ["Covid/z.png", "Normal/b.png", "Normal/self"]


def test_links_to_films_and_folders_outside_are_followed_once(tmp_path: Path) -> None:
    make_films(tmp_path, "store/a.png", "store/deep/b.png", "set/Normal/n.png", "set/Covid/c.png")
    (tmp_path / "set/Covid/one").symlink_to(tmp_path / "store")
    (tmp_path / "set/Covid/two").symlink_to(tmp_path / "store")
    (tmp_path / "set/Normal/n2.png").symlink_to(tmp_path / "set/Normal/n.png")
    paths = [path for path, _, _ in summary(tmp_path / "set")]
    assert paths == ["Covid/c.png", "Covid/one/a.png", "Covid/one/deep/b.png", "Normal/n.png"]


def test_a_part_that_links_to_another_is_refused(tmp_path: Path) -> None:
    make_films(tmp_path, "train/Normal/a.png", "train/Covid/b.png")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(InconsistentDataset, match="count twice"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("films", "message"),
    [
        (["Normal/a.png"], r"has 1 finding \(Normal\); expected at least 2. Add a folder"),
        (["outer/Normal/a.png", "outer/Covid/b.png"], r"Did you mean the folder inside it, `.*outer`"),
        (["Normal/a.png", "Covid/list.csv"], r"class folder `.*Covid` holds no films"),
        (["a.png", "b.png"], "are not in class folders"),
        (["notes.txt"], "holds no films. Expected a folder with one sub-folder per finding"),
        (["train/Normal/a.png", "train/Covid/b.png", "test/Covd/c.png"], "finding `Covd`, but its train part has not"),
        (["train/Normal/a.png", "train/Covid/b.png", "tets/Covid/c.png"], "Did you mean `test`"),
    ],
)
def test_a_broken_folder_is_told_what_is_wrong(tmp_path: Path, films: list[str], message: str) -> None:
    make_films(tmp_path, *films)
    with pytest.raises(InconsistentDataset, match=message) as caught:
        read_dataset(tmp_path)
    assert (caught.value.exit_code, caught.value.http_status) == (2, 400)


def test_a_missing_folder_is_told_in_one_sentence() -> None:
    with pytest.raises(InconsistentDataset) as caught:
        read_dataset(Path("no/such"))
    assert str(caught.value) == (
        "Cannot read the data folder `no/such`: it does not exist. Expected a folder with one sub-folder per finding "
        "(Normal/, Covid/), train/ and test/ with such sub-folders, or a CSV file. Check the path."
    )


def test_one_finding_is_enough_where_the_caller_says_so(tmp_path: Path) -> None:
    make_films(tmp_path, "test/Covid/a.png")
    assert summary(tmp_path, min_findings=1) == [("test/Covid/a.png", "Covid-19", "test")]


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_films(tmp_path, "Covid/a.png", "Normal/locked/b.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(hilum.data.walk.os, "scandir", refuse)
    with pytest.raises(InputError, match=r"Cannot read the folder `.*locked`: Permission denied"):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match=r"Cannot read the folder `.*locked`"):
        list(film_paths([tmp_path]))


# --- manifest -------------------------------------------------------------------------------------------------------


def write_manifest(folder: Path, text: str) -> Path:
    make_films(folder, "a.png", "sub/b.png")
    (folder / "films.csv").write_text(text, encoding="utf-8")
    return folder / "films.csv"


def test_a_manifest_gives_paths_findings_splits_patients_and_sources(tmp_path: Path) -> None:
    text = "\ufeffPath,Finding,split,patient,source,view\nsub/../sub/b.png,COVID,Valid,p1,A,PA\na.png,Healthy,,,,\n"
    dataset = read_dataset(write_manifest(make_films(tmp_path, "c.png"), text + "c.png,covid,train,,,\n"))
    found = [(film.path, film.finding, film.split, film.patient, film.source) for film in dataset.records]
    assert found == [
        ("a.png", "Normal", None, None, None),
        ("c.png", "Covid-19", "train", None, None),
        ("sub/b.png", "Covid-19", "validation", "p1", "A"),
    ]
    assert "p1" not in repr(dataset)
    assert (dataset.root, dataset.name) == (tmp_path, "films")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,findng\na.png,Covid\n", "unknown column `findng`. Did you mean `finding`"),
        ("path,finding,patients\na.png,Covid,1\n", "unknown column `patients`. Did you mean `patient`"),
        ("path,remark\na.png,Covid\n", "no column `finding`.*received path, remark"),
        ("path,path,finding\na,a,b\n", "two columns `path`"),
        ("", "no column `path`.*received none"),
        ("path,finding\n", "holds no films"),
        ("path,finding\na.png,Covid\nsub/../a.png,Normal\n", "Line 3 of .* names the film `a.png`, which line 2 names"),
        ("path,finding\na.png,Covid\n../x.png,Normal\n", "is outside"),
        ("path,finding\na.png,Covid\n/etc/hosts,Normal\n", "is outside"),
        ("path,finding\na.png,Covid\nsub/c.png,Normal\n", "1 of the 2 films .* do not exist; the first is `sub/c.png`"),
        ("path,finding\na.png,\n", "gives no finding for `a.png`"),
        ("path,finding\n,Covid\n", "Line 2 of .* gives no path"),
        ("path,finding,split\na.png,Covid,tets\n", "split `tets`. Did you mean `test`"),
        ("path,finding\na.png,Covid,extra\n", "has 3 cells; expected 2"),
        ("path,finding\na.png,Covid\n", "has 1 finding"),
    ],
)
def test_a_broken_manifest_is_told_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InconsistentDataset, match=message):
        read_dataset(write_manifest(tmp_path, text))


@pytest.mark.parametrize(
    ("cell", "years"),
    [("45", 45), ("4.5", 4.5), ("045Y", 45), ("018m", 1.5), ("", None), ("unknown", None), ("-1", None), ("nan", None)],
)
def test_a_manifest_gives_groups_and_ages(tmp_path: Path, cell: str, years: float | None) -> None:
    text = f"path,finding,group,age,image,page\na.png,Covid,g1,{cell},x,y\nsub/b.png,Normal,,,,\n"
    first, second = read_dataset(write_manifest(tmp_path, text)).records
    assert (first.group, first.age_years) == ("g1", years if years is None else pytest.approx(years))
    assert (second.group, second.age_years) == (None, None)


@pytest.mark.parametrize(("cell", "sex"), [("F", "F"), ("female", "F"), ("Male", "M"), ("O", None), ("", None)])
def test_a_manifest_gives_the_sex(tmp_path: Path, cell: str, sex: str | None) -> None:
    text = f"path,finding,Patient Gender\na.png,Covid,{cell}\nsub/b.png,Normal,M\n"
    first, second = read_dataset(write_manifest(tmp_path, text)).records
    assert (first.sex, second.sex) == (sex, "M")


def test_a_manifest_of_absolute_paths_may_lie_anywhere(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", "a.png", "sub/b.png")
    manifest = tmp_path / "apart" / "films.csv"
    manifest.parent.mkdir()
    manifest.write_text(f"path,finding\n{films / 'a.png'},Covid\n{films / 'sub/b.png'},Normal\n", encoding="utf-8")
    dataset = read_dataset(manifest)
    assert (dataset.root, dataset.name) == (films, "films")
    assert [film.path for film in dataset.records] == ["a.png", "sub/b.png"]
    manifest.write_text(f"path,finding\n{films / 'a.png'},Covid\n../films/sub/b.png,Normal\n", encoding="utf-8")
    with pytest.raises(InconsistentDataset, match=r"is outside.*make every path absolute"):
        read_dataset(manifest)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    make_films(tmp_path, "a.png")
    with pytest.raises(InconsistentDataset, match="as a data set: it is a file"):
        read_dataset(tmp_path / "a.png")


# --- films to judge -------------------------------------------------------------------------------------------------


def test_film_paths_keeps_what_is_named_and_sorts_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_films(tmp_path, "in/b.png", "in/a/2.dcm", "in/a/1", "in/notes.txt", "in/.x.png", "odd.txt")
    monkeypatch.chdir(tmp_path)
    found = film_paths([Path("odd.txt"), Path("in"), Path("gone.png"), Path("in/b.png")])
    assert [path.as_posix() for path in found] == [
        "odd.txt",
        "in/a/1",
        "in/a/2.dcm",
        "in/b.png",
        "gone.png",
        "in/b.png",
    ]


def test_film_paths_is_lazy_and_survives_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_films(tmp_path, "a/1.png", "b/2.png", "c/3.png")
    (tmp_path / "b/loop").symlink_to(tmp_path)
    listed: list[str] = []
    list_folder = hilum.data.walk.list_folder
    monkeypatch.setattr(
        hilum.data.walk, "list_folder", lambda folder, passed=None: (listed.append(folder), list_folder(folder))[1]
    )
    paths = film_paths([tmp_path])
    assert next(paths).name == "1.png"
    assert listed == [str(tmp_path), str(tmp_path / "a")]
    assert [path.name for path in paths] == ["2.png", "3.png"]


# --- real films -----------------------------------------------------------------------------------------------------


def test_the_real_sets_read_right(hilum_data: Path) -> None:
    seed = read_dataset(hilum_data / "covid19-image-dataset")
    assert Counter(record.split for record in seed.records) == {"train": 251, "test": 66}
    assert seed.findings == ("Normal", "Covid-19", "Viral Pneumonia")
    four = read_dataset(hilum_data / "four-class")
    assert Counter((record.split, record.finding) for record in four.records)["train", "Bacterial Pneumonia"] == 133
    pool = read_dataset(hilum_data / "pool" / "manifest.csv")
    assert len(pool.records) == 6800
    assert "Other abnormality" in pool.findings
    assert {record.source for record in pool.records} == {"radiography-db", "kermany", "nih-ozturk", "ieee8023"}


@pytest.mark.parametrize("name", ["x" * 65, "Silico\x1bsis", "Nodule\u202es"])
def test_names_of_findings_can_be_shown(tmp_path: Path, name: str) -> None:
    for folder in ("Normal", name):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"film")
    with pytest.raises(InconsistentDataset, match="name of a finding") as caught:
        read_dataset(tmp_path)
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
    assert caught.value.fix == "Rename it."


@pytest.mark.parametrize(("one", "other"), [("İnfiltrat", "Infiltrat"), ("Œdem", "Oedem"), ("İnfİltrat", "infiltrat")])
def test_folders_of_one_finding_in_other_letters_are_one_and_said(tmp_path: Path, one: str, other: str) -> None:
    for folder in ("Normal", one, other):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"film")
    dataset = read_dataset(tmp_path)
    assert len(dataset.findings) == 2
    (remark,) = (remark for remark in dataset.remarks if remark.kind == "same-finding")
    assert f"`{one}`" in remark.message
    assert f"`{other}`" in remark.message


# --- names of findings ------------------------------------------------------------------------------------------------

KNOWN = ("Normal", "Covid-19", "Viral Pneumonia", "Bacterial Pneumonia")


@pytest.fixture
def theirs(tmp_path: Path, write_film: Callable[..., Path]) -> Dataset:
    for number, name in enumerate(("Lungenentzündung", "Healthy", "Corona", "COVID-19")):
        write_film(tmp_path / "set" / name / "a.png", seed=number)
    return read_dataset(tmp_path / "set")


def test_their_names_become_ours(theirs: Dataset) -> None:
    renamed = rename_findings(theirs, ["Lungenentzündung = viral", "Healthy=Normal"], KNOWN)
    assert [record.finding for record in renamed.records] == ["Covid-19", "Covid-19", "Normal", "Viral Pneumonia"]
    assert renamed.folder_names["Viral Pneumonia"] == ("Lungenentzündung",)
    assert rename_findings(theirs, [], KNOWN) == theirs


def test_another_spelling_of_a_finding_is_that_finding(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    for number, name in enumerate(("pleural_effusion", "mass")):
        write_film(tmp_path / "set" / name / "a.png", seed=number)
    renamed = rename_findings(read_dataset(tmp_path / "set"), [], ("Normal", "Pleural Effusion"))
    assert [record.finding for record in renamed.records] == ["mass", "Pleural Effusion"]


def test_names_of_one_finding_go_together(theirs: Dataset) -> None:
    renamed = rename_findings(theirs, ["Corona=Bacterial Pneumonia"], KNOWN)
    assert [record.finding for record in renamed.records][:2] == ["Bacterial Pneumonia"] * 2


@pytest.mark.parametrize(
    ("mapping", "match"),
    [
        (["Healthy"], "Expected `Their name=Our finding`"),
        (["=Normal"], "Expected `Their name=Our finding`"),
        (["Helthy=Normal"], r"No film of the data set shows `Helthy`. Did you mean `Healthy`\?"),
        (["Healthy=Normla"], r"does not know the finding `Normla`. Did you mean `Normal`\?"),
        (["Healthy=Normal", "Normal=Covid"], "mapped to `Normal` and to `Covid-19`"),
    ],
)
def test_mappings_that_lead_nowhere_are_errors(theirs: Dataset, mapping: list[str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        rename_findings(theirs, mapping, KNOWN)


def test_near_names_are_hinted_at_and_others_are_not() -> None:
    assert name_hints(["Bacterial Pneumonia", "Abnormal"], ["Normal", "Viral Pneumonia"]) == []
    assert name_hints(["Covids", "Fracture"], KNOWN) == ['If `Covids` means `Covid-19`, add --map "Covids=Covid-19".']
