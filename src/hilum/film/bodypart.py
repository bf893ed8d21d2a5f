"""Reads modality, body part, view, and a pseudonym, age and sex of the patient from a DICOM file.

Files that state another modality or body part than a radiograph of the chest are refused before a pixel is decoded.
Files without such a statement are accepted. Messages use only hilum's own words, because free text may contain a
patient's name.

Source: DICOM PS3.3 C.7.3.1.1.1 (modality), C.8.7.1 and C.8.11 (CR, DX), PS3.16 annex L (body parts).
"""

from __future__ import annotations

import hashlib
import re

from pydicom.dataset import Dataset

from hilum.errors import RefusedFilm, UnsupportedFilm
from hilum.film.bodywords import folded, is_lateral, names_chest, other_part
from hilum.film.elements import spellings, whole_number

__all__ = ["patient_age", "patient_key", "patient_sex", "refuse_other_than_chest", "view_position"]

_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"  # CR; the two DX classes follow
_FILM_CLASSES = (_RADIOGRAPHY, f"{_RADIOGRAPHY}.1", f"{_RADIOGRAPHY}.1.1")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and .7.1 to .7.4, the multi-frame classes
_DICOMDIR = "1.2.840.10008.1.3.10"
_FILM_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR"})  # DR and XR are not in the standard but occur
_OTHER_MODALITIES = (  # modalities that a message may name
    *("AU", "BMD", "CT", "DOC", "DG", "ECG", "EPS", "ES", "GM", "HD", "IO", "IVUS", "KO", "MG", "MR", "NM", "OCT"),
    *("OP", "OPM", "OPT", "OT", "PR", "PT", "PX", "REG", "RF", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD"),
    *("RTSTRUCT", "SC", "SEG", "SM", "SR", "TG", "US", "VL", "XA", "XC"),
)
_ANONYMOUS = frozenset({"", "0", "anon", "anonymous", "anonymized", "anonymised", "unknown", "none", "na", "patient"})

_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
_DESCRIPTIONS = (  # the most specific first: a study may have several films
    "SeriesDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "RequestedProcedureDescription",
    "StudyDescription",
)
_OF_ONE_FILM = (*_DESCRIPTIONS[:2], "AcquisitionDeviceProcessingDescription", "BodyPartExamined")
_VIEWS = {
    **{view: view for view in ("PA", "AP", "LLD", "RLD", "LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "LATERAL")},
    **dict.fromkeys(("LL", "RL", "LAT", "LEFT LATERAL", "RIGHT LATERAL"), "LATERAL"),
    **dict.fromkeys(("POSTERO ANTERIOR", "POSTEROANTERIOR", "POSTERIOR ANTERIOR"), "PA"),
    **dict.fromkeys(("ANTERO POSTERIOR", "ANTEROPOSTERIOR", "ANTERIOR POSTERIOR"), "AP"),
}


def refuse_other_than_chest(dataset: Dataset, name: str) -> None:
    """Check that a file does not state that it is something else than a single radiograph of the chest.

    Args:
        dataset: The file's data set; its picture is not decoded.
        name: The film's name, for messages.

    Raises:
        RefusedFilm: The file has another modality or SOP class, several frames, or another body part.
        UnsupportedFilm: The file is a DICOMDIR.
    """
    _refuse_other_modality(dataset, name)
    if (whole_number(dataset, "NumberOfFrames") or 1) > 1:
        raise RefusedFilm(f"The film `{name}` is a DICOM series of several frames.", fix="Give one still film.")
    for keyword in ("BodyPartExamined", "AnatomicRegionSequence", *_DESCRIPTIONS):
        texts = _spellings(dataset, keyword)
        if names_chest(texts):
            return
        free_text = keyword in _DESCRIPTIONS
        if other := other_part(texts, free_text=free_text):
            said = "its description mentions" if free_text else "its body part is"
            raise RefusedFilm(
                f"Cannot judge the film `{name}`: {said} {other}; expected CHEST.",
                fix="Give a radiograph of the chest.",
            )


def _refuse_other_modality(dataset: Dataset, name: str) -> None:
    meta = getattr(dataset, "file_meta", None) or Dataset()
    stored_class = _text(meta, "MediaStorageSOPClassUID")
    if "DirectoryRecordSequence" in dataset or stored_class == _DICOMDIR:
        raise UnsupportedFilm(
            f"Cannot read the film `{name}`: it is a DICOMDIR, the list of the films on a disc; expected a film.",
            fix="Give the films that it lists, from the folders next to it.",
        )
    sop_class, modality = _text(dataset, "SOPClassUID") or stored_class, _text(dataset, "Modality")
    secondary = sop_class == _SECONDARY_CAPTURE or sop_class.startswith(f"{_SECONDARY_CAPTURE}.")
    film_class = sop_class in _FILM_CLASSES
    if (modality in _FILM_MODALITIES and (film_class or secondary or not sop_class)) or (
        modality in ("", "OT") and (film_class or secondary)
    ):
        return
    is_known = modality in (*_FILM_MODALITIES, *_OTHER_MODALITIES)
    said = f"modality {modality}" if is_known else "no known modality"
    if modality in _FILM_MODALITIES:
        said += ", but its SOP class is not that of a radiograph"
    raise RefusedFilm(
        f"Cannot judge the film `{name}`: this DICOM file states {said}; expected a radiograph (CR or DX, or a"
        " secondary capture of one).",
        fix="Give a radiograph of the chest.",
    )


def view_position(dataset: Dataset) -> str | None:
    """Return PA, AP, LATERAL or another known view that the file states, else None.

    View Position and View Code are read first. Without them, a lateral view is recognised from a description of the
    series, or from a Patient Orientation with rows from front to back (PS3.3 C.7.6.1.1.1).
    """
    for keyword in ("ViewPosition", "ViewCodeSequence"):
        for text in (texts := _spellings(dataset, keyword)):
            words = folded(text).replace(".", " ").split()
            known = _VIEWS.get(" ".join(words)) or next((_VIEWS[word] for word in words if word in ("PA", "AP")), None)
            if known is not None:
                return known
        if is_lateral(texts):
            return "LATERAL"
    if any(is_lateral(_spellings(dataset, keyword)) for keyword in _OF_ONE_FILM):
        return "LATERAL"
    orientation = next(iter(spellings(dataset, "PatientOrientation")), "").split()
    return "LATERAL" if [way[:1] for way in orientation] in (["A", "F"], ["P", "F"]) else None


def patient_key(dataset: Dataset) -> str | None:
    """Return 16 hex digits that identify the patient, or None without a patient ID.

    This is a pseudonym, not anonymous: anyone who knows an ID can compute its key. Case and spaces do not count.
    """
    patient_id = " ".join(str(dataset.get("PatientID") or "").split()).casefold()
    if patient_id in _ANONYMOUS:
        return None
    issuer = str(dataset.get("IssuerOfPatientID") or "").strip()
    return hashlib.sha256(f"{patient_id}\n{issuer}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def patient_age(dataset: Dataset) -> float | None:
    """Return the patient's age in years, or None where it is not stated.

    Source: DICOM PS3.5 6.2, value representation AS: three digits and D, W, M or Y; some files have fewer digits.
    """
    found = re.match(r"(\d{1,3}) ?([DWMY])\b", _first(dataset, "PatientAge"), re.ASCII | re.IGNORECASE)
    return int(found[1]) / _PER_YEAR[found[2].upper()] if found else None


def patient_sex(dataset: Dataset) -> str | None:
    """Return "F" or "M", or None where the file states neither (PS3.3 C.7.1.1)."""
    sex = _first(dataset, "PatientSex").upper()
    return sex if sex in ("F", "M") else None


def _first(dataset: Dataset, keyword: str) -> str:
    return next(iter(spellings(dataset, keyword)), "").strip()


def _text(dataset: Dataset, keyword: str) -> str:
    """Return a value as `folded` gives it; several values are joined."""
    return folded(next(iter(spellings(dataset, keyword)), ""))


def _spellings(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the possible readings of a text; for a sequence, those of the meaning of its first code."""
    if not keyword.endswith("Sequence"):
        return spellings(dataset, keyword)
    try:
        items = list(dataset.get(keyword) or ())
    except Exception:  # noqa: BLE001 - pydicom raises any kind of error for a damaged sequence
        return ()
    return spellings(items[0], "CodeMeaning") if items else ()
