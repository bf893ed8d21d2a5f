"""Which films a DICOM header lets through, which it refuses, and the view that it states."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from hilum.errors import UnsupportedFilm
from hilum.film.decode import decode, read_film
from hilum.run.gate import refusals

FILM = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
SECRET = "SECRET^PATIENT"
Build = Callable[..., bytes]


def raw_text(data: bytes, text: bytes) -> bytes:
    """A film whose body part is written in bytes that pydicom would not write."""
    old = b"\x18\x00\x15\x00CS\x06\x00CHEST "
    assert old in data
    text += b" " * (len(text) % 2)
    return data.replace(old, b"\x18\x00\x15\x00CS" + len(text).to_bytes(2, "little") + text)


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (b"PECHO", None),
        (b"Pecho AP", None),
        (b"T?RAX", None),
        ("TÓRAX".encode("latin-1"), "ISO_IR 100"),
        ("TÓRAX".encode("latin-1"), None),
        ("TÓRAX".encode(), "ISO_IR 192"),
        ("Tórax".encode(), "ISO_IR 100"),
        ("Tórax".encode("cp437"), None),
        ("TÃ³rax".encode(), "ISO_IR 192"),
        ("T\ufffdRAX".encode(), "ISO_IR 192"),
        ("Грудная клетка".encode("iso8859_5"), "ISO_IR 144"),
        ("ГРУДНАЯ КЛЕТКА".encode("cp1251"), None),
        ("胸部".encode("gb18030"), "GB18030"),
        ("胸部".encode("gb18030"), None),
        (b"\x1b$B6;It\x1b(B", "ISO 2022 IR 87"),
        ("Göğüs".encode("iso8859_9"), "ISO_IR 148"),
        (SECRET.encode(), None),
        (b"CHEST\\RIBS", None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_chest_in_any_writing_and_words_that_say_nothing(dicom_bytes: Build, text: bytes, charset: str | None) -> None:
    elements = {"SpecificCharacterSet": charset} if charset else {}
    assert decode(raw_text(dicom_bytes(FILM, **elements), text)).view_position == "PA"


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"BodyPartExamined": "RODILLA"}, "its body part is KNEE; expected CHEST"),
        ({"BodyPartExamined": "COLUMNA DORSAL"}, "its body part is SPINE"),
        ({"BodyPartExamined": "STERNUM"}, "its body part is STERNUM"),
        ({"BodyPartExamined": "MAIN"}, "its body part is HAND"),
        ({"BodyPartExamined": "XYZ", "StudyDescription": f"Knie von {SECRET}"}, "description mentions KNEE"),
        ({"BodyPartExamined": SECRET, "SeriesDescription": "FOOT AP"}, "description mentions FOOT"),
    ],
)
def test_words_that_surely_name_another_part(dicom_bytes: Build, elements: dict[str, Any], said: str) -> None:
    with pytest.raises(UnsupportedFilm, match=said) as refusal:
        decode(dicom_bytes(FILM, **elements))
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    ("modality", "said"),
    [("CT", "states modality CT"), ("MUELLER", "no known modality"), ("", None), ("DX", None)],
)
def test_other_modalities(dicom_bytes: Build, modality: str, said: str | None) -> None:
    data = dicom_bytes(FILM, Modality=modality)
    if said is None:
        assert decode(data).view_position == "PA"
        return
    with pytest.raises(UnsupportedFilm, match=said) as refusal:
        decode(data)
    assert "MUELLER" not in str(refusal.value)


def test_a_description_in_another_language_is_understood(dicom_bytes: Build) -> None:
    for text in ("RX tórax y rodilla", "Thorax in 2 Ebenen", "rtg klatki piersiowej", SECRET):
        data = dicom_bytes(FILM, SpecificCharacterSet="ISO_IR 192", BodyPartExamined="", StudyDescription=text)
        assert decode(data).view_position == "PA"


def code(meaning: str) -> Sequence:
    item = Dataset()
    item.CodeMeaning = meaning
    return Sequence([item])


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "LAT"}, "LATERAL"),
        ({"ViewPosition": "Left Lateral"}, "LATERAL"),
        ({"ViewPosition": "CHEST LAT"}, "LATERAL"),
        ({"ViewPosition": "AP SUPINE"}, "AP"),
        ({"ViewPosition": "PA", "SeriesDescription": "CHEST LAT"}, "PA"),
        ({"ViewPosition": "", "SeriesDescription": "CHEST LAT"}, "LATERAL"),
        ({"ViewPosition": "", "ProtocolName": "Thorax seitlich"}, "LATERAL"),
        ({"ViewPosition": "", "BodyPartExamined": "THORAX LAT"}, "LATERAL"),
        ({"ViewPosition": "", "AcquisitionDeviceProcessingDescription": "CHEST LATERAL"}, "LATERAL"),
        ({"ViewPosition": "", "SeriesDescription": "CHEST PA/LAT"}, None),
        ({"ViewPosition": "", "StudyDescription": "CHEST LAT"}, None),  # a study has several films
        ({"ViewPosition": "", "ViewCodeSequence": code("left lateral")}, "LATERAL"),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({"ViewPosition": "", "PatientOrientation": ["P", "F"]}, "LATERAL"),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, None),
        ({"ViewPosition": "PA", "PatientOrientation": ["P", "F"]}, "PA"),
        ({"ViewPosition": "", "PatientOrientation": ["", ""]}, None),
    ],
)
def test_the_view_that_a_file_states(dicom_bytes: Build, elements: dict[str, Any], view: str | None) -> None:
    film = decode(dicom_bytes(FILM, **elements))
    assert film.view_position == view
    assert ("lateral" in [reason.code for reason in refusals(film)]) == (view == "LATERAL")


def test_films_whose_body_part_is_in_other_words(cases: Path) -> None:
    films = sorted((cases / "08-body-part-words").glob("*.dcm"))
    assert len(films) >= 3
    for path in films:
        assert not refusals(read_film(path)), path.name


def test_a_dicomdir_is_named() -> None:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID, made.file_meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, "1.2.3"
    made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    made.FileSetID, made.DirectoryRecordSequence = "DISC", Sequence([Dataset()])
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    with pytest.raises(UnsupportedFilm, match="it is a DICOMDIR"):
        decode(stream.getvalue())


def test_a_dicomdir_that_says_little_is_named(dicom_bytes: Build) -> None:
    data = dicom_bytes(FILM, SOPClassUID="1.2.840.10008.1.3.10", DirectoryRecordSequence=Sequence([]), Rows=None)
    with pytest.raises(UnsupportedFilm, match="it is a DICOMDIR"):
        decode(data)
