"""The structured report of one film: a Measurement Report (TID 1500) with the answer of `hilum predict`.

The first item is the conclusion in words. Then each finding has a measurement group, the likeliest first: its code, its
probability, whether it is in the conformal set and reaches its operating threshold, the algorithm, the film. The last
part, Qualitative Evaluations, holds the answer in codes. The report of a refused film has the reasons and no
probability. Probabilities have three decimal places for people, and a full floating point value for programs.

Source: DICOM PS3.16 TID 1500, 1501, 1419, 4019; PS3.3 A.35.3 (Comprehensive SR).
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterable

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr.coding import CodedConcept
from highdicom.sr.enum import RelationshipTypeValues
from highdicom.sr.value_types import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    TextContentItem,
)
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID
from pydicom.valuerep import DSfloat

from hilum import version
from hilum.errors import UnsupportedFilm
from hilum.findings import finding_named
from hilum.run.answer import Answer, in_words
from hilum.run.modelfile import Metadata

__all__ = [
    "MANUFACTURER",
    "NOTICE",
    "conclusion",
    "copy_patient_and_study",
    "derived_uid",
    "evidence",
    "finding_code",
    "refuse_unidentified",
    "structured_report",
]

# --- identifiers, patient and study of a result -----------------------------------------------------------------------

_NAMESPACE = uuid.UUID("b51a6f2e-6f0c-4e53-9d0c-8d5b6f3c7a11")  # a random UUID for hilum
_IDENTIFIERS = {
    "SOPClassUID": "SOP Class UID",
    "SOPInstanceUID": "SOP Instance UID",
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
}
_EMPTY = (  # type 2: required in every object, may be empty
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
)
_COPIED = (
    *_EMPTY,
    *("SpecificCharacterSet", "IssuerOfPatientID", "StudyDescription"),
    *("PatientAge", "PatientSize", "PatientWeight"),
)


def refuse_unidentified(film: Dataset, name: str = "film") -> None:
    """Refuse a film whose identifiers are missing or not valid, because an archive could not file its results.

    Raises:
        UnsupportedFilm: It names the identifier, but not its value.
    """
    for keyword, title in _IDENTIFIERS.items():
        value = film.get(keyword)
        if not isinstance(value, UID) or not value.is_valid:
            raise UnsupportedFilm(
                f"The film `{name}` has no valid {title}, so its results could not be filed.",
                fix="Send it again from its source.",
            )


def derived_uid(*parts: str) -> str:
    """Return a UID made from its parts; empty parts are ignored.

    The same film content and model always give the same UIDs, so an archive keeps one copy of each result. Another
    picture with the same identifier gets other UIDs. Source: DICOM PS3.5 B.2, UIDs derived from a UUID.
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, ' '.join(filter(None, parts))).int}"


def evidence(film: Dataset) -> Dataset:
    """Return a data set with the film's identifiers and no patient data, for references to the film."""
    made = Dataset()
    for keyword in _IDENTIFIERS:
        setattr(made, keyword, str(film[keyword].value))
    for keyword in _EMPTY:
        setattr(made, keyword, None)
    return made


def copy_patient_and_study(film: Dataset, result: Dataset, own_texts: Iterable[str]) -> None:
    """Copy patient and study from a film to its result.

    The bytes are copied unchanged, even if they break the standard, so that the archive files both together. Only if a
    text of the result is not ASCII, the values are decoded and the result is written in UTF-8.

    Args:
        film: The film's elements, as read.
        result: The object to complete.
        own_texts: Texts that hilum writes into the result.
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


# --- the report -------------------------------------------------------------------------------------------------------

logging.getLogger("highdicom").addHandler(logging.NullHandler())  # keeps its warnings off standard error

NOTICE = f"{version.NOTICE} Not reviewed by a physician."
MANUFACTURER = "hilum"
_SERIES_NUMBER = 9901  # after the series of any modality
_CONTAINS, _PROPERTIES = RelationshipTypeValues.CONTAINS, RelationshipTypeValues.HAS_PROPERTIES
_SCHEME = "99HILUM"
_LONGEST = 64  # characters of a LO value, PS3.5 6.2
_YES, _NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
_CHEST_RADIOGRAPHY = Code("399208008", "SCT", "Plain chest X-ray")
_THORAX = Code("816094009", "SCT", "Thorax")
_PROBABILITY = Code("122157", "DCM", "Probability")
_SHORT_LABEL = Code("125309", "DCM", "Short Label")
_ZERO_TO_ONE = Code("{0:1}", "UCUM", "range 0 to 1")
_DEVICE = CodedConcept("121007", "DCM", "Device")
_CONCLUSION = Code("121077", "DCM", "Conclusion")
_COMMENT = Code("121106", "DCM", "Comment")
_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
_ACCEPTED = Code("accepted", _SCHEME, "Film accepted for judging")
_LIKELIEST = Code("likeliest", _SCHEME, "Likeliest finding")
_IN_SET = Code("conformal-set", _SCHEME, "Cannot be ruled out (in the conformal set)")
_ABOVE = Code("above-threshold", _SCHEME, "Reaches its operating threshold")
_PROBABILITIES = Code("probabilities", _SCHEME, "Probabilities")
_REASON = Code("refusal-reason", _SCHEME, "Reason for refusal")


def finding_code(name: str, metadata: Metadata) -> Code:
    """Return the code of a finding: SNOMED CT if known, else a code of hilum's own scheme."""
    known = finding_named(name)
    code = metadata.snomed_ct.get(name) or (known.snomed_ct if known else None)
    if code is None:
        return Code(hashlib.sha256(name.encode()).hexdigest()[:16], _SCHEME, name[:_LONGEST])
    meaning = known.meaning if known and known.snomed_ct == code and len(known.meaning) <= _LONGEST else name
    return Code(code, "SCT", meaning[:_LONGEST])


def structured_report(film: Dataset, answer: Answer, metadata: Metadata, *, content: str = "") -> Dataset:
    """Return the report of one film.

    Args:
        film: The film's elements; study and patient are copied from it.
        answer: The answer for the film.
        metadata: The model's metadata.
        content: The film's content key, for the identifiers of the report.

    Returns:
        A Comprehensive SR object in the film's study: complete, preliminary, unverified.
    """
    source, uid, sha256 = evidence(film), str(film.SOPInstanceUID), answer.model["sha256"]
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid(sha256, "device"),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=metadata.name,
        serial_number=sha256,
    )
    measured = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(observer_type=_DEVICE, observer_identifying_attributes=device)
        ),
        procedure_reported=_CHEST_RADIOGRAPHY,
        imaging_measurements=_groups(source, answer, metadata),
    )
    measured[0].ContentSequence.insert(0, TextContentItem(_CONCLUSION, conclusion(answer, metadata), _CONTAINS))
    measured[0].ContentSequence.append(_evaluations(answer, metadata))
    report = sr.ComprehensiveSR(
        evidence=[source],
        content=measured,
        series_instance_uid=derived_uid(uid, content, sha256, "report series"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=derived_uid(uid, content, sha256, "report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=metadata.name[:_LONGEST],
        software_versions=version.__version__,
        device_serial_number=sha256,
        series_description="hilum: research, not a medical device",
        is_complete=True,
        is_final=False,
        coding_schemes=[CodingSchemeIdentificationItem(_SCHEME, name=MANUFACTURER)],
    )
    own_texts = (metadata.name, *metadata.findings, *(reason.message for reason in answer.reasons))
    copy_patient_and_study(film, report, own_texts)
    return report


def _groups(source: Dataset, answer: Answer, metadata: Metadata) -> list[sr.MeasurementsAndQualitativeEvaluations]:
    """Return a measurement group for each finding, the likeliest first; for a refused film one without a finding."""
    if not answer.accepted:
        return [_group("Film not judged", source, answer, metadata, evaluations={_ACCEPTED: False})]
    groups = []
    for name, probability in sorted(answer.probabilities.items(), key=lambda one: -one[1]):
        evaluations = {_IN_SET: name in answer.set, _ABOVE: name in answer.above_threshold}
        groups.append(_group(name, source, answer, metadata, evaluations=evaluations, probability=probability))
    return groups


def _group(
    name: str,
    source: Dataset,
    answer: Answer,
    metadata: Metadata,
    *,
    evaluations: dict[Code, bool],
    probability: float | None = None,
) -> sr.MeasurementsAndQualitativeEvaluations:
    """Return a measurement group (TID 1501)."""
    sha256 = answer.model["sha256"]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=derived_uid(source.SOPInstanceUID, sha256, "group", name), identifier=name
        ),
        finding_type=finding_code(name, metadata) if probability is not None else None,
        finding_sites=[sr.FindingSite(anatomic_location=_THORAX)],
        algorithm_id=sr.AlgorithmIdentification(
            name="hilum",
            version=version.__version__,
            parameters=[f"model={metadata.name}", f"sha256={sha256}"],
        ),
        measurements=[_measurement(name, probability)] if probability is not None else None,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(name=question, value=_YES if yes else _NO) for question, yes in evaluations.items()
        ],
        source_images=[sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
    )


def _measurement(name: str, probability: float) -> sr.Measurement:
    """Return a finding's probability (TID 300) with three decimal places, a label, and the full number."""
    measurement = sr.Measurement(name=_PROBABILITY, value=float(probability), unit=_ZERO_TO_ONE)
    number = measurement[0]
    number.MeasuredValueSequence[0].NumericValue = DSfloat(f"{probability:.3f}")
    label = TextContentItem(_SHORT_LABEL, f"Probability of {name}", _PROPERTIES)
    number.ContentSequence = ContentSequence([label])
    return measurement


def _evaluations(answer: Answer, metadata: Metadata) -> ContainerContentItem:
    """Return the answer in codes: the likeliest finding and all probabilities, or why the film was refused."""
    items: list[ContentItem] = [CodeContentItem(_ACCEPTED, _YES if answer.accepted else _NO, _CONTAINS)]
    if answer.accepted:
        items.append(CodeContentItem(_LIKELIEST, finding_code(answer.likeliest, metadata), _CONTAINS))
        ranked = sorted(answer.probabilities.items(), key=lambda one: -one[1])
        listed = ", ".join(f"{name} {probability:.3f}" for name, probability in ranked)
        items.append(TextContentItem(_PROBABILITIES, listed, _CONTAINS))
    items += [TextContentItem(_REASON, f"{reason.code}: {reason.message}", _CONTAINS) for reason in answer.reasons]
    items.append(TextContentItem(_COMMENT, NOTICE, _CONTAINS))
    container = ContainerContentItem(_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def conclusion(answer: Answer, metadata: Metadata) -> str:
    """Return the answer for a film in a few sentences."""
    if not answer.accepted:
        return f"The film was not judged. {' '.join(reason.message for reason in answer.reasons)}".rstrip()
    likeliest = f"Likeliest finding: {answer.likeliest}, probability {answer.probabilities[answer.likeliest]:.3f}."
    words = in_words(answer.to_dict())
    open_words = "" if words == answer.likeliest else f"{words[:1].upper()}{words[1:]}. "
    others = ", ".join(name for name in answer.set if name != answer.likeliest)
    held = f"Also possible: {others}." if others else "The model holds no other finding possible."
    how_sure = (
        f"The model is set to name the true finding for {100 * metadata.coverage:.0f} of 100 films like those it "
        "learned from."
    )
    return f"{open_words}{likeliest} {held} {how_sure}"
