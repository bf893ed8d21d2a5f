"""Public data sets are read as they come: every form of list, what is taken, what is left out and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.data.columns import listing
from hilum.data.folder import read_dataset
from hilum.data.known_layouts import KNOWN_LAYOUTS
from hilum.data.known_sets import find_known_set, read_known_set, split_pneumonias
from hilum.data.labels import FilmRecord
from hilum.data.manifest import film_key, group_columns
from hilum.errors import InconsistentDataset

NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    "00000001_000.png,No Finding,0,1,58,M,PA,2682,2749,0.143,0.143,\n"
    "00000002_000.png,Pneumonia,0,2,081Y,F,AP,2500,2048,0.171,0.171,\n"
    "00000002_001.png,Effusion|Mass,1,2,82,F,AP,2500,2048,0.171,0.171,\n"
    "00000003_000.png,Effusion,0,3,40,F,PA,2500,2048,0.171,0.171,\n"
)
CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n"
)
PADCHEST = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,Projection,Labels\n"
    "0,a.png,0,20140915,s1,p1,1934.0,F,PA,['normal']\n"
    "1,b.png,0,20140915,s1,p1,1934.0,F,L,['normal']\n"
    "2,c.png,0,20120102,s2,p2,1960.0,M,AP_horizontal,\"['pneumonia', 'NSG tube']\"\n"
    "3,d.png,0,20120102,s3,p3,1960.0,M,PA,\"['scoliosis', ' kyphosis']\"\n"
    "4,e.png,0,20120102,s4,p4,1960.0,M,PA,\"['pneumonia', 'pleural effusion']\"\n"
    "5,f.png,0,20120102,s5,p5,1960.0,M,PA,['unchanged']\n"
    "6,g.png,0,20120102,s6,p6,1960.0,M,PA,\n"
)
IEEE = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,view,modality,date,location,folder,filename,doi,\n"
    "2,0,M,65,Pneumonia/Viral/COVID-19,Y,Y,PA,X-ray,2020,Spain,images,a.jpg,,\n"
    "3,0,F,30,Pneumonia/Viral/SARS,,,AP Supine,X-ray,2004,,images,b.jpg,,\n"
    "4,0,F,30,Pneumonia/Bacterial/Streptococcus,,,PA,X-ray,2004,,images,c.jpg,,\n"
    "5,0,F,30,Pneumonia/Fungal/Pneumocystis,,,PA,X-ray,2004,,images,d.jpg,,\n"
    "6,0,F,30,No Finding,,,PA,X-ray,2004,,images,e.jpg,,\n"
    "7,0,F,30,todo,,,PA,X-ray,2004,,images,f.jpg,,\n"
    "8,0,F,30,Pneumonia/Viral/COVID-19,,,Axial,CT,2020,,volumes,g.jpg,,\n"
)
Read = dict[str, str]


def write(root: Path, lists: dict[str, str], *films: str) -> Path:
    for name, text in lists.items():
        (root / name).write_text(text, encoding="utf-8")
    for film in films:
        (root / film).parent.mkdir(parents=True, exist_ok=True)
        (root / film).write_bytes(b"film")
    return root


def findings(data: Path) -> Read:
    return {record.path: record.finding for record in read_dataset(data).records}


def messages(data: Path) -> str:
    return " ".join(remark.message for remark in read_dataset(data).remarks)


def chexpert_row(path: str, view: str = "Frontal", **marks: str) -> str:
    columns = CHEXPERT.strip().split(",")[5:]
    cells = [marks.get(name.replace(" ", "_"), "") for name in columns]
    return ",".join([f"CheXpert-v1.0-small/{path}", "Female", "68", view, "AP", *cells]) + "\n"


def test_nih_gives_patient_age_and_sex_and_leaves_out_films_of_two_findings(tmp_path: Path) -> None:
    names = ("00000001_000.png", "00000002_000.png", "00000002_001.png")
    write(tmp_path, {"Data_Entry_2017.csv": NIH}, *(f"images_001/images/{name}" for name in names))
    dataset = read_dataset(tmp_path)
    first, second = dataset.records
    assert (first.path, first.finding) == ("images_001/images/00000001_000.png", "Normal")
    assert (second.finding, second.patient, second.age_years, second.sex) == (
        "Pneumonia (type not stated)",
        "2",
        81,
        "F",
    )
    assert [remark.message for remark in dataset.remarks if remark.kind == "left-out"] == [
        "Left out 1 film: more than one finding.",
        "Left out 1 film: not in the folder.",
    ]
    assert group_columns(tmp_path)[film_key(tmp_path, second.path)] == {"view position": "AP", "sex": "F"}
    assert findings(tmp_path / "Data_Entry_2017.csv") == findings(tmp_path)


def test_the_official_test_list_of_nih_makes_the_test_part(tmp_path: Path) -> None:
    films = ("images/00000001_000.png", "images/00000002_000.png", "images/00000003_000.png")
    text = NIH + "00000004_000.png,No Finding,0,4,50,M,PA,1,1,1,1,\n"
    lists = {"Data_Entry_2017_v2020.csv": text, "test_list.txt": "00000001_000.png\n"}
    write(tmp_path, lists, *films, "images/00000004_000.png")
    splits = {record.path[-12:]: record.split for record in read_dataset(tmp_path).records}
    assert splits == {
        "0001_000.png": "test",
        **dict.fromkeys(("0002_000.png", "0003_000.png", "0004_000.png"), "train"),
    }


def test_chexpert_drops_side_views_and_uncertain_findings_but_no_including_ones(tmp_path: Path) -> None:
    place = "patient00001/study1/view{}_frontal.jpg"
    rows = [
        chexpert_row("train/" + place.format(1), No_Finding="1.0", Support_Devices="1.0"),
        chexpert_row("train/" + place.format(2), Lung_Opacity="1.0", Pneumonia="1.0", Consolidation="-1.0"),
        chexpert_row("train/" + place.format(3), Edema="-1.0"),
        chexpert_row("train/" + place.format(4), Edema="1.0", Fracture="1.0"),
        chexpert_row("train/" + place.format(5), "Lateral", No_Finding="1.0"),
        chexpert_row("train/" + place.format(6)),
    ]
    valid = chexpert_row("valid/" + place.format(1), No_Finding="1.0")
    films = [f"train/{place.format(number)}" for number in range(1, 7)]
    lists = {"train.csv": CHEXPERT + "".join(rows), "valid.csv": CHEXPERT + valid}
    write(tmp_path, lists, *films, f"valid/{place.format(1)}")
    dataset = read_dataset(tmp_path)
    assert [(record.path[:7], record.finding, record.split) for record in dataset.records] == [
        ("train/p", "Normal", "train"),
        ("train/p", "Pneumonia (type not stated)", "train"),
        ("valid/p", "Normal", "validation"),
    ]
    assert {(record.patient, record.sex, record.age_years) for record in dataset.records} == {("patient00001", "F", 68)}
    left = [remark.message for remark in dataset.remarks if remark.kind == "left-out"]
    assert [text.removeprefix("Left out 1 film: ") for text in left] == [
        "the view is not frontal.",
        "the list states no finding that can be used.",
        "a finding is uncertain.",
        "more than one finding.",
    ]


def test_rsna_takes_the_three_classes_and_counts_a_film_of_two_boxes_once(tmp_path: Path) -> None:
    classes = "patientId,class\na,Lung Opacity\na,Lung Opacity\nb,Normal\nc,No Lung Opacity / Not Normal\n"
    boxes = "patientId,x,y,width,height,Target\na,1,2,3,4,1\na,5,6,7,8,1\nb,,,,,0\nc,,,,,0\n"
    films = [f"stage_2_train_images/{name}.dcm" for name in "abc"]
    lists = {"stage_2_detailed_class_info.csv": classes, "stage_2_train_labels.csv": boxes}
    write(tmp_path, lists, *films)
    assert list(findings(tmp_path).values()) == ["Pneumonia (type not stated)", "Normal", "Other abnormality"]
    assert "Other abnormality stands for all other findings (films: 1)." in messages(tmp_path)
    (tmp_path / "stage_2_detailed_class_info.csv").unlink()
    assert list(findings(tmp_path).values()) == ["Pneumonia (type not stated)", "No pneumonia", "No pneumonia"]


def test_siim_joins_its_two_lists(tmp_path: Path) -> None:
    films = "id,boxes,label,StudyInstanceUID\n" + "".join(
        f"{name}_image,,opacity 1 0 0 1 1,{name}{name}\n" for name in "abc"
    )
    studies = (
        "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance\n"
        "aa_study,0,1,0,0\nbb_study,1,0,0,0\ncc_study,0,0,1,0\n"
    )
    lists = {"train_image_level.csv": films, "train_study_level.csv": studies}
    write(tmp_path, lists, "train/aa/x/a.dcm", "train/bb/x/b.dcm", "train/cc/x/c.dcm")
    assert findings(tmp_path) == {"train/aa/x/a.dcm": "Covid-19", "train/bb/x/b.dcm": "Normal"}
    assert {record.group for record in read_dataset(tmp_path).records} == {"aa", "bb"}
    (tmp_path / "train_study_level.csv").unlink()
    with pytest.raises(InconsistentDataset, match=r"findings are in `train_study_level\.csv`, which is not beside it"):
        read_dataset(tmp_path)


def test_vindr_takes_what_most_readers_say_and_a_diagnosis_before_its_signs(tmp_path: Path) -> None:
    head = "image_id,{}Aortic enlargement,Consolidation,Pneumonia,Other diseases,No finding\n"
    train = head.format("rad_id,") + "".join(
        f"{film},R{reader},{marks}\n"
        for film, lines in {
            "a": ("0,0,0,0,1", "0,0,0,0,1", "1,0,0,0,0"),
            "b": ("0,1,1,0,0", "0,0,1,0,0", "0,1,1,0,0"),
            "c": ("1,0,0,0,0", "0,1,0,0,0", "0,0,0,0,1"),
            "d": ("0,0,0,1,0", "0,0,0,1,0", "0,0,0,0,1"),
        }.items()
        for reader, marks in enumerate(lines)
    )
    test = head.format("") + "e,0,0,0,0,1\n"
    lists = {"image_labels_train.csv": train, "image_labels_test.csv": test}
    write(tmp_path, lists, *(f"train/{name}.dicom" for name in "abcd"), "test/e.dicom")
    assert findings(tmp_path) == {
        "test/e.dicom": "Normal",
        "train/a.dicom": "Normal",
        "train/b.dicom": "Pneumonia (type not stated)",
        "train/d.dicom": "Other abnormality",
    }
    assert [record.split for record in read_dataset(tmp_path).records] == ["test", "train", "train", "train"]


def test_padchest_names_common_findings_and_calls_the_rest_other_abnormality(tmp_path: Path) -> None:
    write(
        tmp_path, {"PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv": PADCHEST}, *(f"0/{n}.png" for n in "abcdefg")
    )
    dataset = read_dataset(tmp_path)
    assert [(film.path, film.finding, film.age_years, film.sex) for film in dataset.records] == [
        ("0/a.png", "Normal", 80, "F"),
        ("0/c.png", "Pneumonia (type not stated)", 52, "M"),
        ("0/d.png", "Other abnormality", 52, "M"),
    ]
    assert "Left out 2 films: the list states no finding that can be used." in messages(tmp_path)


def test_ieee8023_reads_the_tree_of_diagnoses_and_leaves_out_ct(tmp_path: Path) -> None:
    write(tmp_path, {"metadata.csv": IEEE}, *(f"images/{name}.jpg" for name in "abcdef"), "volumes/g.jpg")
    assert list(findings(tmp_path).values()) == [
        *("Covid-19", "Viral Pneumonia", "Bacterial Pneumonia", "Other abnormality", "Normal")
    ]
    assert read_dataset(tmp_path).records[0].sex == "M"


def test_covidx_reads_lines_without_column_names(tmp_path: Path) -> None:
    train = "1 a b.png COVID-19 cohen\n2 c.jpg pneumonia rsna\n3 d.png normal rsna\n"
    films = ("train/a b.png", "train/c.jpg", "train/d.png", "test/a.png")
    write(tmp_path, {"train_split.txt": train, "test_split.txt": "9 a.png normal\n"}, *films)
    dataset = read_dataset(tmp_path)
    assert [(film.finding, film.split, film.source, film.patient) for film in dataset.records] == [
        ("Normal", "test", None, ":9"),
        ("Covid-19", "train", "cohen", "cohen:1"),
        ("Pneumonia (type not stated)", "train", "rsna", "rsna:2"),
        ("Normal", "train", "rsna", "rsna:3"),
    ]
    assert set(findings(tmp_path / "train_split.txt")) == set(films[:3])
    (tmp_path / "train_2.txt").write_text("7 d.png positive cohen\n", encoding="utf-8")
    with pytest.raises(InconsistentDataset, match="more than one list of the same films"):
        read_dataset(tmp_path)
    (tmp_path / "train_2.txt").write_text("7 d.png positive cohen\nnonsense\n", encoding="utf-8")
    with pytest.raises(InconsistentDataset, match=r"Line 2 of .* is not a line of COVIDx"):
        read_dataset(tmp_path / "train_2.txt")


def test_kermany_films_get_their_kind_and_patient_only_where_all_state_it(tmp_path: Path) -> None:
    films = ("NORMAL/IM-0115-0001.jpeg", "PNEUMONIA/person1_virus_6_1.jpeg", "PNEUMONIA/person2_bacteria_7.jpeg")
    write(tmp_path, {}, *(f"{part}/{film}" for part in ("train", "test") for film in films))
    dataset = read_dataset(tmp_path)
    assert dataset.findings == ("Normal", "Viral Pneumonia", "Bacterial Pneumonia")
    assert dataset.records[1].patient == "person1_virus"
    assert "2 as Bacterial Pneumonia and 2 as Viral Pneumonia are read so" in messages(tmp_path)
    write(tmp_path, {}, "train/PNEUMONIA/scan7.jpeg")
    assert read_dataset(tmp_path).findings == ("Normal", "Pneumonia (type not stated)")
    normal = [FilmRecord("a.png", "Normal", None)]
    assert split_pneumonias(normal) == (normal, [])


def test_class_folders_and_named_columns_count_before_a_known_list(tmp_path: Path) -> None:
    films = ("Normal/00000001_000.png", "Effusion/00000002_000.png")
    write(tmp_path, {"Data_Entry_2017.csv": NIH}, *films)
    assert find_known_set(tmp_path) is None
    assert findings(tmp_path) == {films[0]: "Normal", films[1]: "Effusion"}
    named = listing(tmp_path / "Data_Entry_2017.csv", {"finding": "Patient Gender"})
    with pytest.raises(InconsistentDataset, match="2 of the 4 films"):  # the usual reader of lists
        read_dataset(named)


def test_a_list_without_any_of_its_films_says_where_they_belong(tmp_path: Path) -> None:
    write(tmp_path, {"Data_Entry_2017.csv": NIH})
    with pytest.raises(InconsistentDataset, match="none of its 4 films"):
        read_dataset(tmp_path)


def test_every_layout_is_recognised_by_the_name_of_a_file(tmp_path: Path) -> None:
    for number, layout in enumerate(KNOWN_LAYOUTS):
        name = next(iter(layout.lists)).replace("*", "")
        folder = tmp_path / str(number)
        text = "1 a.png normal" if layout.line else ",".join(layout.columns) + "\n"
        folder.mkdir()
        (folder / name).write_text(text, encoding="utf-8")
        known = find_known_set(folder)
        assert known is not None
        assert known.layout is layout
    assert known.layout.name == "COVIDx"
    with pytest.raises(InconsistentDataset, match="none of its 1 film"):
        read_known_set(known)
    assert find_known_set(tmp_path) is None
