"""The public data sets that hilum reads as they come: how their lists are recognised, and what a line of them says.

Each layout is one entry of ``KNOWN_LAYOUTS``; `hilum.data.known_sets` reads them all. Findings keep the words of the
set; `hilum.data.labels` gives them their standard names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hilum.findings import OTHER_ABNORMALITY

__all__ = ["KNOWN_LAYOUTS", "KnownLayout", "ListedFilm", "Row", "kermany_kind"]

Row = Mapping[str, str]  # {column: cell}


@dataclass(frozen=True)
class ListedFilm:
    """What one line of a list says about its film.

    Attributes:
        path: The film's path or name; a name may lack its suffix.
        findings: The findings that it shows, in the words of the set.
        uncertain: Findings that it may show.
        patient: The patient's key in the set.
        group: The key of the study, where the set names no patient.
        age: As written.
        sex: As written.
        view: As written.
        source: The set that the film was taken from, where the list is a collection.
    """

    path: str
    findings: tuple[str, ...]
    uncertain: tuple[str, ...] = ()
    patient: str = field(default="", repr=False)
    group: str = ""
    age: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    view: str = ""
    source: str = ""


@dataclass(frozen=True)
class KnownLayout:
    """How one public data set comes.

    Attributes:
        name: The set's name.
        lists: {pattern of a list's file name: the part of the data set that it is, or None}.
        columns: Columns that its lists have.
        film_of: What a line says.
        line: For lists without column names, a regular expression; its named groups are the columns.
        includes: {finding: the findings that it includes}; these do not count beside it.
        beside: A second list that holds the findings, the column of its key, and the key of a line of the first.
        test_list: The name of a text file beside the list that names the films of the official test part.
    """

    name: str
    lists: Mapping[str, str | None]
    columns: tuple[str, ...]
    film_of: Callable[[Row], ListedFilm]
    line: re.Pattern[str] | None = None
    includes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    beside: tuple[str, str, Callable[[Row], str]] | None = None
    test_list: str = ""


def _nih(row: Row) -> ListedFilm:
    return ListedFilm(
        row["Image Index"],
        tuple(row["Finding Labels"].split("|")),
        patient=row["Patient ID"],
        age=row.get("Patient Age", ""),
        sex=row.get("Patient Gender", ""),
        view=row["View Position"],
    )


_CHEXPERT = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
)  # "Support Devices" is no finding
_OPACITY = frozenset({"Lung Opacity"})
_CHEXPERT_INCLUDES = {  # Irvin 2019, figure 1: the hierarchy of the labels
    **dict.fromkeys(("Edema", "Consolidation", "Lung Lesion", "Atelectasis"), _OPACITY),
    "Pneumonia": _OPACITY | {"Consolidation"},
    "Cardiomegaly": frozenset({"Enlarged Cardiomediastinum"}),
}


def _chexpert(row: Row) -> ListedFilm:
    patient = re.search(r"patient\d+", row["Path"])
    return ListedFilm(
        row["Path"],
        _marked(row, _CHEXPERT, 1),
        _marked(row, _CHEXPERT, -1),
        patient=patient[0] if patient else "",
        age=row.get("Age", ""),
        sex=row.get("Sex", ""),
        view=row.get("Frontal/Lateral", ""),
    )


_RSNA = {"Lung Opacity": "Pneumonia", "No Lung Opacity / Not Normal": OTHER_ABNORMALITY, "Normal": "Normal"}


def _rsna(row: Row) -> ListedFilm:
    return ListedFilm(row["patientId"], (_RSNA.get(row["class"], row["class"]),))


def _rsna_boxes(row: Row) -> ListedFilm:
    return ListedFilm(row["patientId"], ("Pneumonia" if _is(row["Target"], 1) else "No pneumonia",))


_SIIM = {"Negative for Pneumonia": "Normal", "Typical Appearance": "Covid-19"}  # the others are left out


def _siim(row: Row) -> ListedFilm:
    names = tuple(finding for column, finding in _SIIM.items() if _is(row.get(column, ""), 1))
    return ListedFilm(row["id"].removesuffix("_image"), names, group=row["StudyInstanceUID"])


_VINDR_ASIDE = {"image_id", "rad_id"}
_VINDR_SIGNS = frozenset({"Consolidation", "Infiltration", "Lung Opacity", "ILD"})
_VINDR_INCLUDES = {  # a diagnosis, and the usual signs of it
    "Pneumonia": _VINDR_SIGNS,
    "Tuberculosis": _VINDR_SIGNS
    | {"Calcification", "Lung cavity", "Nodule/Mass", "Pleural thickening", "Pulmonary fibrosis"},
    "Lung tumor": frozenset({"Nodule/Mass", "Lung Opacity"}),
    "COPD": frozenset({"Emphysema"}),
}


def _vindr(row: Row) -> ListedFilm:
    return ListedFilm(row["image_id"], _marked(row, tuple(name for name in row if name not in _VINDR_ASIDE), 1))


_PADCHEST = {
    "normal": "Normal",
    **dict.fromkeys(("pneumonia", "atypical pneumonia"), "Pneumonia"),
    "tuberculosis": "Tuberculosis",
    "pleural effusion": "Pleural effusion",
    "cardiomegaly": "Cardiomegaly",
    **dict.fromkeys(("atelectasis", "laminar atelectasis", "lobar atelectasis", "total atelectasis"), "Atelectasis"),
    "pneumothorax": "Pneumothorax",
    "nodule": "Nodule",
    **dict.fromkeys(("mass", "pulmonary mass"), "Mass"),
    "consolidation": "Consolidation",
    "infiltrates": "Infiltration",
    "emphysema": "Emphysema",
    "pulmonary fibrosis": "Fibrosis",
    "pulmonary edema": "Edema",
}
_PADCHEST_DEVICE = re.compile(r".*\b(?:tube|catheter|device|pacemaker|material|metal|heart valve|electrodes?)\b.*")
_PADCHEST_UNREAD = {"exclude", "unchanged", "suboptimal study"}


def _padchest(row: Row) -> ListedFilm:
    labels = {label.strip(" '\"").lower() for label in row["Labels"].strip(" []").split(",")} - {"", "nan"}
    labels = {label for label in labels if not _PADCHEST_DEVICE.fullmatch(label)}
    names = set() if labels & _PADCHEST_UNREAD else {_PADCHEST.get(label, OTHER_ABNORMALITY) for label in labels}
    study, birth = row.get("StudyDate_DICOM", "")[:4], row["PatientBirth"].partition(".")[0]
    return ListedFilm(
        row["ImageID"],
        tuple(sorted(names)),
        patient=row.get("PatientID", ""),
        age=str(int(study) - int(birth)) if study.isdigit() and birth.isdigit() else "",
        sex=row.get("PatientSex_DICOM", ""),
        view=row["Projection"],
    )


_COVIDX = {"positive": "Covid-19", "negative": "Not Covid-19"}
_COVIDX_LINE = re.compile(
    r"(?P<patient>\S+) (?P<film>.+\.\w+) (?P<finding>positive|negative|normal|pneumonia|COVID-19)(?: (?P<source>\S+))?",
    re.IGNORECASE,
)


def _covidx(row: Row) -> ListedFilm:
    finding, source = row["finding"], row["source"]
    path = f"{row['part']}/{row['film']}" if row["part"] else row["film"]
    return ListedFilm(path, (_COVIDX.get(finding, finding),), patient=f"{source}:{row['patient']}", source=source)


def _ieee8023(row: Row) -> ListedFilm:
    name = "/".join(filter(None, (row.get("folder", ""), row.get("filename", ""))))
    return ListedFilm(
        name if row.get("filename") else row["patientid"],
        _ieee8023_finding(row["finding"]),
        patient=row["patientid"],
        age=row.get("age", ""),
        sex=row.get("sex", ""),
        view="CT" if row.get("modality", "").upper() == "CT" else row["view"],
    )


def _ieee8023_finding(path: str) -> tuple[str, ...]:
    """Return the finding of a path in the set's tree of diagnoses, such as Pneumonia/Viral/COVID-19."""
    kinds = {"covid-19": "Covid-19", "sars": "Viral Pneumonia", "viral": "Viral Pneumonia"}
    kinds |= {"bacterial": "Bacterial Pneumonia", "streptococcus": "Bacterial Pneumonia"}
    named = {part.strip().lower() for part in re.split("[/,]", path)}
    if named & {"", "todo", "unknown"}:
        return ()
    if named <= {"pneumonia", "tuberculosis", "no finding"}:
        return (path,)
    return (next((finding for kind, finding in kinds.items() if kind in named), OTHER_ABNORMALITY),)


def _marked(row: Row, columns: tuple[str, ...], value: int) -> tuple[str, ...]:
    return tuple(name for name in columns if _is(row.get(name, ""), value))


def _is(cell: str, value: int) -> bool:
    return cell in (str(value), f"{value}.0")


_KERMANY = re.compile(r"(person\d+_(bacteria|virus))(?:_\d+)+\.\w+", re.IGNORECASE)


def kermany_kind(name: str) -> tuple[str, str] | None:
    """Return patient and finding from the name of a film of pneumonia in Kermany's set, or None.

    Example:
        >>> kermany_kind("person123_bacteria_4.jpeg")
        ('person123_bacteria', 'Bacterial Pneumonia')
    """
    found = _KERMANY.fullmatch(name)
    kinds = {"bacteria": "Bacterial Pneumonia", "virus": "Viral Pneumonia"}
    return (found[1].lower(), kinds[found[2].lower()]) if found else None


KNOWN_LAYOUTS: tuple[KnownLayout, ...] = (  # the first that fits counts
    KnownLayout(
        "NIH ChestX-ray14",
        {"data_entry_2017*.csv": None, "sample_labels.csv": None},
        ("Image Index", "Finding Labels", "Patient ID", "View Position"),
        _nih,
        test_list="test_list.txt",
    ),
    KnownLayout(
        "CheXpert",
        {"train.csv": "train", "valid.csv": "validation", "test.csv": "test"},
        ("Path", "No Finding", "Lung Opacity", "Support Devices"),
        _chexpert,
        includes=_CHEXPERT_INCLUDES,
    ),
    KnownLayout("RSNA Pneumonia", {"stage_2_detailed_class_info.csv": None}, ("patientId", "class"), _rsna),
    KnownLayout("RSNA Pneumonia", {"stage_2_train_labels.csv": None}, ("patientId", "Target"), _rsna_boxes),
    KnownLayout(
        "SIIM-FISABIO-RSNA",
        {"train_image_level.csv": None},
        ("id", "label", "StudyInstanceUID"),
        _siim,
        beside=("train_study_level.csv", "id", lambda row: f"{row['StudyInstanceUID']}_study"),
    ),
    KnownLayout(
        "VinDr-CXR",
        {"image_labels_train.csv": "train", "image_labels_test.csv": "test"},
        ("image_id", "No finding", "Aortic enlargement"),
        _vindr,
        includes=_VINDR_INCLUDES,
    ),
    KnownLayout("PadChest", {"*padchest*.csv": None}, ("ImageID", "Labels", "Projection", "PatientBirth"), _padchest),
    KnownLayout("ieee8023", {"metadata.csv": None}, ("patientid", "finding", "view"), _ieee8023),
    KnownLayout(
        "COVIDx",
        {"train*.txt": "train", "val*.txt": "validation", "test*.txt": "test"},
        (),
        _covidx,
        line=_COVIDX_LINE,
    ),
)
