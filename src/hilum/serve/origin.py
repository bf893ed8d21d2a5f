"""What a result takes from the film it was made of: identifiers, patient and study.

A result's identifiers follow from the film's identifier and content and the model's. However often a film is judged by
one model, its results have the same SOP Instance UIDs, and an archive holds one of each. Another picture under the same
identifier has results of its own, which an archive does not take for the first one's.

Source: UIDs derived from a UUID, DICOM PS3.5 B.2.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from hilum.errors import UnsupportedFilm

__all__ = ["copy_patient_and_study", "derived_uid", "evidence", "refuse_unidentified"]

_NAMESPACE = uuid.UUID("b51a6f2e-6f0c-4e53-9d0c-8d5b6f3c7a11")  # hilum's own, drawn once
_IDENTIFIERS = {
    "SOPClassUID": "SOP Class UID",
    "SOPInstanceUID": "SOP Instance UID",
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
}
_EMPTY = (  # type 2: must stand in every object, with or without a value
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
)
_COPIED = (
    *_EMPTY,
    *("SpecificCharacterSet", "IssuerOfPatientID", "StudyDescription"),
    *("PatientAge", "PatientSize", "PatientWeight"),
)


def refuse_unidentified(film: Dataset, name: str = "film") -> None:
    """Refuse a film whose identifiers are missing or not valid: no result could be filed with it.

    Raises:
        UnsupportedFilm: Naming the identifier, never its value.
    """
    for keyword, title in _IDENTIFIERS.items():
        value = film.get(keyword)
        if not isinstance(value, UID) or not value.is_valid:
            raise UnsupportedFilm(
                f"The film `{name}` has no valid {title}, so no result could be filed with it.",
                fix="Send it again from where it came from.",
            )


def derived_uid(*parts: str) -> str:
    """Return an identifier that follows from its parts: the same parts give the same one, at any time.

    Args:
        parts: Those that are empty do not count.
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, ' '.join(filter(None, parts))).int}"


def evidence(film: Dataset) -> Dataset:
    """Return the film's identifiers alone, with nothing of the patient: what a result refers to."""
    made = Dataset()
    for keyword in _IDENTIFIERS:
        setattr(made, keyword, str(film[keyword].value))
    for keyword in _EMPTY:
        setattr(made, keyword, None)
    return made


def copy_patient_and_study(film: Dataset, result: Dataset, own_texts: Iterable[str]) -> None:
    """Give a result the patient and study of its film.

    Bytes are copied as they stand, right or wrong by the standard, so that the archive files both together. Only where
    the result's own words go beyond ASCII are the values read and the result is written in UTF-8.

    Args:
        film: The film's elements, as read.
        result: The object to complete.
        own_texts: Words of ours that stand in the result.
    """
    plain = all(text.isascii() for text in own_texts)
    for keyword in _COPIED:
        tag = tag_for_keyword(keyword)
        if tag is None or tag not in film:
            continue
        element = film.get_item(tag) if plain else film[tag]
        if isinstance(element, RawDataElement):
            value = element.value or b""
            element = element._replace(VR=dictionary_VR(tag), value=value + b" " * (len(value) % 2))
        result[tag] = element
    if not plain:
        result.SpecificCharacterSet = "ISO_IR 192"
