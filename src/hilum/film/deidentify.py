"""Removes from DICOM films what says whose they are. The picture is not touched: text that is burnt into it stays.

The actions of the Basic Application Level Confidentiality Profile are those of the package dicom-anonymizer. It looks
at the outermost elements only, so its actions are repeated here in every item of the sequences that stay. Removed as
well: private elements, elements that the standard does not know (any more), curves and overlays, dates, names, text and
UIDs that the profile does not name (a short list of text and the UIDs of kinds of objects stay), and all elements of
the patient but name, ID, birth date and sex, which become empty or dummies. Last, the texts that stay, the picture and
other bytes are searched for the values that named patient, place and study.

Source: DICOM PS3.15 annex E, table E.1-1 (edition 2026c); PS3.16 CID 7050 (code of the profile).
"""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.datadict import (
    dictionary_description,
    dictionary_has_tag,
    dictionary_is_retired,
    dictionary_VR,
    keyword_for_tag,
)
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from hilum.errors import HilumError, MissingExtra, UndecodableFilm
from hilum.extras import install_line
from hilum.film.dicom import pydicom_kept_quiet, read_elements
from hilum.film.headers import is_dicom
from hilum.version import __version__

__all__ = ["CleanFilm", "Deidentifier"]

_TABLE = "dicomfields_2026c"  # dicom-anonymizer's copy of the table, by the standard's edition
_PERSONAL_GROUP = 0x0010
_STAYS_OF_PATIENT = frozenset({0x00100010, 0x00100020, 0x00100030, 0x00100040})  # required of every film (type 2)
_FREE = frozenset({"PN", "DA", "DT", "TM", "LT", "ST", "UT", "UR", "LO", "SH", "UC", "UI"})  # may say who and when
_STAYING_TEXT = frozenset(
    {
        *("Manufacturer", "ManufacturerModelName", "SoftwareVersions"),
        *("CodeValue", "LongCodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"),
        *("RescaleType", "ModalityLUTType"),  # required to read the picture
    }
)
_STAYING_UIDS = ("SOPClass", "TransferSyntax")  # in the keywords of UIDs of kinds of objects
_CURVES, _OVERLAYS = 0x5000, 0x6000  # the first of 16 groups each
_NAMING = ("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "OtherPatientNames", "PatientAddress")
_PLACES = ("InstitutionName", "ReferringPhysicianName", "AccessionNumber", "StudyDate", "StudyID")
_COMPARED = frozenset({"PN", "LT", "ST", "UT", "UR", "LO", "SH", "UC", "AE"})  # kinds of text that stays
_BYTES = frozenset({"OB", "OW", "OB or OW", "UN"})
# Names of makers and codes are like many short words and places: only longer words of the patient count in them.
_TERSE = frozenset({"Manufacturer", "RescaleType", "ModalityLUTType", "CodingSchemeDesignator"})
_LEAST, _LEAST_DIGITS, _LEAST_IN_BYTES = 4, 6, 7  # characters; shorter words turn up by chance
_DUMMIES = frozenset({"anonymized", "00010101"})  # of dicom-anonymizer

_Rules = dict[tuple[int, int], Callable[[Dataset, tuple[int, int]], None]]


@dataclass(frozen=True, eq=False)
class CleanFilm:
    """A film without what says whose it is.

    Attributes:
        data: The DICOM file.
        says_burnt_in: Whether the film states that its picture holds burnt-in text.
    """

    data: bytes
    says_burnt_in: bool


class Deidentifier:
    """De-identifies films. Those of one patient and study stay together: equal identifiers become equal new ones.

    Raises:
        MissingExtra: The extra `dicom` is not installed.
        HilumError: The installed dicom-anonymizer does not have the table of the profile.
    """

    def __init__(self) -> None:
        try:
            from dicomanonymizer import simpledicomanonymizer as library
            from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
        except ImportError as error:
            raise MissingExtra("De-identification", "dicom") from error
        try:
            tables = dicom_anonymization_database_selector(_TABLE)
            rules = library.initialize_actions(_TABLE)
        except (AttributeError, ValueError) as error:
            raise HilumError(
                f"The installed version of dicom-anonymizer does not have the table `{_TABLE}`, which hilum needs.",
                fix=f"Install the version that hilum was tested with: {install_line('dicom')}",
            ) from error
        # A reference to a film that is not there helps nobody: the sequence goes, not only what stands in it.
        rules |= dict.fromkeys(tables["X_Z_U_STAR_TAGS"], library.delete)
        self._rules: _Rules = {tag: act for tag, act in rules.items() if len(tag) == 2 and tag[0] != 2}
        self._apply = library.anonymize_dataset
        self._patients: dict[tuple[str, str], str] = {}

    def clean(self, data: bytes, *, name: str = "film") -> CleanFilm:
        """Return a film without what says whose it is.

        Args:
            data: A DICOM file.
            name: The film's name, for messages.

        Raises:
            UndecodableFilm: The bytes are no DICOM film, are damaged, or a name is left where hilum cannot remove it.
        """
        if not is_dicom(data):
            raise UndecodableFilm(f"Cannot de-identify `{name}`: it is not a DICOM file.", fix="Leave it out.")
        with pydicom_kept_quiet():
            try:
                return self._clean(data, name)
            except (HilumError, MemoryError):
                raise
            except Exception as error:  # pydicom raises any kind of error for damaged bytes
                raise UndecodableFilm(
                    f"Cannot de-identify `{name}`: it is a damaged DICOM file ({type(error).__name__}).",
                    fix="Export it again, or leave it out.",
                ) from error

    def _clean(self, data: bytes, name: str) -> CleanFilm:
        read_elements(data, name=name)  # refuses files that would take a reader minutes
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        if "PixelData" not in dataset or "SOPClassUID" not in dataset:
            raise UndecodableFilm(f"Cannot de-identify `{name}`: it holds no picture.", fix="Leave it out.")
        words = _words(dataset)
        says_burnt_in = str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES" or _has_overlay(dataset)
        patient = self._pseudonym(dataset)
        guessed = ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian
        syntax = dataset.file_meta.get("TransferSyntaxUID") or guessed
        self._clean_items(dataset)
        dataset.pop("DeidentificationMethodCodeSequence", None)  # hilum writes its own
        _check_words(dataset, words, name)
        dataset.PatientID = patient
        dataset.SOPInstanceUID = dataset.get("SOPInstanceUID") or generate_uid(None)
        _state_method(dataset)
        dataset.preamble = None
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        written = io.BytesIO()
        dataset.save_as(written, enforce_file_format=True)
        return CleanFilm(written.getvalue(), says_burnt_in)

    def _clean_items(self, dataset: Dataset) -> None:
        """Clean a data set and the items of its sequences, and theirs."""
        for tag in list(dataset.keys()):
            if self._goes(tag):
                del dataset[tag]
        self._apply(dataset, delete_private_tags=False, base_rules_gen=lambda: dict(self._rules))
        for tag in list(dataset.keys()):
            read: Any = dataset.get_item(tag)
            if "SQ" not in (read.VR, dictionary_VR(tag)):
                continue
            items = dataset[tag].value
            if not isinstance(items, Sequence):
                del dataset[tag]  # bytes that cannot be read may hold a name
                continue
            for item in items:
                self._clean_items(item)

    def _goes(self, tag: BaseTag) -> bool:
        """Return whether an element is removed before the actions of the profile."""
        if tag.is_private or tag.group & 0xFF00 in (_CURVES, _OVERLAYS) or not dictionary_has_tag(tag):
            return True
        if dictionary_is_retired(tag):
            return True
        if tag.group == _PERSONAL_GROUP:
            return tag not in _STAYS_OF_PATIENT
        if dictionary_VR(tag) not in _FREE or (tag.group, tag.element) in self._rules:
            return False
        keyword = keyword_for_tag(tag)
        return keyword not in _STAYING_TEXT and not any(kind in keyword for kind in _STAYING_UIDS)

    def _pseudonym(self, dataset: Dataset) -> str:
        """Return what stands for the patient's ID: drawn, and the same for all films of the patient; empty of none."""
        patient = str(dataset.get("PatientID") or "").strip(), str(dataset.get("IssuerOfPatientID") or "").strip()
        return self._patients.setdefault(patient, f"P{secrets.token_hex(5)}") if patient[0] else ""


def _state_method(dataset: Dataset) -> None:
    """Write into a film that and how it was de-identified."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = [f"hilum {__version__} with dicom-anonymizer", "DICOM PS3.15 basic profile, 2026c"]
    dataset.DeidentificationMethodCodeSequence = [code]
    dataset.LongitudinalTemporalInformationModified = "REMOVED"


def _has_overlay(dataset: Dataset) -> bool:
    """Return whether a film has an overlay in unused bits of its picture, which stay."""
    groups = (group for group in range(_OVERLAYS, _OVERLAYS + 0x20, 2) if (group, 0x0010) in dataset)
    return any((group, 0x3000) not in dataset for group in groups)


@dataclass(frozen=True)
class _Words:
    """What named patient and place of a film, in lower case.

    Attributes:
        patient: Words that are looked for anywhere in a text.
        places: The same, of institution and study.
        short: Names of two or three letters, which are compared with whole words.
    """

    patient: frozenset[str]
    places: frozenset[str]
    short: frozenset[str]

    def are_in(self, keyword: str, text: str) -> bool:
        """Return whether one of the words is in the text of an element."""
        text = text.casefold()
        if keyword in _TERSE:
            return any(word in text for word in self.patient)
        return any(word in text for word in self.patient | self.places) or not self.short.isdisjoint(
            re.findall(r"[^\W\d_]+", text)
        )

    def are_in_bytes(self, data: bytes) -> bool:
        """Return whether one of the longer words is in bytes, such as a compressed picture."""
        data = data.lower()
        words = [word for word in self.patient | self.places if len(word) >= _LEAST_IN_BYTES and len(set(word)) > 2]
        spellings = {spelling for word in words for spelling in (word, word.upper())}  # bytes.lower() knows ASCII only
        return any(word.encode(code, "replace").lower() in data for word in spellings for code in ("utf-8", "latin-1"))


def _words(dataset: Dataset) -> _Words:
    """Return the words that name patient, institution and study."""
    naming = {keyword: _text(dataset, keyword).casefold().strip(" \0") for keyword in _NAMING}
    places = (_text(dataset, keyword).casefold().strip(" \0") for keyword in _PLACES)
    parts = {
        part for keyword in set(_NAMING) - {"PatientBirthDate"} for part in re.split(r"[\^=\\ ,\0]+", naming[keyword])
    }
    names = "\\".join((naming["PatientName"], naming["OtherPatientNames"]))
    # The fourth and fifth part of a name are titles, such as DR.
    given = " ".join(part for name in re.split(r"[=\\]", names) for part in name.split("^")[:3])
    return _Words(
        frozenset(filter(_is_telling, parts.union(naming.values()))),
        frozenset(filter(_is_telling, places)),
        frozenset(word for word in re.findall(r"[^\W\d_]+", given) if 1 < len(word) < _LEAST),
    )


def _is_telling(word: str) -> bool:
    """Return whether a word, in lower case, would not turn up in other texts by chance."""
    least = _LEAST_DIGITS if word.isdigit() else _LEAST
    return len(word) >= least and len(set(word)) > 1 and word not in _DUMMIES


def _text(dataset: Dataset, key: str | BaseTag) -> str:
    """Return the text of an element, several values joined by backslashes; empty if there is none."""
    value: Any = dataset[key].value if key in dataset else None
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")


def _check_words(dataset: Dataset, words: _Words, name: str) -> None:
    """Raise UndecodableFilm where a word that named the patient is still in a data set or in its sequences."""
    for tag in list(dataset.keys()):
        read: Any = dataset.get_item(tag)
        kinds = {read.VR, dictionary_VR(tag)}
        if "SQ" in kinds:
            for item in dataset[tag].value:
                _check_words(item, words, name)
        elif (kinds & _COMPARED and words.are_in(keyword_for_tag(tag), _text(dataset, tag))) or (
            kinds & _BYTES and isinstance(read.value, bytes) and words.are_in_bytes(read.value)
        ):
            raise UndecodableFilm(
                f"Cannot de-identify `{name}`: a word of its patient, place or study would still be in its "
                f"{dictionary_description(tag)}.",
                fix="Look for it with dcmdump, or leave the film out.",
            )
