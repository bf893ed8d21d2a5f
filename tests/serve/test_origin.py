"""What a result takes from its film: identifiers that follow from it, patient and study as they stand."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hilum.errors import UnsupportedFilm
from hilum.film.dicom import read_elements
from hilum.serve.structured_report import copy_patient_and_study, derived_uid, evidence, refuse_unidentified

WriteDicom = Callable[..., Path]


def result_of(film: Dataset, *own_texts: str) -> Dataset:
    """Return an empty result with a film's patient, written and read again."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3"), UID("1.2.4")
    copy_patient_and_study(film, made, own_texts)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(stream.getvalue()))


def test_identifiers_follow_from_their_parts() -> None:
    one = derived_uid("1.2.3", "model", "report")
    assert one == derived_uid("1.2.3", "model", "report")
    assert len({one, derived_uid("1.2.4", "model", "report"), derived_uid("1.2.3", "other", "report")}) == 3
    assert one != derived_uid("1.2.3", "model", "heat map")
    assert UID(one).is_valid
    assert one.startswith("2.25.")


def test_identifiers_are_the_same_for_ever() -> None:
    """Films sent again years later must find their results in the archive."""
    assert derived_uid("1.2.3", "model", "report") == "2.25.118023339204561954773765032697779414539"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_patient_and_study_are_copied(tmp_path: Path, write_dicom: WriteDicom, syntax: UID) -> None:
    film = read_elements(write_dicom(tmp_path / "film.dcm", syntax=syntax).read_bytes())
    result = result_of(film, "Covid-19")
    original = pydicom.dcmread(tmp_path / "film.dcm")
    for keyword in ("PatientName", "PatientID", "PatientSex", "PatientBirthDate", "StudyDate", "StudyTime"):
        assert result[keyword] == original[keyword]
    for keyword in ("AccessionNumber", "StudyID", "ReferringPhysicianName", "StudyDescription"):
        assert result[keyword] == original[keyword]
    assert str(result.PatientName) == "SÉCRET^PATIENT"
    assert result.SpecificCharacterSet == "ISO_IR 100"
    assert "Manufacturer" not in result


def test_values_that_break_the_standard_come_over_as_they_are(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """A name in Latin-1 without a word about it, a date that is none: the archive must see the same patient."""
    data = write_dicom(tmp_path / "film.dcm").read_bytes()
    for right, wrong in ((b"ISO_IR 100", b" " * 10), (b"19600102", b"19600199"), (b"CS\x02\x00F ", b"CS\x02\x00W ")):
        assert right in data
        data = data.replace(right, wrong)
    result = result_of(read_elements(data), "Covid-19")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert result.get_item("PatientName").value == "SÉCRET^PATIENT ".encode("latin-1")[:14]
        assert (result.PatientBirthDate, result.PatientSex) == ("19600199", "W")


def test_own_words_beyond_ascii_make_it_utf8(tmp_path: Path, write_dicom: WriteDicom) -> None:
    film = read_elements(write_dicom(tmp_path / "film.dcm").read_bytes())
    result = result_of(film, "Lungenentzündung", "肺炎")
    assert result.SpecificCharacterSet == "ISO_IR 192"
    assert str(result.PatientName) == "SÉCRET^PATIENT"


def test_evidence_names_no_patient(tmp_path: Path, write_dicom: WriteDicom) -> None:
    film = read_elements(write_dicom(tmp_path / "film.dcm").read_bytes())
    assert "SECRET" not in str(evidence(film)).upper().replace("É", "E")
    assert evidence(film).SOPInstanceUID == film.SOPInstanceUID


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "SECRET.1"])
def test_a_film_that_no_result_can_be_filed_with(
    tmp_path: Path, write_dicom: WriteDicom, keyword: str, value: Any
) -> None:
    film = read_elements(write_dicom(tmp_path / "film.dcm").read_bytes())
    refuse_unidentified(film)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if value is None:
            delattr(film, keyword)
        else:
            setattr(film, keyword, value)
        with pytest.raises(UnsupportedFilm, match=r"no valid .* Instance UID") as error:
            refuse_unidentified(film)
    assert "SECRET" not in str(error.value)
