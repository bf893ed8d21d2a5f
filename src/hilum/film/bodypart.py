"""What a DICOM file says it shows: kind of film, body part, view, and whose it is as a pseudonym.

Films of the chest are let through, and films that say nothing; the rest is refused here, before a pixel is decoded.
Values are echoed in messages only when they are a word of these lists: free text may hold a patient's name.

Source: DICOM PS3.3 C.7.3.1.1.1 (modality), C.8.7.1 and C.8.11 (CR, DX), PS3.16 annex L (body parts).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

from pydicom.dataset import Dataset

from hilum.errors import UnsupportedFilm
from hilum.film.elements import whole_number

__all__ = ["patient_key", "refuse_other_than_chest", "view_position"]

_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"  # CR; DX for presentation and for processing stand below
_FILM_CLASSES = (_RADIOGRAPHY, f"{_RADIOGRAPHY}.1", f"{_RADIOGRAPHY}.1.1")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and .7.1 to .7.4, its multi-frame kin
_FILM_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR"})  # DR and XR are no DICOM terms, but stand in real files
_UNSTATED = frozenset({"", "NA", "NONE", "OTHER", "PORTABLE", "UNDEFINED", "UNKNOWN", "UNSPECIFIED"})
_ANONYMOUS = frozenset({"", "0", "ANON", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "UNKNOWN", "NONE", "NA", "PATIENT"})

_CHEST = re.compile(
    r"CHEST|THORAX|THORAK|THORAC(?!IC SPINE|IC VERT|OLUMB)|TORAX|TORAC|TORAKS|LUNG|\bRIBS?\b|\bRIPPEN\b|PULMO|\bCXR\b"
    r"|POUMON|BRUSTKORB|\bHEART\b|MEDIASTIN"
)
_FAR_PARTS = (  # words that no order for a chest film holds
    "ABDOMEN|ANKLE|CALCANEUS|COCCYX|CSPINE|ELBOW|EXTREMITY|FEMUR|FIBULA|FINGER|FOOT|FOREARM|HAND|HIP|HUMERUS|KNEE|LEG"
    "|LSPINE|LUMBAR|MANDIBLE|PATELLA|PELVIS|SACRUM|SHOULDER|SKULL|SPINE|THUMB|TIBIA|TOE|TSPINE|ULNA|WRIST"
)
_OTHER_WORD = re.compile(rf"\b({_FAR_PARTS})S?\b")
_OTHER_PART = re.compile(  # words that a reason for a chest film may hold too, as in "head injury"
    rf"\b({_FAR_PARTS}|ARM|BLADDER|BRAIN|BREAST|CERVICAL|CLAVICLE|FACE|HEAD|HEEL|JAW|KIDNEY|MAXILLA|NECK|RADIUS|SCAPULA"
    r"|SINUS|TEETH|TOOTH)S?\b"
)
_DESCRIPTIONS = (  # nearest to the picture first: a study may hold several films
    "SeriesDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "RequestedProcedureDescription",
    "StudyDescription",
)
_VIEWS = {
    **{view: view for view in ("PA", "AP", "LLD", "RLD", "LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "LATERAL")},
    **dict.fromkeys(("LL", "RL", "LAT", "LEFT LATERAL", "RIGHT LATERAL"), "LATERAL"),
    **dict.fromkeys(("POSTERO ANTERIOR", "POSTEROANTERIOR", "POSTERIOR ANTERIOR"), "PA"),
    **dict.fromkeys(("ANTERO POSTERIOR", "ANTEROPOSTERIOR", "ANTERIOR POSTERIOR"), "AP"),
}


def refuse_other_than_chest(dataset: Dataset, name: str) -> None:
    """Refuse a file that says it is no single radiograph of the chest.

    Args:
        dataset: The file's data set; nothing of it is decoded.
        name: The film's name, for messages.

    Raises:
        UnsupportedFilm: On another modality or SOP class, several frames, or another body part.
    """
    _refuse_other_modality(dataset, name)
    if (whole_number(dataset, "NumberOfFrames") or 1) > 1:
        raise UnsupportedFilm(f"The film `{name}` is a DICOM series of several frames.", fix="Give one still film.")
    body_part = _text(dataset, "BodyPartExamined")
    if body_part in _UNSTATED:
        region = dataset.get("AnatomicRegionSequence")
        body_part = _text(region[0], "CodeMeaning") if region else ""
    if body_part not in _UNSTATED:
        if not _CHEST.search(body_part):
            other = _OTHER_PART.search(body_part)
            said = f"its body part is {other[1]}" if other else "its body part is another one"
            raise UnsupportedFilm(
                f"Cannot judge the film `{name}`: this file says {said}; expected CHEST.",
                fix="Give a radiograph of the chest.",
            )
        return
    for keyword in _DESCRIPTIONS:
        description = _text(dataset, keyword)
        if _CHEST.search(description):
            return
        if other := _OTHER_WORD.search(description):
            raise UnsupportedFilm(
                f"Cannot judge the film `{name}`: this file's description speaks of {other[1]}; expected CHEST.",
                fix="Give a radiograph of the chest.",
            )


def _refuse_other_modality(dataset: Dataset, name: str) -> None:
    sop_class, modality = _text(dataset, "SOPClassUID"), _text(dataset, "Modality")
    secondary = sop_class == _SECONDARY_CAPTURE or sop_class.startswith(f"{_SECONDARY_CAPTURE}.")
    film_class = sop_class in _FILM_CLASSES
    if (modality in _FILM_MODALITIES and (film_class or secondary or not sop_class)) or (
        modality in ("", "OT") and (film_class or secondary)
    ):
        return
    said = f"modality {modality}" if re.fullmatch(r"[A-Z]{2,8}", modality) else "no modality"
    if modality in _FILM_MODALITIES:
        said += " but another kind of object"
    raise UnsupportedFilm(
        f"Cannot judge the film `{name}`: this DICOM file says {said}; expected a radiograph (CR or DX, or a secondary"
        " capture of one).",
        fix="Give a radiograph of the chest.",
    )


def view_position(dataset: Dataset) -> str | None:
    """Return PA, AP, LATERAL or another known view that the file states, else None."""
    view = _VIEWS.get(_text(dataset, "ViewPosition"))
    if view is None and (codes := dataset.get("ViewCodeSequence")):
        view = _VIEWS.get(_text(codes[0], "CodeMeaning"))
    return view


def patient_key(dataset: Dataset) -> str | None:
    """Return 16 hex digits that stand for the patient, the same on all their films, or None where none is named.

    A pseudonym, not anonymity: whoever knows an ID can compute its key.
    """
    patient_id = str(dataset.get("PatientID") or "").strip()
    if patient_id.upper() in _ANONYMOUS:
        return None
    issuer = str(dataset.get("IssuerOfPatientID") or "").strip()
    return hashlib.sha256(f"{patient_id}\n{issuer}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _text(dataset: Dataset, keyword: str) -> str:
    """Return a value in capitals, words parted by single spaces, accents dropped; several values joined."""
    value: Any = dataset.get(keyword)
    if value is None:
        return ""
    words = value if isinstance(value, str) else " ".join(map(str, value)) if hasattr(value, "__iter__") else str(value)
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^A-Z0-9.]+", " ", plain.upper()).split())
