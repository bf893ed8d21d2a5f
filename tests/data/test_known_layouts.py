"""What one line of a public set's list says about its film."""

from __future__ import annotations

import pytest

from hilum.data.known_layouts import KNOWN_LAYOUTS, kermany_kind

FILM_OF = {layout.name: layout.film_of for layout in KNOWN_LAYOUTS}


@pytest.mark.parametrize(
    ("diagnosis", "findings"),
    [
        ("Pneumonia/Viral/COVID-19", ("Covid-19",)),
        ("COVID-19, ARDS", ("Covid-19",)),
        ("SARS", ("Viral Pneumonia",)),
        ("Pneumonia/Viral/Influenza/H1N1", ("Viral Pneumonia",)),
        ("Pneumonia/Bacterial/Klebsiella", ("Bacterial Pneumonia",)),
        ("Pneumonia", ("Pneumonia",)),
        ("Pneumonia/Lipoid", ("Other abnormality",)),
        ("Tuberculosis", ("Tuberculosis",)),
        ("No Finding", ("No Finding",)),
        ("Unknown", ()),
        ("", ()),
    ],
)
def test_the_diagnoses_of_ieee8023(diagnosis: str, findings: tuple[str, ...]) -> None:
    film = FILM_OF["ieee8023"]({"patientid": "7", "finding": diagnosis, "view": "PA", "modality": "X-ray"})
    assert (film.path, film.findings, film.view) == ("7", findings, "PA")


@pytest.mark.parametrize(
    ("labels", "findings"),
    [
        ("['normal']", ("Normal",)),
        ("['lobar atelectasis', 'atelectasis', ' central venous catheter via jugular vein']", ("Atelectasis",)),
        ("['aortic elongation', 'scoliosis']", ("Other abnormality",)),
        ("['pneumonia', 'scoliosis']", ("Other abnormality", "Pneumonia")),
        ("['exclude']", ()),
        ("[]", ()),
        ("nan", ()),
    ],
)
def test_the_labels_of_padchest(labels: str, findings: tuple[str, ...]) -> None:
    row = {"ImageID": "a.png", "Labels": labels, "Projection": "PA", "PatientBirth": "1960.0"}
    film = FILM_OF["PadChest"](row)
    assert (film.findings, film.age) == (findings, "")
    assert FILM_OF["PadChest"](row | {"StudyDate_DICOM": "20120102"}).age == "52"


def test_the_names_of_kermany() -> None:
    assert kermany_kind("person447_virus_921_1.jpeg") == ("person447_virus", "Viral Pneumonia")  # of the real set
    assert kermany_kind("person2_bacteria_7.jpeg") == ("person2_bacteria", "Bacterial Pneumonia")
    assert kermany_kind("IM-0115-0001.jpeg") is None
