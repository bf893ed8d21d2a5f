"""De-identified films: nothing that names the patient is in their bytes, and the picture is the same."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hilum.errors import HilumError, UndecodableFilm
from hilum.film.decode import decode
from hilum.film.deidentify import Deidentifier

CR = "1.2.840.10008.5.1.4.1.1.1"
SECRETS = (
    b"SORENSEN",
    b"Kirsten",
    b"KS-471147",
    b"19610203",
    b"61Y",
    b"20260704",
    b"ST MARYS",
    b"DR JEKYLL",
    b"ACC-99",
)
UIDS = (b"1.2.999.1", b"1.2.999.2", b"1.2.999.3")


def _film(number: int = 1, *, implicit: bool = False, change: Callable[[Dataset], None] = lambda _: None) -> bytes:
    """A film with its patient's name in every corner of its header."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CR, f"1.2.999.1.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.999.2", "1.2.999.3"
    made.Modality, made.BodyPartExamined, made.ViewPosition = "CR", "CHEST", "PA"
    made.PatientName, made.PatientID = "SORENSEN^Kirsten", "KS-471147"
    made.PatientBirthDate, made.PatientAge, made.PatientSex = "19610203", "061Y", "F"
    made.StudyDate, made.AcquisitionDateTime = "20260704", "20260704101112"
    made.InstitutionName, made.ReferringPhysicianName, made.AccessionNumber = "ST MARYS", "DR JEKYLL", "ACC-99"
    made.add_new(0x00100033, "LO", "19610203")  # the birth date in another calendar, which the table forgets
    made.add_new(0x00080FFE, "LO", "SORENSEN")  # an element that the standard does not know
    made.add_new(0x60004000, "LT", "SORENSEN")  # the comment of an overlay
    made.add_new(0x00400400, "LT", "Call Kirsten")
    block = made.private_block(0x0009, "ACME", create=True)
    block.add_new(1, "LO", "SORENSEN")
    item, inner = Dataset(), Dataset()  # a sequence that stays holds a name two levels down
    inner.PatientName, inner.InstitutionName, inner.ContentDate = "SORENSEN^Kirsten", "ST MARYS", "20260704"
    inner.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "KS-471147")
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399348003", "SCT", "antero-posterior"
    item.ViewModifierCodeSequence = [inner]
    made.ViewCodeSequence = [item]
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = "1.2.999.1.7"
    made.SourceImageSequence = [reference]
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 40, 48, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.WindowCenter, made.WindowWidth = "1000", "2000"
    made.PixelData = np.arange(number, 1920 + number, dtype="<u2").tobytes()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    made.file_meta.SourceApplicationEntityTitle = "ST MARYS"
    made.preamble = b"SORENSEN".ljust(128, b"\0")
    change(made)
    written = io.BytesIO()
    made.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _clean(data: bytes) -> tuple[bytes, Any]:
    made = Deidentifier().clean(data).data
    return made, pydicom.dcmread(io.BytesIO(made))


@pytest.mark.parametrize("implicit", [False, True])
def test_nothing_that_names_the_patient_is_in_the_bytes(implicit: bool) -> None:
    film = _film(implicit=implicit)
    made, dataset = _clean(film)
    assert all(word in film for word in (*SECRETS, *UIDS))  # the film holds them
    assert not [word for word in (*SECRETS, *UIDS, b"ACME") if word in made]
    assert not [element for element in dataset.iterall() if element.tag.is_private]
    assert (dataset.PatientIdentityRemoved, dataset.BodyPartExamined, dataset.ViewPosition) == ("YES", "CHEST", "PA")
    assert dataset.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert dataset.ViewCodeSequence[0].CodeMeaning == "antero-posterior"
    assert "PS3.15" in dataset.DeidentificationMethod[1]


def test_picture_and_what_is_read_from_it_stay() -> None:
    film = _film()
    before, after = decode(film), decode(Deidentifier().clean(film).data)
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert (after.view_position, after.age_years, after.sex) == (before.view_position, None, None)


def test_a_study_and_a_patient_stay_one() -> None:
    cleaner = Deidentifier()
    one, two, other = (
        pydicom.dcmread(io.BytesIO(cleaner.clean(film).data))
        for film in (_film(1), _film(2), _film(3, change=lambda made: setattr(made, "PatientID", "ZZ-12345")))
    )
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.PatientID == two.PatientID != other.PatientID
    assert one.PatientID


def test_a_number_that_cannot_be_read_is_no_hindrance() -> None:
    made = Deidentifier().clean(_film().replace(b"2000", b"20,0")).data
    assert b"SORENSEN" not in made


def test_a_film_cleaned_once_can_be_cleaned_again() -> None:
    assert _clean(_clean(_film())[0])[1].PatientIdentityRemoved == "YES"


def _named(name: str, **values: object) -> Callable[[Dataset], None]:
    """A change of a film: the patient's name and other elements, by keyword."""

    def change(made: Dataset) -> None:
        for keyword, value in {"PatientName": name, **values}.items():
            setattr(made, keyword, value)

    return change


def _nested(made: Dataset) -> None:
    made.ViewCodeSequence[0].CodeMeaning = "view of Sorensen"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_named("SORENSEN^Kirsten", SoftwareVersions=["1.2", "of SORENSEN"]), "Software Versions"),
        (_named("ZWYXFORD^QUENBY", SoftwareVersions="Zwyxford Quenby, room 3"), "Software Versions"),
        (_named("ÅSTRÖM^Ida", SoftwareVersions="åström", SpecificCharacterSet="ISO_IR 192"), "Software Versions"),
        (_named("KIM^LI", ManufacturerModelName="Kim Li 123"), "Manufacturer's Model Name"),
        (_named("ANNA", Manufacturer="Anna"), "Manufacturer"),
        (_named("A^B", PatientID="471147", SoftwareVersions="v471147"), "Software Versions"),
        (_named("A^B", InstitutionName="ST MARYS", SoftwareVersions="of St Marys"), "Software Versions"),
        (_nested, "Code Meaning"),
        (lambda made: setattr(made, "PixelData", b"SORENSEN" + made.PixelData[8:]), "Pixel Data"),
        (lambda made: setattr(made, "PixelData", b"Sorensen" + made.PixelData[8:]), "Pixel Data"),
        (lambda made: setattr(made, "ICCProfile", b"by Sorensen."), "ICC Profile"),
    ],
)
def test_a_film_with_a_name_left_is_refused_without_saying_the_name(
    change: Callable[[Dataset], None], place: str
) -> None:
    with pytest.raises(UndecodableFilm, match=f"would still be in its {place}") as caught:
        Deidentifier().clean(_film(change=change), name="a.dcm")
    assert not re.search("sorensen|zwyxford|kim|471147|marys", str(caught.value), re.IGNORECASE)


@pytest.mark.parametrize(
    "change",
    [
        _named("A^B", PatientID="4096", WindowWidth="4096"),
        _named("A^B", PatientID="2026", SoftwareVersions="2026.1"),
        _named("TEST^CHEST"),
        _named("Basic^Joe"),
        _named("hilum^DICOM"),
        _named("A^B", InstitutionName="Corporation", Manufacturer="FUJIFILM Corporation"),
        _named("Ge^Li", Manufacturer="GE Healthcare", SoftwareVersions="Linux"),
        _named("ROE^Jane^^DR", ManufacturerModelName="DR 3500"),
        _named("A^B", PatientID="0000000000", SoftwareVersions="0000000000"),
    ],
)
def test_a_word_that_is_there_by_chance_is_no_hindrance(change: Callable[[Dataset], None]) -> None:
    assert _clean(_film(change=change))[1].PatientIdentityRemoved == "YES"


def test_text_and_uids_that_the_profile_does_not_name_are_removed() -> None:
    going: dict[str, object] = dict.fromkeys(
        ("ReconstructionDescription", "WindowCenterWidthExplanation", "ImageID", "DeviceID", "DoseComment"), "room 3"
    )
    going |= {"TargetFrameOfReferenceUID": "1.2.999.5", "PotentialDiagnosticTasks": "room 3"}
    staying: dict[str, object] = dict.fromkeys(("Manufacturer", "ManufacturerModelName", "SoftwareVersions"), "Acme")
    staying |= {"RescaleType": "US", "RelatedGeneralSOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}

    def change(made: Dataset) -> None:
        for keyword, value in (going | staying).items():
            setattr(made, keyword, value)
        made.FrameOfReferenceUID = "1.2.999.3"
        made.ViewCodeSequence[0].DeviceID = "room 3"
        table = Dataset()
        table.LUTExplanation, table.ModalityLUTType = "room 3", "OD"
        table.LUTDescriptor, table.LUTData = [2, 0, 16], b"\0\0\1\0"
        made.ModalityLUTSequence = [table]

    film = _film(change=change)
    made, dataset = _clean(film)
    assert b"room 3" in film
    assert not [word for word in (b"room 3", b"1.2.999") if word in made]
    assert {keyword: dataset.get(keyword) for keyword in staying} == staying
    assert not [keyword for keyword in going if keyword in dataset]
    assert dataset.FrameOfReferenceUID == dataset.SeriesInstanceUID  # equal ones become equal
    assert dataset.SOPClassUID == CR
    assert dataset.ModalityLUTSequence[0].ModalityLUTType == "OD"


def test_a_package_without_the_table_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.film.deidentify._TABLE", "dicomfields_1066")
    with pytest.raises(HilumError, match="does not have the table `dicomfields_1066`"):
        Deidentifier()


def test_burnt_in_text_is_told() -> None:
    assert not Deidentifier().clean(_film()).says_burnt_in
    assert Deidentifier().clean(_film(change=lambda made: setattr(made, "BurnedInAnnotation", "YES"))).says_burnt_in
    assert Deidentifier().clean(_film(change=lambda made: made.add_new(0x60000010, "US", 40))).says_burnt_in


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG" + bytes(200), "not a DICOM file"),
        (_film(change=lambda made: made.__delitem__("PixelData")), "holds no picture"),
        (_film()[:400], "holds no picture|damaged"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UndecodableFilm, match=message):
        Deidentifier().clean(data)
